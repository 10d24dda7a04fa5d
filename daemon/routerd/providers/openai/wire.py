"""The shapes of Chat Completions answers, as far as they matter here.

Rules of this file: a stream's chunk and a plain answer are one shape, with `delta` in the one and
`message` in the other. Fields whose type servers do not agree on are `Any` and are checked where
they are used, so that one odd field does not cost the rest of an event.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Struct

from routerd.providers.loose import JsonShape
from routerd.providers.tool_calls import Function, ToolCallFragment

__all__ = ["CHUNKS", "Choice", "Chunk", "Delta", "calls_in"]


class Delta(Struct, gc=False):
    """What a chunk adds, or a whole message."""

    BARE: ClassVar = "content"

    content: Any = None
    refusal: Any = None
    tool_calls: list[ToolCallFragment] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    function_call: Function | None = None
    annotations: Any = None
    audio: Any = None
    images: Any = None
    executed_tools: Any = None


class Choice(Struct, gc=False):
    """One of the answers; routerd never asks for more than one.

    `text` is where the older Completions, and servers that grew out of them, have it.
    """

    index: Any = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: Any = None
    error: Any = None
    logprobs: Any = None
    text: Any = None


class Chunk(Struct, gc=False):
    """One event of a stream, or a plain answer."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    id: Any = None
    model: Any = None
    x_groq: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None
    citations: Any = None
    search_results: Any = None


CHUNKS: Final = JsonShape(Chunk)


def calls_in(message: Delta) -> list[ToolCallFragment]:
    """Return the pieces of tool calls that a delta, or a whole message, holds."""
    calls = list(message.tool_calls or ())
    if message.function_call is not None:
        calls.append(ToolCallFragment(function=message.function_call))
    return calls
