"""Cheap facts of a call, in one pass over its messages.

Rules of this file: pure, in microseconds, and never a word of the text goes on. The token estimate
needs no tokenizer: it is meant for windows and rules, not for bills.
"""

from __future__ import annotations

from typing import Final

from routerd.domain import Features
from routerd.providers.json_text import encode_json
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from routerd_proto.frames import CallOptions

__all__ = ["measure"]

# Text of the common languages and code lies between 2.5 and 4.5 bytes a token with today's
# tokenizers; the low side of the middle errs towards too many tokens.
BYTES_PER_TOKEN: Final = 3.5
TOKENS_PER_MESSAGE: Final = 4  # role and separators in the vendors' chat templates
TOKENS_PER_IMAGE: Final = 1_600  # a picture of about a megapixel at the vendors' usual rates
BYTES_PER_PAGE: Final = 50_000  # of a PDF; a page is about a picture


def measure(messages: list[Message], options: CallOptions) -> Features:
    """Count what a decision may want to know."""
    size = images = document_tokens = documents = 0
    for message in messages:
        if isinstance(message.content, str):
            size += _bytes(message.content)
            continue
        for part in message.content:
            size += _part_bytes(part)
            if isinstance(part, Image):
                images += 1
            elif isinstance(part, Document):
                documents += 1
                document_tokens += _document_tokens(part)
            elif isinstance(part, ToolResult) and not isinstance(part.content, str):
                images += sum(isinstance(inner, Image) for inner in part.content)
    size += sum(_tool_bytes(tool) for tool in options.tools)
    if options.output_schema is not None:
        size += len(encode_json(options.output_schema))
    tokens = int(size / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages)
    return Features(
        input_tokens=tokens + TOKENS_PER_IMAGE * images + document_tokens,
        images=images,
        documents=documents,
        tools=len(options.tools),
        forced_tool=options.tool_choice not in (None, "auto", "none"),
        output_schema=options.output_schema is not None,
        prefill=messages[-1].role == "assistant",
        max_output_tokens=options.max_output_tokens,
        sensitivity=options.sensitivity or "public",
    )


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _part_bytes(part: Content) -> int:
    match part:
        case Text(text=text) | Reasoning(text=text):
            return _bytes(text)
        case ToolCall(name=name, arguments=arguments):
            return len(name) + _bytes(arguments)
        case ToolResult(content=str() as text):
            return _bytes(text)
        case ToolResult(content=list() as inner):
            return sum(_part_bytes(item) for item in inner)
        case _:
            return 0


def _document_tokens(part: Document) -> int:
    pages = 1 + len(part.data or b"") // BYTES_PER_PAGE
    return pages * TOKENS_PER_IMAGE


def _tool_bytes(tool: Tool) -> int:
    return len(tool.name) + _bytes(tool.description) + len(encode_json(tool.parameters))
