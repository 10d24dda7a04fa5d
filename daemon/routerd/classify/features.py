"""Cheap facts of a call, in one pass over its messages.

Rules of this file: pure, in microseconds, and never a word of the text goes on. The token estimate
needs no tokenizer: it is meant for windows and rules, not for bills. The bound is meant for holds:
no tokenizer makes more tokens than there are bytes, and all that vendors add is added generously.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.classify.tokens import estimate
from routerd.classify.words import WordRules, holds_code, texts_of
from routerd.domain import MOST_PER_IMAGE, Features, Kind
from routerd.models.amounts import NANODOLLARS_PER_CENT
from routerd.providers.json_text import encode_json
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
BYTES_PER_PAGE: Final = 50_000  # of a PDF; a page is about a picture

# What the bound adds for what is not text: templates, separators, what tools are described with.
MOST_PER_CALL: Final = 128
MOST_PER_MESSAGE: Final = 32
MOST_PER_PART: Final = 32
MOST_FOR_TOOLS: Final = 1024  # also for a schema the answer must fit
MOST_PER_TOOL: Final = 128


# Efforts that a call asks for that has something to think about.
MUCH_REASONING: Final = frozenset({"medium", "high", "xhigh", "max"})
NO_WORDS: Final = WordRules({})


class _Counted:
    """What is counted of messages, in one pass. Nearly all are one text."""

    images = documents = document_tokens = document_files = document_urls = hidden = 0
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
            self.document_tokens += _document_tokens(part)
            self._count_file(part)
        elif isinstance(part, ToolResult) and not isinstance(part.content, str):
            for inner in part.content:
                self._count(inner)
            self.parts += len(part.content)

    def _count_file(self, part: Document) -> None:
        """Count a document that a provider has to take as a file."""
        if part.data is None:
            self.document_files += 1
            self.document_urls += not (part.url or "").startswith("data:")
        elif not (part.media_type or "").startswith("text/"):
            self.document_files += 1


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
    # How many pages a document has, only its reader can tell.
    bound = None if counted.documents else _bound(counted, len(whole), len(messages), options)
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
    if options.raw:
        bound += len(encode_json(options.raw))  # some vendors put it into a prompt
    return bound


def _document_tokens(part: Document) -> int:
    pages = 1 + len(part.data or b"") // BYTES_PER_PAGE
    return pages * TOKENS_PER_IMAGE
