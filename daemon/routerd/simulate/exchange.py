"""The nouns of one simulated call: what was asked and answered, its usage, and a refusal.

Data only, of no vendor: a vendor's file turns its wire into a `Question`, and a `Reply` into its
wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from routerd.simulate.tokens import Mark

__all__ = [
    "Answer",
    "Asked",
    "Finish",
    "Frame",
    "HttpAnswer",
    "JsonSchema",
    "Question",
    "Refusal",
    "Reply",
    "Search",
    "Tool",
    "ToolCall",
    "Usage",
]

JsonSchema = Mapping[str, Any] | bool
Finish = Literal["stop", "stop_sequence", "length", "tool_calls"]


class Asked(NamedTuple):
    """An HTTP request that a vendor reads.

    `headers` are found by lower-case names; `fields` are taken from the path.
    """

    headers: Mapping[str, str]
    body: bytes
    fields: Mapping[str, str]
    query: Mapping[str, str]


class Tool(msgspec.Struct, frozen=True):
    """A tool that the caller offers."""

    name: str
    schema: JsonSchema


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What an embedding or, with a `query`, a ranking is asked for; `top` is how many are wanted.

    `in_base64`: how the vectors are to be written; `with_texts`: whether documents are sent back;
    `shape`: which of the vendor's answers it is, where there are several.
    """

    texts: tuple[str, ...]
    query: str | None = None
    dimensions: int | None = None
    top: int | None = None
    in_base64: bool = False
    with_texts: bool = False
    shape: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What any vendor's request comes down to.

    `said`: the text of the last user message that has text, its parts joined by newlines.
    `prompt`: everything sent, as the bytes that are counted and cached; `borders`: where its blocks
    end; `marks`: the caller's cache marks, None where the vendor caches unasked.
    `tool_choice`: auto, none, required or `named`, then `tool_named` says which.
    `tools_answered`: the last message brings tool results. `prefilled`: it is the assistant's.
    `reasoning_tokens`: 0 where no reasoning was asked; `reasoning_shown`: whether its text is sent.
    `limit`: the most output tokens. `usage_in_stream`: whether a stream tells its usage; `padded`:
    whether its events carry filler. `alternatives`: how many other tokens the logprobs of a token
    name; None is no logprobs. `pauses`: the answer stops with a search of the vendor's own begun;
    `begun`: such a search, by its id, that the answer goes on from. `aloud`: what the model says
    before it calls tools. `search`: it is no chat, and nothing is said or prompted.
    """

    model: str
    said: str
    prompt: bytes
    stream: bool = False
    borders: tuple[int, ...] = ()
    marks: tuple[Mark, ...] | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none", "required", "named"] = "auto"
    tool_named: str = ""
    tools_answered: bool = False
    prefilled: bool = False
    parallel_calls: bool = True
    schema: JsonSchema | None = None
    reasoning_tokens: int = 0
    reasoning_shown: bool = False
    limit: int | None = None
    stops: tuple[str, ...] = ()
    usage_in_stream: bool = True
    padded: bool = True
    alternatives: int | None = None
    pauses: bool = False
    begun: str | None = None
    aloud: str = ""
    search: Search | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """A call of a tool. `arguments`: JSON text in tokens, cut short where the limit was met."""

    name: str
    arguments: tuple[str, ...]

    def input(self) -> dict[str, Any]:
        """Return the arguments as an object: empty where the limit cut their JSON short."""
        try:
            return msgspec.json.decode("".join(self.arguments), type=dict[str, Any])
        except msgspec.DecodeError:
            return {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated model says, token by token."""

    finish: Finish
    reasoning: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    stop: str | None = None

    @property
    def visible_tokens(self) -> int:
        """Count the tokens besides reasoning."""
        return len(self.text) + sum(len(call.arguments) for call in self.calls)

    @property
    def output_tokens(self) -> int:
        """Count all tokens made."""
        return len(self.reasoning) + self.visible_tokens


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call. `input` is the whole prompt, `output` includes reasoning.

    `cached` (read from the cache), `written` and `written_long` (to it, for minutes or an hour) are
    parts of `input`. `queries` are what rankings are sold by.
    """

    input: int = 0
    cached: int = 0
    written: int = 0
    written_long: int = 0
    output: int = 0
    reasoning: int = 0
    queries: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """All that a vendor needs to write an answer. `id`: long hex; `created`: Unix seconds."""

    id: str
    created: int
    question: Question
    answer: Answer
    usage: Usage

    @property
    def sent_tokens(self) -> int:
        """Count the tokens that travel: hidden reasoning does not."""
        answer = self.answer
        return answer.output_tokens if self.question.reasoning_shown else answer.visible_tokens


class Frame(NamedTuple):
    """One event of a stream, and how many of the answer's tokens it carries."""

    data: bytes
    tokens: int


class HttpAnswer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Refusal(Exception):  # noqa: N818 - a refusal is an answer the vendor gives, not a bug
    """The vendor says no. `kind`, `code`: in its own words; `page`: a CDN's HTML instead."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        page: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.page = page
