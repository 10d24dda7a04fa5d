"""Cheap facts of a call, in one pass over its messages.

Rules of this file: pure, in microseconds, and never a word of the text goes on. The token estimate
needs no tokenizer: it is meant for windows and rules, not for bills. The bound is meant for holds:
no tokenizer makes more tokens than there are bytes, and all that vendors add is added generously.
A document of text is text to both. Of any other only its reader knows what stands in it.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final

from routerd.classify.tokens import estimate
from routerd.classify.words import WordRules, holds_code, texts_of
from routerd.domain import MOST_PER_IMAGE, Features, Kind
from routerd.models.amounts import NANODOLLARS_PER_CENT
from routerd.providers.chat_shapes import text_document
from routerd.providers.json_text import encode_json
from routerd.providers.media_types import plain_type
from routerd.providers.paused import paused_by
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from routerd_proto.frames import CallOptions

__all__ = ["NO_WORDS", "measure"]

TOKENS_PER_MESSAGE: Final = 4  # role and separators in the vendors' chat templates
TOKENS_PER_IMAGE: Final = 1_600  # a picture of about a megapixel at the vendors' usual rates
# Vendors look at a page of a PDF and read its text too, but for Gemini 3: 258 or 560 tokens at
# Gemini, 3,000 and more at Anthropic, by their public pages and from memory. About a picture.
TOKENS_PER_PAGE: Final = 1_600
BYTES_PER_PAGE: Final = 50_000  # of a document whose pages cannot be counted
PAGE_MARKS: Final = re.compile(rb"/Type\s*/Page[^A-Za-z]")
NAMED_ESCAPES: Final = b'"\\\b\f\n\r\t'
OTHER_ESCAPES: Final = bytes(set(range(32)) - set(NAMED_ESCAPES)) + b"\x7f"
PACKED: Final = b"/ObjStm"  # holds more pages than can be seen
LEAST_PAGE_BYTES: Final = 100
# Of a file, in bytes: to read or to decode more of one would hold other calls up.
MOST_READ: Final = 8 * 1024 * 1024
MOST_DECODED: Final = 1024 * 1024
# Text by another name, sent as a file all the same.
TEXT_FILES: Final = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/x-yaml"}
)

# What the bound adds for what is not text: templates, separators, what tools are described with.
MOST_PER_CALL: Final = 128
MOST_PER_MESSAGE: Final = 32
MOST_PER_PART: Final = 32
MOST_FOR_TOOLS: Final = 1024  # also for a schema the answer must fit
MOST_PER_TOOL: Final = 128
MOST_FOR_DOCUMENTS: Final = 1024  # what some vendors say about them by themselves
MOST_PER_DOCUMENT: Final = 128


# Efforts that a call asks for that has something to think about.
MUCH_REASONING: Final = frozenset({"medium", "high", "xhigh", "max"})
NO_WORDS: Final = WordRules({})


class _Counted:
    """What is counted of messages, in one pass. Nearly all are one text."""

    images = documents = document_tokens = document_files = document_urls = hidden = framed = 0
    calls_tools = False

    def __init__(self, messages: list[Message]) -> None:
        self.parts = len(messages)
        self.texts: list[bytes] = []
        for message in messages:
            content = message.content
            if isinstance(content, str):
                self.texts.append(content.encode(errors="surrogatepass"))
            else:
                self.parts += len(content) - 1
                for part in content:
                    self._count(part)

    def say(self, text: str) -> None:
        """Count a text of the prompt."""
        self.texts.append(text.encode(errors="surrogatepass"))

    def say_json(self, value: Any) -> None:
        """Count plain data that is written into the prompt as JSON."""
        self.texts.append(encode_json(value))

    def _count(self, part: Content) -> None:
        match part:
            case Text(text=text) | Reasoning(text=text) | ToolResult(content=str() as text):
                self.say(text)
            case ToolCall(name=name, arguments=arguments):
                self.say(name)
                self.say(arguments)
        if isinstance(part, Image):
            self.images += 1
        elif isinstance(part, Reasoning) and part.data:
            self.hidden += len(encode_json(part.data))  # thinking that only its vendor can read
        elif isinstance(part, ToolCall):
            self.calls_tools = True  # some vendors want the tools of earlier turns named again
        elif isinstance(part, Document):
            self.documents += 1
            self._count_document(part)
        elif isinstance(part, ToolResult) and not isinstance(part.content, str):
            for inner in part.content:
                self._count(inner)
            self.parts += len(part.content)

    def _count_document(self, part: Document) -> None:
        text = text_document(part)
        if text is None:
            self._count_file(part)
            return
        title = part.title or ""
        self.say(title)
        self.say(text)
        # Some vendors are sent it as JSON, and some models read it so: with marks before its marks.
        self.framed += MOST_PER_DOCUMENT + sum(map(_escapes_in, self.texts[-2:]))

    def _count_file(self, part: Document) -> None:
        """Count a document that a provider has to take as a file."""
        self.document_files += 1
        data, kind = part.data, plain_type(part.media_type or "application/pdf")
        size = 0
        if data is None:
            url = part.url or ""
            self.document_urls += not url.startswith("data:")
            data, kind = _data_of(url, kind)
            size = len(url) * 3 // 4
        if _is_text(kind):
            self.texts.append(data)
        else:
            self.document_tokens += TOKENS_PER_PAGE * _pages_of(data, size)


def measure(
    messages: list[Message],
    options: CallOptions,
    seconds: float = 600.0,
    *,
    words: WordRules = NO_WORDS,
    kind: Kind = "chat",
) -> Features:
    """Count what a decision may want to know; the call may take so many seconds."""
    counted = _Counted(messages)
    for tool in options.tools:
        counted.say(tool.name)
        counted.say(tool.description)
        counted.say_json(tool.parameters)
    if options.output_schema is not None:
        counted.say_json(options.output_schema)
    whole = b"".join(counted.texts)
    # A page may hold any number of words, and what a vendor makes of one is its own affair.
    bound = None if counted.document_files else _bound(counted, len(whole), len(messages), options)
    estimated, script = estimate(whole)
    tokens = int(estimated) + TOKENS_PER_MESSAGE * len(messages)
    texts = texts_of(messages)
    most_cents = options.max_cost_cents
    # In order: of so many given by name Python makes a dict first.
    return Features(
        tokens + TOKENS_PER_IMAGE * counted.images + counted.document_tokens,
        counted.images,
        counted.documents,
        len(options.tools),
        options.tool_choice not in (None, "auto", "none"),
        options.output_schema is not None,
        _begins_the_answer(messages),
        options.max_output_tokens,
        options.sensitivity or "public",
        bound,
        seconds,
        words.results(texts),
        kind,
        options.reasoning in MUCH_REASONING,
        holds_code(texts.question),
        options.critical,
        options.latency,
        options.region,
        options.session,
        None if most_cents is None else int(most_cents * NANODOLLARS_PER_CENT),
        tuple(options.flags),
        None,  # no policy of another call's
        counted.document_files,
        counted.document_urls,
        options.logprobs is not None,
        script,
    )


def _begins_the_answer(messages: list[Message]) -> bool:
    """Say whether the model is to go on from words of the caller's: a pause its vendor ends."""
    if not messages or messages[-1].role != "assistant":
        return False
    return paused_by(messages) is None


def _bound(counted: _Counted, size: int, messages: int, options: CallOptions) -> int:
    """Return the tokens that no tokenizer and no template passes."""
    bound = size + MOST_PER_CALL + MOST_PER_MESSAGE * messages + MOST_PER_PART * counted.parts
    bound += counted.hidden + MOST_PER_IMAGE * counted.images
    if options.tools or options.output_schema is not None or counted.calls_tools:
        bound += MOST_FOR_TOOLS + MOST_PER_TOOL * len(options.tools)
    if counted.documents:
        bound += MOST_FOR_DOCUMENTS + counted.framed
    if options.raw:
        bound += len(encode_json(options.raw))  # some vendors put it into a prompt
    return bound


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in TEXT_FILES


def _escapes_in(text: bytes) -> int:
    """Return how many bytes more JSON may take for a text than it has."""
    named = len(text) - len(text.translate(None, NAMED_ESCAPES))
    return named + 5 * (len(text) - len(text.translate(None, OTHER_ESCAPES)))


def _data_of(url: str, kind: str) -> tuple[bytes, str]:
    """Return what a data URL holds and of which type; nothing of a long file or another URL."""
    end = url.find(",")
    if end < 0 or not url.startswith("data:"):
        return b"", "application/pdf"
    kind = plain_type(url[len("data:") : end].removesuffix(";base64")) or kind
    if len(url) > MOST_DECODED and not _is_text(kind):
        return b"", kind
    try:
        return base64.b64decode(url[end + 1 :]), kind
    except ValueError:
        return b"", kind  # no provider takes it


def _pages_of(data: bytes, size: int) -> int:
    """Return how many pages a document has, as far as it says so itself; by its size else.

    `size` is how long it is about, in bytes, where there is no data.
    """
    by_size = 1 + (len(data) or size) // BYTES_PER_PAGE
    if len(data) > MOST_READ:
        return by_size
    told = min(len(PAGE_MARKS.findall(data)), 1 + len(data) // LEAST_PAGE_BYTES)
    return max(told, by_size) if PACKED in data else told or by_size
