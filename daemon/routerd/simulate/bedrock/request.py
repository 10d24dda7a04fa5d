"""A Converse request: read, checked as Bedrock checks it, and turned into a `Question`.

The bodies are plain JSON objects whose members are unions with one key; they are looked at only
where they have an effect here.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from routerd.simulate.anthropic.request import THINKS_UNSHOWN
from routerd.simulate.bedrock.errors import invalid
from routerd.simulate.exchange import Asked, JsonSchema, Question, Tool
from routerd.simulate.vendor import Prompt

__all__ = ["read_question", "signature_of"]

THINKING_TOKENS = {"low": 16, "medium": 32, "high": 48, "xhigh": 96, "max": 160}
NOVAS_EFFORTS = ("low", "medium", "high")
NOT_WITH_HIGH = ("maxTokens", "temperature", "topP")
MARK_SECONDS = {"5m": 300.0, "1h": 3600.0}
MOST_MARKS = 4
NOVA = "amazon.nova"
# Amazon's models say what they think before they call.
ALOUD = "<thinking> I need a tool for this. </thinking>\n"
# Words with one blank between them.
DOCUMENT_NAME = re.compile(r"(?:[a-zA-Z0-9()\[\]-]+ )*[a-zA-Z0-9()\[\]-]+")
MOST_OF_A_NAME = 200
TOOL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


def read_question(asked: Asked) -> Question:
    """Read a request; raise `Refusal` as the vendor would."""
    body = decoded(asked.body)
    model = unquote(asked.fields["model"])
    turns = checked_turns(body.get("messages"))
    config = member(body, "toolConfig")
    specs = [member(tool, "toolSpec") for tool in config.get("tools", ()) if "toolSpec" in tool]
    check_tools(turns, config, specs)
    choice, named = tool_choice(config, specs)
    prompt = gathered(body, turns, specs)
    inference = member(body, "inferenceConfig")
    limit = inference.get("maxTokens")
    if isinstance(limit, int) and limit < 1:
        raise invalid("Value at 'inferenceConfig.maxTokens' must be greater than or equal to 1")
    said = next((text for turn in reversed(turns) if (text := user_text(turn))), "")
    return Question(
        model=model,
        said=said,
        prompt=prompt.data,
        borders=prompt.borders,
        marks=prompt.marks,
        stream=bool(asked.fields.get("stream")),
        tools=tuple(
            Tool(spec["name"], member(spec, "inputSchema").get("json", {})) for spec in specs
        ),
        tool_choice=choice,
        tool_named=named,
        tools_answered=any("toolResult" in block for block in turns[-1]["content"]),
        schema=wanted_schema(body),
        reasoning_tokens=thinking(body, model, limit),
        reasoning_shown=shows_thinking(body, model),
        limit=limit,
        stops=tuple(inference.get("stopSequences", ())),
        aloud=ALOUD if NOVA in model else "",
    )


def decoded(data: bytes) -> dict[str, Any]:
    """Decode the JSON."""
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("The request body is not valid JSON.") from None


def member(value: Any, name: str) -> dict[str, Any]:
    """Return an object inside another, empty where it is not there."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def checked_turns(messages: Any) -> list[dict[str, Any]]:
    """Check that the turns alternate from the user on, and what stands in them."""
    if not isinstance(messages, list) or not messages:
        raise invalid("A conversation must start with a user message.")
    called: set[str] = set()
    titles: set[str] = set()
    for number, turn in enumerate(messages):
        wanted = "assistant" if number % 2 else "user"
        if not isinstance(turn, dict) or turn.get("role") != wanted:
            raise invalid("A conversation must alternate between user and assistant roles.")
        if not isinstance(turn.get("content"), list) or not turn["content"]:
            raise invalid(f"The content field in the Message object at messages.{number} is empty.")
        for block in turn["content"]:
            check_block(block, number, called)
        check_documents(turn["content"], number, titles)
    return messages


def check_block(block: Any, number: int, called: set[str]) -> None:
    """Check one block by itself, and that a result is of a call."""
    if not isinstance(block, dict) or len(block) != 1:
        raise invalid(f"messages.{number}.content must hold objects with exactly one key")
    if "text" in block and not block["text"].strip():
        raise invalid(f"The text field in the ContentBlock at messages.{number}.content is blank.")
    if "toolUse" in block:
        name = block["toolUse"]["toolUseId"]
        if not TOOL_ID.fullmatch(name):
            raise invalid(f"toolUseId must satisfy the pattern {TOOL_ID.pattern}")
        called.add(name)
    if "toolResult" in block and block["toolResult"]["toolUseId"] not in called:
        raise invalid("The number of toolResult blocks exceeds that of toolUse blocks.")
    result = member(block, "toolResult")
    if result.get("status") == "error" and not result.get("content"):
        raise invalid(
            f"The content field at messages.{number}.content.toolResult cannot be empty when "
            "status value is error."
        )
    reasoning = member(member(block, "reasoningContent"), "reasoningText")
    # An empty text beside a signature counts as unchanged.
    thought = reasoning.get("text")
    if thought and reasoning.get("signature") not in (None, signature_of(thought)):
        raise invalid("Invalid `signature` in `thinking` block")


def check_documents(blocks: list[dict[str, Any]], number: int, titles: set[str]) -> None:
    """Check that documents have names, each its own, and words beside them."""
    names = [block["document"].get("name", "") for block in blocks if "document" in block]
    for name in names:
        if not DOCUMENT_NAME.fullmatch(name) or len(name) > MOST_OF_A_NAME:
            raise invalid(
                "The document file name can only contain alphanumeric characters, whitespace "
                "characters, hyphens, parentheses, and square brackets. The name can't contain "
                "more than one consecutive whitespace character."
            )
        if name in titles:
            raise invalid(f"messages.{number}.content contains duplicate document file names.")
        titles.add(name)
    if names and not any("text" in block for block in blocks):
        raise invalid("A text block must be provided when using documents.")


def check_tools(
    turns: list[dict[str, Any]], config: dict[str, Any], specs: list[dict[str, Any]]
) -> None:
    """Check that tools are there where the history has calls, and have names and words."""
    blocks = [block for turn in turns for block in turn["content"]]
    if not config and any("toolUse" in block or "toolResult" in block for block in blocks):
        raise invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
    if config and not specs:
        raise invalid("toolConfig.tools must hold at least one tool")
    if any(spec.get("description") == "" for spec in specs):
        raise invalid("toolSpec.description must have a length of at least 1")


def tool_choice(
    config: dict[str, Any], specs: list[dict[str, Any]]
) -> tuple[Literal["auto", "none", "required", "named"], str]:
    """Read `toolChoice`: how, and which tool by name."""
    choice = member(config, "toolChoice")
    if "any" in choice:
        return "required", ""
    if "tool" in choice:
        name = str(choice["tool"]["name"])
        if name not in [spec["name"] for spec in specs]:
            raise invalid(f"toolChoice names the tool {name}, which is not there")
        return "named", name
    return "auto", ""


def thinking(body: dict[str, Any], model: str, limit: int | None) -> int:
    """Read how many tokens to think."""
    more = member(body, "additionalModelRequestFields")
    if NOVA in model:
        return thinking_of_nova(body, more)
    asked = member(more, "thinking")
    if "reasoning_effort" in more:
        return THINKING_TOKENS.get(more["reasoning_effort"], 32)
    if asked.get("type") == "enabled":
        if limit is not None and limit <= asked.get("budget_tokens", 0):
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
        return THINKING_TOKENS["high"]
    if asked.get("type") == "adaptive":
        return THINKING_TOKENS.get(member(more, "output_config").get("effort", "high"), 48)
    return 0


def shows_thinking(body: dict[str, Any], model: str) -> bool:
    """Read whether thinking is shown: newer models of Anthropic's want to be asked."""
    asked = member(member(body, "additionalModelRequestFields"), "thinking")
    default = "omitted" if THINKS_UNSHOWN.search(model) else "summarized"
    return bool(asked.get("display", default) != "omitted")


def thinking_of_nova(body: dict[str, Any], more: dict[str, Any]) -> int:
    """Read Nova's own field; it takes nobody else's, and no bound with the highest effort."""
    for name in ("thinking", "output_config", "reasoning_effort", "reasoning_config"):
        if name in more:
            raise invalid(f"Malformed input request: #: extraneous key [{name}] is not permitted")
    asked = member(more, "reasoningConfig")
    if asked.get("type") != "enabled":
        return 0
    effort = asked.get("maxReasoningEffort")
    if effort not in NOVAS_EFFORTS:
        raise invalid("Invalid maxReasoningEffort: expected low, medium or high")
    inference = member(body, "inferenceConfig")
    if effort == "high" and not inference.keys().isdisjoint(NOT_WITH_HIGH):
        raise invalid("maxTokens, temperature and topP must be unset where the effort is high")
    return THINKING_TOKENS[effort]


def wanted_schema(body: dict[str, Any]) -> JsonSchema | None:
    """Read the schema the answer must fit, which comes as a string."""
    structure = member(member(member(body, "outputConfig"), "textFormat"), "structure")
    text = member(structure, "jsonSchema").get("schema")
    if text is None:
        return None
    try:
        schema: JsonSchema = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        raise invalid("outputConfig.textFormat: the schema is not valid JSON") from None
    return schema


def gathered(
    body: dict[str, Any], turns: list[dict[str, Any]], specs: list[dict[str, Any]]
) -> Prompt:
    """Gather the prompt in the order that the vendor caches: tools, system, messages."""
    prompt = Prompt()
    for spec in specs:
        prompt.add(spec)
    for block in body.get("system", ()):
        add(prompt, "system", block)
    for turn in turns:
        for block in turn["content"]:
            add(prompt, turn["role"], block)
    if len(prompt.marks) > MOST_MARKS:
        raise invalid(f"A maximum of {MOST_MARKS} cachePoint blocks may be provided.")
    if prompt.rising:
        raise invalid("a ttl='1h' cachePoint must not come after a ttl='5m' cachePoint.")
    return prompt


def add(prompt: Prompt, role: str, block: dict[str, Any]) -> None:
    """Add a block; a cache point marks what came before it."""
    if "cachePoint" in block:
        prompt.mark(MARK_SECONDS.get(block["cachePoint"].get("ttl", "5m"), 300.0))
        return
    for kind in ("image", "document"):
        data = member(member(block, kind), "source").get("bytes")
        if isinstance(data, str):
            prompt.add([role, kind], data)
            return
    prompt.add([role, block])


def user_text(turn: dict[str, Any]) -> str:
    """Return the text of a user turn, its blocks joined by newlines."""
    if turn["role"] != "user":
        return ""
    return "\n".join(block["text"] for block in turn["content"] if "text" in block)


def signature_of(thought: str) -> str:
    """Return the signature that goes with a thought."""
    return hashlib.sha256(b"routerd-simulated" + thought.encode()).hexdigest()
