"""The shapes of Chat Completions answers, as far as they matter here.

Rules of this file: a stream's chunk and a plain answer are one shape, with `delta` in the one and
`message` in the other. Fields whose type servers do not agree on are `Any` and are checked where
they are used, so that one odd field does not cost the rest of an event. What typed decoding
refuses all the same is read again here, leniently.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.providers.json_text import read_json
from routerd.providers.tool_calls import Function, ToolCallFragment, function_of

__all__ = ["Choice", "Chunk", "Delta", "read_chunk", "reread_chunk"]


class Delta(Struct, gc=False):
    """What a chunk adds, or a whole message."""

    content: Any = None
    refusal: Any = None
    tool_calls: list[ToolCallFragment] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    function_call: Function | None = None
    annotations: Any = None


class Choice(Struct, gc=False):
    """One of the answers; routerd never asks for more than one."""

    index: Any = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: Any = None
    error: Any = None
    logprobs: Any = None


class Chunk(Struct, gc=False):
    """One event of a stream, or a plain answer."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    id: Any = None
    model: Any = None
    x_groq: Any = None
    system_fingerprint: Any = None


read_chunk: Final = msgspec.json.Decoder(Chunk).decode


def reread_chunk(data: bytes) -> tuple[Chunk, Any] | None:
    """Read what `read_chunk` refuses: the chunk and the plain data it comes from.

    Text in it may hold halves of surrogate pairs. None where it is JSON but no chunk; one of
    JSON_ERRORS where it is no JSON.
    """
    value = read_json(data)
    fields = value[0] if isinstance(value, list) and value else value
    if not isinstance(fields, dict):
        return None
    choices = fields.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    chunk = Chunk(
        choices=[_choice(item) for item in choices if isinstance(item, dict)]
        if isinstance(choices, list)
        else None,
        usage=fields.get("usage"),
        error=fields.get("error"),
        id=fields.get("id"),
        model=fields.get("model"),
        x_groq=fields.get("x_groq"),
        system_fingerprint=fields.get("system_fingerprint"),
    )
    return chunk, value


def _choice(fields: dict[str, Any]) -> Choice:
    return Choice(
        index=fields.get("index"),
        delta=_delta(fields.get("delta")),
        message=_delta(fields.get("message")),
        finish_reason=fields.get("finish_reason"),
        error=fields.get("error"),
        logprobs=fields.get("logprobs"),
    )


def _delta(fields: Any) -> Delta | None:
    if isinstance(fields, str):
        return Delta(content=fields)
    if not isinstance(fields, dict):
        return None
    calls = fields.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    return Delta(
        content=fields.get("content"),
        refusal=fields.get("refusal"),
        tool_calls=[_fragment(call) for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else None,
        reasoning_content=fields.get("reasoning_content"),
        reasoning=fields.get("reasoning"),
        reasoning_details=fields.get("reasoning_details"),
        function_call=function_of(fields.get("function_call")),
        annotations=fields.get("annotations"),
    )


def _fragment(fields: dict[str, Any]) -> ToolCallFragment:
    return ToolCallFragment(
        index=fields.get("index"),
        id=fields.get("id"),
        function=function_of(fields.get("function")),
    )
