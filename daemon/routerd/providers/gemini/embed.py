"""Gemini's embeddings, by batchEmbedContents.

Rules of this file: one text is a batch of one. What vectors are for is said by `taskType`, and to
the newest model in words before the text, as its documentation gives them. Some models tell no
usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from routerd.domain import Part
from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest, Outcome
from routerd.providers.gemini.failure import read_failure, stream_failure
from routerd.providers.gemini.resources import model_path
from routerd.providers.gemini.services import GEMINI
from routerd.providers.json_text import encode_json
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

__all__ = ["TOLD_IN_WORDS", "GeminiEmbedding", "note_length", "task_of"]

TASKS: Final[dict[Purpose, str]] = {
    "document": "RETRIEVAL_DOCUMENT",
    "query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
WORDS: Final[dict[Purpose, str]] = {
    "document": "title: none | text: ",
    "query": "task: search result | query: ",
    "classification": "task: classification | query: ",
    "clustering": "task: clustering | query: ",
}
TOLD_IN_WORDS: Final = "gemini-embedding-2"
NOT_NORMALISED: Final = "gemini-embedding-001"


class _Item(Struct):
    values: list[float]


class _Answer(Struct):
    embeddings: list[_Item] | None = None
    embedding: _Item | None = None
    usageMetadata: Any = None  # noqa: N815 - the wire's own name


_decoder: Final = msgspec.json.Decoder(_Answer)


def task_of(model: str, purpose: Purpose | None) -> tuple[str, str | None]:
    """Return what stands before a text to say what its vector is for, and the task to name."""
    if purpose is None:
        return "", None
    return (WORDS[purpose], None) if model.startswith(TOLD_IN_WORDS) else ("", TASKS[purpose])


def note_length(request: EmbedRequest, model: str, notes: Notes) -> None:
    """Note where shorter vectors are not what they seem."""
    if request.dimensions is not None and model.startswith(NOT_NORMALISED):
        notes.add("shorter vectors of this model are not of length 1; full ones are")


class GeminiEmbedding:
    """Speak `:batchEmbedContents`."""

    def __init__(self) -> None:
        self.limits: SearchLimits = SearchLimits(texts=100, tells_purpose=True)

    def encode(self, request: EmbedRequest) -> EncodedRequest:
        """Write a request."""
        notes = Notes()
        path = model_path(GEMINI, request.model_id)
        model = request.model_id.rpartition("/")[2]
        shared: dict[str, Any] = {"model": unquote(path).removeprefix("/v1beta/")}
        before, task = task_of(model, request.purpose)
        if task is not None:
            shared["taskType"] = task
        if request.dimensions is not None:
            shared["outputDimensionality"] = request.dimensions
        note_length(request, model, notes)
        if request.truncate:
            notes.add("truncate was left out: this provider has no such parameter")
        requests = [
            {**shared, "content": {"parts": [{"text": before + text}]}} for text in request.inputs
        ]
        body = encode_json({"requests": requests})
        return EncodedRequest(f"{path}:batchEmbedContents", JSON_HEADERS, body, list(notes))

    def decoder(self, request: EmbedRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""

        def read(body: bytes, outcome: Outcome) -> Part | Failure:
            answer = decoded(body, _decoder)
            items = answer.embeddings
            if items is None:
                if answer.embedding is None:
                    raise ValueError("there are no vectors")
                items = [answer.embedding]
            outcome.usage = tokens_read(answer.usageMetadata)
            return vectors_part(request, [item.values for item in items])

        return WholeDecoder(read, lambda value: stream_failure(value.get("error", value)))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
