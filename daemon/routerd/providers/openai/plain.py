"""A plain Chat Completions answer by the book, in one go; any other goes the general way.

Rules of this file: no part and no field of an outcome but those that `decode` would give. That
reads an answer step by step, as a stream has to be, in several times the instructions. Nearly all
plain answers are one text with its usage, and one typed decoding says all of them. What holds
anything else, in a field that `decode` reads, does not fit the shapes here; it is read there from
its first byte on.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from routerd.domain import Part
from routerd.providers.base import Outcome
from routerd.providers.bounds import MAX_PART_CHARACTERS
from routerd.providers.failure import FailureRules
from routerd.providers.json_text import JSON_ERRORS
from routerd.providers.openai.decode import ChatDecoder
from routerd.providers.openai.usage import PlainUsage, in_buckets
from routerd_proto.frames import TextDelta

__all__ = ["PlainAnswer", "PlainChoice", "PlainDecoder", "PlainMessage"]

Nothing = Annotated[str, Meta(max_length=0)] | Annotated[list[Any], Meta(max_length=0)] | None
"""What a field holds that says nothing, as servers write it."""


class PlainMessage(Struct, gc=False):
    """A `Delta` with a text and no more."""

    content: str
    refusal: Nothing = None
    tool_calls: Nothing = None
    reasoning_content: Nothing = None
    reasoning: Nothing = None
    reasoning_details: Nothing = None
    function_call: None = None
    annotations: Nothing = None
    audio: Nothing = None
    images: Nothing = None
    executed_tools: Nothing = None


class PlainChoice(Struct, gc=False):
    """A `Choice` that is whole."""

    message: PlainMessage
    finish_reason: Literal["stop", "length"]
    index: Any = None
    delta: None = None
    error: None = None
    logprobs: None = None
    text: Nothing = None


class PlainGroq(Struct, gc=False):
    """What Groq says beside: where an answer has a usage, Groq's own says nothing more."""

    error: Nothing = None


class PlainAnswer(Struct, gc=False):
    """A `Chunk` that is a whole answer."""

    choices: tuple[PlainChoice]
    usage: PlainUsage
    error: Nothing = None
    id: str | None = None
    model: str | None = None
    x_groq: PlainGroq | None = None
    system_fingerprint: str | None = None
    service_tier: Any = None
    citations: Nothing = None
    search_results: Nothing = None


read_answer: Final = msgspec.json.Decoder(PlainAnswer).decode


class PlainDecoder:
    """Decode one answer that was asked for in one piece, whatever comes."""

    __slots__ = ("_body", "_general", "_is_read", "_rules", "_vendor", "outcome")

    def __init__(self, vendor: str, rules: FailureRules) -> None:
        self.outcome = Outcome()
        self._vendor = vendor
        self._rules = rules
        self._body = bytearray()
        self._is_read = False
        self._general: ChatDecoder | None = None

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that `data` completes: none, unless it is a stream after all."""
        if self._general is not None:
            return self._general.feed(data)
        body = self._body
        body += data
        # No stream begins so; and a part has to fit a frame.
        if body.startswith(b"{") and len(body) <= MAX_PART_CHARACTERS:
            return []
        return self._generally().feed(bytes(body))

    def end(self) -> list[Part]:
        """Take the end of the body; what is still whole comes out, and `outcome` is final."""
        if self._general is not None:
            return self._general.end()
        if self._is_read:
            return []
        try:
            answer = read_answer(self._body)
        except JSON_ERRORS:
            general = self._generally()
            return general.feed(bytes(self._body)) + general.end()
        self._is_read = True
        return self._tell(answer)

    def _generally(self) -> ChatDecoder:
        self._general = ChatDecoder(self._vendor, self._rules, stream=False, outcome=self.outcome)
        return self._general

    def _tell(self, answer: PlainAnswer) -> list[Part]:
        outcome, (choice,) = self.outcome, answer.choices
        outcome.model = answer.model or None
        outcome.response_id = answer.id or None
        outcome.fingerprint = answer.system_fingerprint or None
        if answer.service_tier is not None:
            outcome.terms = {"servicetier": answer.service_tier}
        outcome.usage = in_buckets(answer.usage)
        outcome.finish = choice.finish_reason
        outcome.complete = True
        text = choice.message.content
        return [TextDelta(text)] if text else []
