"""The body of a Chat Completions request, as far as it has an effect here."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from routerd.simulate.openai.errors import invalid

__all__ = ["ChatRequest", "Message", "ResponseFormat", "StreamOptions", "decoded", "decoded_as"]

T = TypeVar("T")


class Part(msgspec.Struct):
    """A part of a message's content: text, an image, a sound or a file."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: dict[str, Any] | None = None
    input_audio: dict[str, Any] | None = None
    file: dict[str, Any] | None = None


class Function(msgspec.Struct):
    """Name and JSON text of the arguments of a tool call."""

    name: str
    arguments: str


class CalledTool(msgspec.Struct):
    """A tool call in an assistant message."""

    id: str
    function: Function | None = None
    type: str = "function"


class Message(msgspec.Struct, omit_defaults=True):
    """A message of the conversation."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class OfferedFunction(msgspec.Struct):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(msgspec.Struct):
    """An entry of `tools`."""

    type: str
    function: OfferedFunction | None = None


class NamedSchema(msgspec.Struct):
    """The schema of a structured output."""

    name: str
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    """What shape the answer takes."""

    type: str
    json_schema: NamedSchema | None = None


class StreamOptions(msgspec.Struct):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(msgspec.Struct):
    """The body of `POST /v1/chat/completions`: the fields that have an effect here."""

    model: str | None = None
    messages: list[Message] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    prompt_mode: str | None = None
    thinking: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None


DECODER = msgspec.json.Decoder(ChatRequest)


def decoded(data: bytes) -> ChatRequest:
    """Decode the JSON; say what is wrong in the vendor's words."""
    return decoded_as(DECODER, data)


def decoded_as(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode JSON of any shape; say what is wrong in the vendor's words."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        param = place.rstrip("`").lstrip(".") or None
        raise invalid(f"Invalid type for '{param}': {what}.", "invalid_type", param) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
            "but what was sent was not valid JSON.)"
        ) from None
