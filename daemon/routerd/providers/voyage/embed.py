"""Voyage AI's embeddings.

Rules of this file: vectors are asked for in base64, which holds single precision as long as no
other kind of numbers is asked for; both are read. The usage counts all tokens in one sum, and is 0
at times, which is none.
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
from routerd.providers.request import Notes
from routerd.providers.search import (
    JSON_HEADERS,
    EmbedRequest,
    SearchLimits,
    WholeDecoder,
    decoded,
    tokens_read,
)
from routerd.providers.vectors import vectors_part
from routerd.providers.voyage.failure import read_failure, told_failure

__all__ = ["VoyageEmbedding"]

PURPOSES: Final = ("document", "query")


class _Item(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Answer(Struct):
    data: list[_Item]
    model: Any = None
    usage: Any = None


_decoder: Final = msgspec.json.Decoder(_Answer)


class VoyageEmbedding:
    """Speak `POST /embeddings`."""

    def __init__(self) -> None:
        # The tokens of a request are limited by model; the least of these limits holds for all.
        self.limits: SearchLimits = SearchLimits(texts=1000, tokens=120_000, tells_purpose=True)

    def encode(self, request: EmbedRequest) -> EncodedRequest:
        """Write a request."""
        notes = Notes()
        body: dict[str, Any] = {
            "model": request.model_id,
            "input": request.inputs,
            "truncation": request.truncate,
            "encoding_format": "base64",
        }
        if request.purpose in PURPOSES:
            body["input_type"] = request.purpose
        elif request.purpose is not None:
            notes.add(f"purpose was left out: this provider knows {' and '.join(PURPOSES)}")
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return EncodedRequest("/embeddings", JSON_HEADERS, encode_json(body), list(notes))

    def decoder(self, request: EmbedRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""

        def read(body: bytes, outcome: Outcome) -> Part | Failure:
            answer = decoded(body, _decoder)
            outcome.model, outcome.usage = text_of(answer.model), tokens_read(answer.usage)
            items = answer.data
            return vectors_part(
                request,
                [item.embedding for item in items],
                [item.index for item in items],
                outcome.model,
            )

        return WholeDecoder(read, told_failure)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
