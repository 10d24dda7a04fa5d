"""The body of a Responses request, as far as it has an effect here."""

from __future__ import annotations

from typing import Any

import msgspec

from routerd.simulate.openai.body import StreamOptions, decoded_as

__all__ = ["Item", "ResponsesRequest", "TextFormat", "decoded"]


class Part(msgspec.Struct, omit_defaults=True):
    """A part of a message, of a tool's result, or of reasoning."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None


class Item(msgspec.Struct, omit_defaults=True):
    """An item of the input of any type: its fields are those of all types together."""

    type: str = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    phase: str | None = None


class OfferedTool(msgspec.Struct):
    """An entry of `tools`; a vendor's own tool has a type and nothing else that matters."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Thinking(msgspec.Struct):
    """How much to reason, and whether to sum it up."""

    effort: str | None = None
    summary: str | None = None


class TextFormat(msgspec.Struct):
    """What shape the answer takes."""

    type: str
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextSettings(msgspec.Struct):
    """Settings of the text."""

    format: TextFormat | None = None


class ResponsesRequest(msgspec.Struct):
    """The body of `POST /v1/responses`: the fields that have an effect here."""

    model: str | None = None
    input: str | list[Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    max_output_tokens: int | None = None
    reasoning: Thinking | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None
    previous_response_id: str | None = None
    background: bool | None = None


DECODER = msgspec.json.Decoder(ResponsesRequest)


def decoded(data: bytes) -> ResponsesRequest:
    """Decode the JSON; say what is wrong in the vendor's words."""
    return decoded_as(DECODER, data)
