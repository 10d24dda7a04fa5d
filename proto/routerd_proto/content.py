"""What a caller says: messages, their content parts and tools, in one shape for every vendor.

Rules of this file: plain data only. These structs travel as msgpack maps with short, stable keys,
so that a plain dict of the same keys is as good as a struct, and a client in another language can
build them by hand. What a field means for one vendor is written in that vendor's adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

__all__ = [
    "CacheLifetime",
    "Content",
    "Document",
    "Image",
    "Message",
    "Reasoning",
    "ReasoningEffort",
    "Role",
    "Text",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolName",
    "ToolResult",
]

Role = Literal["system", "user", "assistant", "tool"]
CacheLifetime = Literal["5m", "1h"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class _Part(Struct, tag_field="type", frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A map with the key `type`; an unknown key is refused, so that a typo is not lost."""


class Text(_Part, tag="text", frozen=True):
    """A piece of text. `cache` asks the vendor to cache the prompt up to and with this part."""

    text: str
    cache: CacheLifetime | None = None


class Image(_Part, tag="image", frozen=True):
    """A picture by `url`, or as `data` (raw bytes) with its `media_type` (`image/png`, ...)."""

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    cache: CacheLifetime | None = None


class Document(_Part, tag="document", frozen=True):
    """A document by `url`, or as `data` (raw bytes) with its `media_type` (`application/pdf`)."""

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    title: str | None = None
    cache: CacheLifetime | None = None


class Reasoning(_Part, tag="reasoning", frozen=True):
    """A model's reasoning, sent back on the next turn.

    `vendor` says whose it is and `data` holds what only that vendor can read (a signature, an
    encrypted block); both come from the answer and go back as they came.
    """

    text: str = ""
    vendor: str = ""
    data: dict[str, Any] = {}


class ToolCall(_Part, tag="tool_call", frozen=True):
    """A call that the model made: `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"


class ToolResult(_Part, tag="tool_result", frozen=True):
    """The answer to the tool call `call_id`."""

    call_id: str
    content: str | Sequence[Text | Image] = ""
    is_error: bool = False
    cache: CacheLifetime | None = None


Content = Text | Image | Document | Reasoning | ToolCall | ToolResult


class Message(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One turn. A plain string as content is one text part."""

    role: Role
    content: str | Sequence[Content]


class Tool(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A function the model may call; `parameters` is a JSON schema of type object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False


class ToolName(Struct, frozen=True, forbid_unknown_fields=True):
    """The one tool the model must call."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | ToolName
