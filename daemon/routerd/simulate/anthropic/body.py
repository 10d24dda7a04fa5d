"""The body of a Messages request, as far as it has an effect here."""

from __future__ import annotations

from typing import Any

import msgspec

from routerd.simulate.anthropic.errors import invalid

__all__ = ["Block", "CacheControl", "Message", "MessagesRequest", "OfferedTool", "decoded"]

MARK_SECONDS = {"5m": 300.0, "1h": 3600.0}


class CacheControl(msgspec.Struct):
    """A cache mark."""

    type: str
    ttl: str | None = None

    @property
    def seconds(self) -> float:
        """Say how long to keep the prefix."""
        if self.type != "ephemeral" or (self.ttl or "5m") not in MARK_SECONDS:
            raise invalid("cache_control: Input should be 'ephemeral' with a ttl of '5m' or '1h'")
        return MARK_SECONDS[self.ttl or "5m"]


class Block(msgspec.Struct, omit_defaults=True):
    """A content block of any type: its fields are those of all types together."""

    type: str
    text: str | None = None
    source: dict[str, Any] | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, Any] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    encrypted_content: str | None = None
    cache_control: CacheControl | None = None


class Message(msgspec.Struct):
    """A turn of the conversation."""

    role: str
    content: str | list[Block]


class OfferedTool(msgspec.Struct):
    """An entry of `tools`; a vendor's own tool has a type and no schema."""

    name: str
    type: str | None = None
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    cache_control: CacheControl | None = None


class ToolChoice(msgspec.Struct):
    """How tools may be used."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """Whether to think first, and whether to show it."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct):
    """The schema of a structured output."""

    type: str
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    """Effort and shape of the answer."""

    effort: str | None = None
    format: OutputFormat | None = None


class MessagesRequest(msgspec.Struct):
    """The body of `POST /v1/messages`: the fields that have an effect here."""

    model: str | None = None
    messages: list[Message] | None = None
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    cache_control: CacheControl | None = None


DECODER = msgspec.json.Decoder(MessagesRequest)


def decoded(data: bytes) -> MessagesRequest:
    """Decode the JSON; say what is wrong in the vendor's words."""
    try:
        return DECODER.decode(data)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".").replace("[", ".").replace("]", "")
        raise invalid(f"{field}: {what}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("The request body is not valid JSON.") from None
