"""Embeddings as OpenAI and the servers that speak like it give them.

Rules of this file: how servers differ is declared data. Vectors are asked for in base64 where the
server is known to have it, which is a quarter as long and read four times as fast; both are read
whatever was asked for. Items may come out of order, and say by `index` whose they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.domain import Part
from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest, Outcome
from routerd.providers.json_text import encode_json, text_of
from routerd.providers.openai.dialects import Dialect
from routerd.providers.openai.encode import path_of
from routerd.providers.openai.failure import failure_rules, read_failure, stream_failure
from routerd.providers.request import Notes, refusal
from routerd.providers.search import (
    JSON_HEADERS,
    EmbedRequest,
    SearchLimits,
    WholeDecoder,
    decoded,
    tokens_read,
)
from routerd.providers.vectors import vectors_part

__all__ = ["OpenAIEmbedding"]


class Habits(Struct, frozen=True, kw_only=True):
    """One server's: how much it takes at once, and what it calls the length of a vector.

    `shortens` begins the ids of the models whose vectors can be had shorter. `own_names` says that
    an id is a name of the user's, which only the directory can compare with who answered; and that
    only where the answer has a model's full name: some say `ada`, or the user's name again.
    """

    limits: SearchLimits
    dimensions: str = "dimensions"
    shortens: str = ""
    base64: bool = False
    own_names: bool = False


OPENAI: Final = Habits(
    limits=SearchLimits(texts=2048, tokens=300_000), shortens="text-embedding-3-", base64=True
)
FULL_NAMES: Final = "text-embedding-"
# A deployment there has whatever name it was given, and decides alone which model it is.
AZURE: Final = msgspec.structs.replace(OPENAI, shortens="", own_names=True)
# What a server of one's own takes is for its owner to set; so much is ordinary.
COMPATIBLE: Final = Habits(limits=SearchLimits(texts=256, tokens=300_000))
HABITS: Final = {
    "openai": OPENAI,
    "azure": AZURE,
    "azure-deployments": AZURE,
    # As many as it takes unless it was started with another number.
    "tei": Habits(limits=SearchLimits(texts=32)),
    # Its own limit is of tokens in all, and nowhere in its reference: so little always passes.
    "mistral": Habits(limits=SearchLimits(texts=512, tokens=16_000), dimensions="output_dimension"),
}


class _Item(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Answer(Struct):
    data: list[_Item]
    model: Any = None
    usage: Any = None
    id: Any = None


_decoder: Final = msgspec.json.Decoder(_Answer)


class OpenAIEmbedding:
    """Speak `POST /embeddings` with the habits of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._habits: Final = HABITS.get(dialect.name, COMPATIBLE)
        self._rules: Final = failure_rules(dialect)
        self.limits: SearchLimits = self._habits.limits

    def encode(self, request: EmbedRequest) -> EncodedRequest:
        """Write a request; CallRefused where the model's vectors cannot be had so short."""
        habits, notes = self._habits, Notes()
        body: dict[str, Any] = {"model": request.model_id, "input": request.inputs}
        if request.dimensions is not None:
            if not request.model_id.startswith(habits.shortens):
                raise refusal(
                    f"{request.model_id} gives vectors of one length only", param="dimensions"
                )
            body[habits.dimensions] = request.dimensions
        if habits.base64:
            body["encoding_format"] = "base64"
        if request.purpose is not None:
            notes.add("purpose was left out: this model does not distinguish any")
        if request.truncate:
            notes.add("truncate was left out: this server has no such parameter")
        path = path_of(request.model_id, self._dialect).replace("/chat/completions", "/embeddings")
        return EncodedRequest(path, JSON_HEADERS, encode_json(body), list(notes))

    def decoder(self, request: EmbedRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""

        def read(body: bytes, outcome: Outcome) -> Part | Failure:
            answer = decoded(body, _decoder)
            outcome.model, outcome.response_id = text_of(answer.model), text_of(answer.id)
            outcome.usage = tokens_read(answer.usage)
            items = answer.data
            named = outcome.model or ""
            can_compare = not self._habits.own_names or (
                request.model and named.startswith(FULL_NAMES)
            )
            return vectors_part(
                request,
                [item.embedding for item in items],
                [item.index for item in items],
                outcome.model if can_compare else None,
            )

        return WholeDecoder(
            read, lambda value: stream_failure(value.get("error", value), self._rules)
        )

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body, self._rules)
