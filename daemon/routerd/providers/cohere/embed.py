"""Cohere's Embed, version 2.

Rules of this file: the API wants to be told what vectors are for; who does not say so gets those of
documents, with a note. The kind of numbers is always asked for, since the default differs by
client. Vectors come in the order of the texts, without an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from routerd.domain import Part
from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest, Outcome
from routerd.providers.cohere.failure import read_failure, stream_failure
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
from routerd_proto.search import Purpose

__all__ = ["CohereEmbedding"]

INPUT_TYPES: Final[dict[Purpose, str]] = {
    "document": "search_document",
    "query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
}
UNSAID: Final = "purpose was not given: the vectors are those of documents (search_document)"


class _ByType(Struct):
    floats: list[list[float]] | None = field(default=None, name="float")
    base64: list[str] | None = None


class _Answer(Struct):
    # The list is what the version before answers, and where others host these models.
    embeddings: _ByType | list[list[float]]
    id: Any = None
    meta: Any = None


_decoder: Final = msgspec.json.Decoder(_Answer)


class CohereEmbedding:
    """Speak `POST /v2/embed`."""

    def __init__(self) -> None:
        self.limits: SearchLimits = SearchLimits(texts=96, tells_purpose=True)

    def encode(self, request: EmbedRequest) -> EncodedRequest:
        """Write a request."""
        notes = Notes()
        body: dict[str, Any] = {
            "model": request.model_id,
            "input_type": INPUT_TYPES[request.purpose or "document"],
            "texts": request.inputs,
            "embedding_types": ["float"],
            "truncate": "END" if request.truncate else "NONE",
        }
        if request.purpose is None:
            notes.add(UNSAID)
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return EncodedRequest("/v2/embed", JSON_HEADERS, encode_json(body), list(notes))

    def decoder(self, request: EmbedRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""

        def read(body: bytes, outcome: Outcome) -> Part | Failure:
            answer = decoded(body, _decoder)
            outcome.response_id = text_of(answer.id)
            billed = answer.meta.get("billed_units") if isinstance(answer.meta, dict) else None
            outcome.usage = tokens_read(billed)
            found = answer.embeddings
            if isinstance(found, list):
                return vectors_part(request, found)
            return vectors_part(request, found.floats or found.base64 or [])

        return WholeDecoder(read, stream_failure)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
