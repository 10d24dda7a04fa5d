"""How the servers that speak Responses differ, as declared data.

Rules of this file: data only, no decisions; a new server is a new entry. `compatible` is for
servers that are not known better (vLLM, Ollama): it sends the least.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from routerd.providers.openai.dialects import (
    LOW_TO_HIGH,
    NONE_TO_HIGH,
    NONE_TO_XHIGH,
    OPENAI_MODELS,
    ModelRule,
)

__all__ = ["RESPONSES_DIALECTS", "ResponsesDialect"]


class ResponsesDialect(Struct, frozen=True, kw_only=True):
    """One server's habits.

    `encrypted` says that it gives out its reasoning encrypted if asked to, `summary` that it sums
    its reasoning up if asked to. `many_makers` is a server with the models of several, whose
    reasoning none but its own maker's models can read. `cache_marks` finds the models that take
    marks in the prompt, None where none do. `files` are the documents it takes besides text:
    those sent along, or those at an address too. `least_output_tokens` is the smallest bound on the
    output. `own_items` are what it takes back on the next turn of the tools that it ran itself, by
    their kinds. `needs_results` is as for Chat Completions. `key_header` carries the key.
    """

    name: str
    models: tuple[ModelRule, ...]
    encrypted: bool = False
    summary: bool = False
    many_makers: bool = False
    cache_marks: str | None = None
    files: Literal["data", "url"] | None = None
    least_output_tokens: int = 1
    own_items: frozenset[str] = frozenset()
    needs_results: bool = False
    key_header: Literal["authorization", "api-key"] = "authorization"

    @property
    def vendor(self) -> str:
        """Whose the reasoning and the sources are: the same server's other format has its own."""
        return f"{self.name}-responses"


# Here every model takes tools next to an effort, and GPT-6 takes `max`. From the API reference and
# the types of openai-python 3.51.
MODELS: Final = (
    ModelRule(pattern=r"gpt-6-astra|gpt-6\.1-sol", efforts=(*LOW_TO_HIGH, "xhigh", "max")),
    ModelRule(pattern=r"gpt-[6-9]", efforts=(*NONE_TO_XHIGH, "max")),
    *OPENAI_MODELS,
)
# Those that bill what they write to the cache.
MARKED_MODELS: Final = r"gpt-(?:5\.[6-9]|[6-9])"
# What nobody has to answer, and the input takes as the output has it. By the same types.
OPENAI_ITEMS: Final = frozenset(
    {
        *("web_search_call", "file_search_call", "code_interpreter_call"),
        *("image_generation_call", "mcp_list_tools", "mcp_call", "compaction"),
    }
)

_ALL: Final = (
    ResponsesDialect(
        name="openai",
        models=MODELS,
        encrypted=True,
        summary=True,
        cache_marks=MARKED_MODELS,
        files="url",
        least_output_tokens=16,
        own_items=OPENAI_ITEMS,
        needs_results=True,
    ),
    ResponsesDialect(
        # The model's name is that of a deployment, so that rules go by what users call theirs.
        name="azure",
        models=MODELS,
        encrypted=True,
        summary=True,
        files="data",
        least_output_tokens=16,
        own_items=OPENAI_ITEMS,
        needs_results=True,
        key_header="api-key",
    ),
    ResponsesDialect(
        # Bedrock's second host, Mantle.
        name="bedrock",
        models=(ModelRule(efforts=LOW_TO_HIGH),),
        many_makers=True,
    ),
    ResponsesDialect(
        name="deepseek",
        models=(ModelRule(efforts=("none", "minimal", *LOW_TO_HIGH, "xhigh", "max")),),
    ),
    ResponsesDialect(name="groq", models=(ModelRule(efforts=LOW_TO_HIGH),)),
    ResponsesDialect(
        name="openrouter",
        models=(ModelRule(efforts=("none", "minimal", *LOW_TO_HIGH, "xhigh")),),
        encrypted=True,
        summary=True,
        many_makers=True,
        files="url",
    ),
    ResponsesDialect(name="compatible", models=(ModelRule(efforts=NONE_TO_HIGH),)),
)
RESPONSES_DIALECTS: Final[Mapping[str, ResponsesDialect]] = {
    dialect.name: dialect for dialect in _ALL
}
