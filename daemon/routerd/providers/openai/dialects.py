"""How the servers that speak Chat Completions differ, as declared data.

Rules of this file: data and how to look it up, no decisions; a new server is a new entry.
`compatible` is for servers that are not known better: it sends the least. Sources: the facts of the
wire, and where those are silent the server's own documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from routerd.errors import ErrorClass
from routerd.providers.base import ChatRequest
from routerd.providers.request import ToolIdRule
from routerd_proto.content import ReasoningEffort

__all__ = [
    "DIALECTS",
    "LOW_TO_HIGH",
    "NONE_TO_HIGH",
    "NONE_TO_XHIGH",
    "OPENAI_MODELS",
    "Dialect",
    "ModelRule",
    "rule_for",
]


class ModelRule(Struct, frozen=True, kw_only=True):
    """What a family of models takes; the first rule whose `pattern` is found in the id counts.

    `efforts` are the values of `reasoning_effort`. `effort_with_tools` is False where tools refuse
    any effort but `none`. `always_reasons` is of those that nothing switches off: the dialect's own
    way is refused. `reasoning_on` is sent in place of any effort but `none`,
    `reasoning_apart` unless the effort is `none`: it keeps the reasoning out of the text.
    `cache_marks` is what the dialect says of the very model. `stop` is whether it takes stop
    sequences, `stop_unreasoned` whether it does while it is told not to reason.
    """

    pattern: str = ""
    efforts: tuple[ReasoningEffort, ...]
    effort_with_tools: bool = True
    always_reasons: bool = False
    reasoning_on: Mapping[str, Any] = {}
    reasoning_apart: Mapping[str, Any] = {}
    cache_marks: bool = False
    stop: bool = True
    stop_unreasoned: bool = False


def rule_for(
    request: ChatRequest, rules: tuple[ModelRule, ...], cache_marks: str | None = None
) -> ModelRule:
    """Return what the rules say of a model; worth keeping, since it searches by pattern.

    Where the provider's id says nothing, because it is a name of the user's, the directory's does.
    `cache_marks` finds the models that take marks in the prompt, None where none do.
    """
    names = (request.model_id.lower(), request.model.lower())
    found = next(
        (
            rule
            for name in names
            for rule in rules
            if rule.pattern and re.search(rule.pattern, name)
        ),
        rules[-1],
    )
    if cache_marks is not None and any(re.search(cache_marks, name) for name in names):
        found = replace(found, cache_marks=True)
    return found


class Dialect(Struct, frozen=True, kw_only=True):
    """One server's habits.

    `reasoning_back` is the field of an assistant message that takes the model's own reasoning back;
    `reasoning_required` asks for it, be it empty, on every message that calls tools.
    `extra_back` says that what came beside a tool call, as a signature, goes back with it.
    `reasoning_off` is sent in place of the effort `none`. `codes` adds to the known error codes,
    `patterns` to the known words of messages, in lower case.
    `base_path` is how a base address ends, for those who name a host alone; `path` is added to it,
    and `{model}` in that stands for the model's id; so is `models_path`, where its models are.
    A key goes in `key_header` where there is one, unless it is a token, which always goes as a
    bearer's.
    `needs_results`: a conversation is refused in which a tool call has no result; who is not known
    to refuse it is sent it. `image_urls` is False where images are taken as bytes only.
    `strict_order` asks for roles in the order of Mistral's. `cache_marks` finds the ids of models
    that take marks up to where to cache a prompt.
    """

    name: str
    models: tuple[ModelRule, ...]
    base_path: str = "/v1"
    path: str = "/chat/completions"
    models_path: str = "/models"
    key_header: str | None = None
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_stops: int | None = 4
    seed: Literal["seed", "random_seed"] = "seed"
    required_tool: Literal["required", "any"] = "required"
    include_usage: bool = True
    parallel_tool_calls: bool = True
    strict: bool = False
    image_urls: bool = True
    documents: Literal["file", "document_url"] | None = None
    tool_result_images: Literal["after", "inside"] = "after"
    tool_ids: ToolIdRule = ToolIdRule(r"[!-~]{1,64}", "call_", 29)
    reasoning_back: Literal["reasoning_content", "reasoning_details", "thinking"] | None = None
    reasoning_required: bool = False
    extra_back: bool = False
    reasoning_off: Mapping[str, Any] = {}
    needs_results: bool = False
    strict_order: bool = False
    cache_marks: str | None = None
    codes: Mapping[str, ErrorClass] = {}
    patterns: tuple[tuple[str, ErrorClass], ...] = ()


LOW_TO_HIGH: Final[tuple[ReasoningEffort, ...]] = ("low", "medium", "high")
NONE_TO_HIGH: Final[tuple[ReasoningEffort, ...]] = ("none", *LOW_TO_HIGH)
NONE_TO_XHIGH: Final[tuple[ReasoningEffort, ...]] = (*NONE_TO_HIGH, "xhigh")

# From the API reference and the types of openai-python 3.51. `max` of GPT-6 is at times only in
# Responses, so here it is sent as xhigh. From GPT-5.4 on, tools next to an effort may be refused.
OPENAI_MODELS: Final = (
    ModelRule(pattern=r"o[13]-mini", efforts=LOW_TO_HIGH),
    ModelRule(pattern=r"^o\d|/o\d", efforts=LOW_TO_HIGH, stop=False),
    ModelRule(
        pattern=r"gpt-6-astra|gpt-6\.1-sol",
        efforts=(*LOW_TO_HIGH, "xhigh"),
        effort_with_tools=False,
        stop=False,
    ),
    ModelRule(pattern=r"gpt-5\.1", efforts=NONE_TO_HIGH, stop=False),
    ModelRule(pattern=r"gpt-5\.[23]", efforts=NONE_TO_XHIGH, stop=False),
    ModelRule(pattern=r"gpt-5(?!\.)", efforts=("minimal", *LOW_TO_HIGH), stop=False),
    ModelRule(
        pattern=r"gpt-(?:5|[6-9])", efforts=NONE_TO_XHIGH, effort_with_tools=False, stop=False
    ),
    ModelRule(efforts=LOW_TO_HIGH),
)

OPENAI: Final = Dialect(
    name="openai",
    models=OPENAI_MODELS,
    max_tokens="max_completion_tokens",
    strict=True,
    documents="file",
    tool_ids=ToolIdRule(r"[!-~]{1,40}", "call_", 29),
    needs_results=True,
    # Those that bill what they write to the cache.
    cache_marks=r"gpt-(?:5\.[6-9]|[6-9])",
)
NO_THINKING: Final[Mapping[str, Any]] = {"chat_template_kwargs": {"enable_thinking": False}}
# The models are OpenAI's, by the names that users give to their deployments.
AZURE: Final = replace(
    OPENAI, name="azure", base_path="/openai/v1", key_header="api-key", cache_marks=None
)

COMPATIBLE: Final = Dialect(name="compatible", models=(ModelRule(efforts=NONE_TO_HIGH),))

_ALL: Final = (
    OPENAI,
    AZURE,  # {resource}/openai/v1
    # The older address, {resource}/openai?api-version=...
    replace(
        AZURE,
        name="azure-deployments",
        base_path="/openai",
        path="/deployments/{model}/chat/completions",
    ),
    COMPATIBLE,
    # Gemini in this format: its newer models refuse calls of tools that come back unsigned.
    replace(
        COMPATIBLE,
        name="google",
        base_path="/v1beta/openai",
        extra_back=True,
        needs_results=True,
    ),
    Dialect(
        # The template of the model's prompt is what switches thinking off.
        name="vllm",
        models=(ModelRule(efforts=LOW_TO_HIGH),),
        max_stops=None,
        reasoning_off=NO_THINKING,
    ),
    Dialect(
        name="llamacpp",
        models=(ModelRule(efforts=LOW_TO_HIGH),),
        max_stops=None,
        reasoning_off=NO_THINKING,
    ),
    Dialect(
        # Hugging Face's server for one model that embeds or ranks: it has no chat, and only vectors
        # are asked for in this format. From its own description of its API.
        name="tei",
        models=(ModelRule(efforts=NONE_TO_HIGH),),
        base_path="",
        path="/v1/chat/completions",
        models_path="/info",
        patterns=(
            ("model is overloaded", ErrorClass.OVERLOADED),
            ("must have less than", ErrorClass.CONTEXT_LENGTH),
        ),
    ),
    Dialect(
        # Fetches nothing: its page on this format lists images in base64, and none by address.
        name="ollama",
        models=(ModelRule(efforts=NONE_TO_HIGH),),
        max_stops=None,
        image_urls=False,
    ),
    Dialect(
        name="mistral",
        models=(
            # Older ones reason in one way, or not at all.
            ModelRule(pattern="magistral", efforts=(), reasoning_on={"prompt_mode": "reasoning"}),
            ModelRule(efforts=("none", "minimal", "low", "medium", "high", "xhigh")),
        ),
        needs_results=True,
        strict_order=True,
        seed="random_seed",
        required_tool="any",
        include_usage=False,
        strict=True,
        documents="document_url",
        tool_result_images="inside",
        tool_ids=ToolIdRule(r"[a-zA-Z0-9]{9}", "", 9),
        reasoning_back="thinking",
        codes={
            "1300": ErrorClass.RATE_LIMIT,
            "1500": ErrorClass.NOT_FOUND,
            "3505": ErrorClass.OVERLOADED,
        },
    ),
    Dialect(
        name="deepseek",
        base_path="",
        # The server maps every effort to one of its own three.
        models=(ModelRule(efforts=("minimal", *LOW_TO_HIGH, "xhigh", "max")),),
        max_stops=16,
        parallel_tool_calls=False,
        reasoning_back="reasoning_content",
        reasoning_required=True,
        needs_results=True,
        reasoning_off={"thinking": {"type": "disabled"}},
    ),
    Dialect(
        # Refuses a history whose calls of tools come without their reasoning, as DeepSeek does.
        name="moonshot",
        models=(ModelRule(efforts=NONE_TO_HIGH),),
        reasoning_back="reasoning_content",
        reasoning_required=True,
        needs_results=True,
    ),
    Dialect(
        # Takes its reasoning back.
        name="zai",
        base_path="/api/paas/v4",
        models=(
            ModelRule(pattern=r"glm-5\.[3-9]", efforts=("low", "high", "max"), always_reasons=True),
            ModelRule(pattern=r"glm-5\.2", efforts=("minimal", *LOW_TO_HIGH, "xhigh")),
            ModelRule(efforts=LOW_TO_HIGH),
        ),
        reasoning_back="reasoning_content",
        reasoning_off={"thinking": {"type": "disabled"}},
    ),
    Dialect(
        name="groq",
        base_path="/openai/v1",
        models=(
            # Left alone, it writes its reasoning into the text.
            ModelRule(
                pattern="qwen", efforts=("none",), reasoning_apart={"reasoning_format": "parsed"}
            ),
            ModelRule(efforts=LOW_TO_HIGH),
        ),
    ),
    Dialect(
        name="xai",
        models=(
            # Models that reason take no stop sequences: by the vendor's guide, refused with 400.
            ModelRule(pattern=r"non-reasoning|grok-[23](?!-mini)", efforts=()),
            ModelRule(pattern=r"grok-4\.3", efforts=NONE_TO_HIGH, stop=False, stop_unreasoned=True),
            # Which of them reasons is in the name, and cannot be set: refused with 400.
            ModelRule(
                pattern=r"grok-4\.20|grok-4(?:-1|\.1)?-fast|grok-code|grok-4(?:-0709|-latest)?$",
                efforts=(),
                stop=False,
            ),
            ModelRule(pattern=r"grok-3-mini", efforts=("low", "high"), stop=False),
            ModelRule(efforts=LOW_TO_HIGH, stop=False),
        ),
        strict=True,
        # It says so with status 400.
        patterns=(("incorrect api key provided", ErrorClass.AUTH),),
    ),
    Dialect(
        name="together",
        models=(ModelRule(efforts=LOW_TO_HIGH),),
        # As its servers say it, with whichever status.
        patterns=(("`max_new_tokens` must be <=", ErrorClass.CONTEXT_LENGTH),),
    ),
    Dialect(name="fireworks", models=(ModelRule(efforts=NONE_TO_HIGH),)),
    Dialect(
        # Takes reasoning back, by the name that it does not send it under.
        name="cerebras",
        models=(
            ModelRule(pattern="glm|qwen", efforts=NONE_TO_HIGH),
            ModelRule(efforts=LOW_TO_HIGH),
        ),
        max_tokens="max_completion_tokens",
        strict=True,
        reasoning_back="reasoning_content",
    ),
    # A router of its own: which server answers, and how it counts, is known by the answer alone.
    Dialect(name="huggingface", models=(ModelRule(efforts=LOW_TO_HIGH),)),
    Dialect(
        name="openrouter",
        base_path="/api/v1",
        models=(ModelRule(efforts=("none", "minimal", "low", "medium", "high", "xhigh")),),
        strict=True,
        documents="file",
        reasoning_back="reasoning_details",
    ),
)
DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in _ALL}
