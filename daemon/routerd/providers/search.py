"""What the wires of embedding and ranking have in common: what is asked, and how much at once.

Rules of this file: as for every adapter, no I/O, no clock, and no exception leaves a decoder. An
answer is read when it is whole; half of one is none. A vector that is missing, too short or no
number makes the whole answer a bad one: who writes an index would never find the hole. Vectors
that another model gave than was asked are none at all: nobody could tell them from the right ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from routerd.domain import Part, Usage
from routerd.errors import ErrorClass, Failure
from routerd.models.local import normalise, strip_format
from routerd.providers.base import AnswerDecoder, EncodedRequest, Headers, Outcome
from routerd.providers.counts import counts_in, is_absurd
from routerd.providers.failure import error_of
from routerd.providers.json_text import JSON_ERRORS, read_json
from routerd.telemetry.plain import as_code
from routerd_proto.search import Purpose

__all__ = [
    "JSON_HEADERS",
    "EmbedRequest",
    "RankRequest",
    "SearchLimits",
    "SearchRequest",
    "SearchWire",
    "WholeDecoder",
    "bad_answer",
    "decoded",
    "in_order",
    "of_another_model",
    "tokens_read",
]

JSON_HEADERS: Final[Headers] = [(b"content-type", b"application/json")]


class EmbedRequest(Struct, frozen=True):
    """Texts that one request asks the vectors of; see `EmbedRequested`.

    `model` is what the directory calls the model, since the provider's id may be the user's own.
    """

    model_id: str
    inputs: list[str]
    dimensions: int | None = None
    purpose: Purpose | None = None
    truncate: bool = False
    model: str = ""

    @property
    def texts(self) -> int:
        """How many there are."""
        return len(self.inputs)


class RankRequest(Struct, frozen=True):
    """Documents that one request asks the order of; see `RerankRequested`."""

    model_id: str
    query: str
    documents: list[str]
    top: int | None = None
    truncate: bool = False

    @property
    def texts(self) -> int:
        """How many there are."""
        return len(self.documents)


SearchRequest = EmbedRequest | RankRequest


class SearchLimits(Struct, frozen=True):
    """How much one request may hold: texts, and tokens of all of them, None where nobody says.

    `tells_purpose`: the model is told what vectors are for, which makes others of them.
    """

    texts: int
    tokens: int | None = None
    tells_purpose: bool = False


class SearchWire(Protocol):
    """One vendor's wire for one kind of call."""

    limits: SearchLimits

    def encode(self, request: Any) -> EncodedRequest:
        """Write a request; CallRefused where leaving something out changes its meaning."""
        ...

    def decoder(self, request: Any) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request, with status 200."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        ...


Read = Callable[[bytes, Outcome], Part | Failure]
Failed = Callable[[Any], Failure]


class WholeDecoder:
    """Gather an answer and have it `read` when it is whole.

    `failed` makes a failure of what a vendor puts into a 200 instead of an answer.
    """

    def __init__(self, read: Read, failed: Failed) -> None:
        self.outcome = Outcome()
        self._read = read
        self._failed = failed
        self._body: list[bytes] = []
        self._has_ended = False

    def feed(self, data: bytes) -> list[Part]:
        """Take a piece; nothing is complete before the end."""
        self._body.append(data)
        return []

    def end(self) -> list[Part]:
        """Read the answer; `outcome` is final."""
        if self._has_ended:
            return []
        self._has_ended = True
        body, outcome = b"".join(self._body), self.outcome
        self._body.clear()
        try:
            found = self._read(body, outcome)
        except JSON_ERRORS:
            found = self._explained(body)
        if isinstance(found, Failure):
            outcome.failure = found
            return []
        outcome.complete, outcome.finish = True, "stop"
        return [found]

    def _explained(self, body: bytes) -> Failure:
        """Say what stands in the place of an answer: an error of the vendor's, or nonsense."""
        self.outcome.malformed_events = 1
        try:
            value = read_json(body)
        except JSON_ERRORS:
            return bad_answer("it is no JSON" if body.strip() else "it is empty")
        if isinstance(value, list) and len(value) == 1:
            [value] = value  # as Google wraps an error at times
        if isinstance(value, dict) and error_of(value) is not None:
            return self._failed(value)
        return bad_answer("it has another shape than was promised")


_Shape = TypeVar("_Shape")


def decoded(body: bytes, decoder: msgspec.json.Decoder[_Shape]) -> _Shape:
    """Read JSON as the decoder's type, also what strict JSON refuses; else one of JSON_ERRORS."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except JSON_ERRORS:
        return msgspec.convert(read_json(body), decoder.type)


def bad_answer(why: str) -> Failure:
    """Return the failure of an answer that makes no sense; `why` quotes nothing of it."""
    return Failure(ErrorClass.BAD_ANSWER, f"the provider's answer makes no sense: {why}")


# What a name may have behind it that says when the model was made: 2312, 0613, 202401, 240115,
# 20240115, 2024-01-15. Four digits may be a count of dimensions as well, as 1024, 1536 and 2304
# are: they are a year and a month from Mistral's 2312 on, or a month and a day before October.
MONTH, DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
MADE_ON: Final = re.compile(
    rf"-(?:2312|2[4-9]{MONTH}|0[1-9]{DAY}|20\d\d{MONTH}|2\d{MONTH}{DAY}|20\d\d{MONTH}{DAY}"
    rf"|20\d\d-{MONTH}-{DAY})"
)
# What OpenAI calls the one model that goes by two names.
BOTH_NAMES: Final = {"text-embedding-ada-002", "text-embedding-ada-002-v2"}
OTHER_MODEL: Final = "other_model"


def of_another_model(request: EmbedRequest, answered: str | None) -> Failure | None:
    """Return the failure of vectors that another model gave than was asked; None where none did.

    A vendor's prefix, a file's path and how weights are packed do not count, nor does a date that
    only one of the names has: `mistral-embed` and `mistral-embed-2312`. A version does:
    `e5-large-v2` is no `e5-large`. Who does not say which model it was is believed.
    """
    if not answered or not request.model_id:
        return None
    given = strip_format(normalise(answered))
    for name in (request.model_id, request.model):
        wanted = strip_format(normalise(name))
        shorter, longer = sorted((wanted, given), key=len)
        date = longer.removeprefix(shorter)
        if shorter and (longer == shorter or (date != longer and MADE_ON.fullmatch(date))):
            return None
        if {shorter, longer} == BOTH_NAMES:
            return None
    named = as_code(answered) or "a model with no readable id"
    return Failure(
        ErrorClass.BAD_ANSWER,
        f"these are the vectors of {named}, and {request.model_id} was asked for: they cannot be "
        "compared with its own. If both are one model, say so by `provider_model` in the directory",
        code=OTHER_MODEL,
        retryable_here=False,
    )


def in_order(indexes: Sequence[int | None]) -> list[int] | None:
    """Return the positions of items in the order of their indexes; None where those make none.

    Without any index they are in order already.
    """
    if all(index is None for index in indexes):
        return list(range(len(indexes)))
    placed: list[int] = [-1] * len(indexes)
    for position, index in enumerate(indexes):
        if index is None or not 0 <= index < len(indexes) or placed[index] != -1:
            return None
        placed[index] = position
    return placed


def tokens_read(usage: Any) -> Usage | None:
    """Read how many tokens were billed; None where nobody says, or says what cannot be.

    Nothing is written, so a sum counts what was read. A count of 0 is none: texts have tokens.
    """
    counts = counts_in(usage)
    if is_absurd(usage):
        return None
    for name in ("prompt_tokens", "input_tokens", "promptTokenCount", "total_tokens"):
        if counts.get(name):
            return Usage(input_tokens=counts[name])
    return None
