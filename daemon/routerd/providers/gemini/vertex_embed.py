"""Vertex AI's embeddings: embedContent for its newer models, predict for those before.

Rules of this file: one text a request, which every model takes. A text that is too long is cut
unasked, so it is always told whether it may. What is asked of a vector stands in
`embedContentConfig`, in whose place fields beside the content are deprecated. Source: the types and
the requests of google-genai 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.domain import Part, Usage
from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest, Outcome
from routerd.providers.counts import count_of
from routerd.providers.gemini.embed import (
    TOLD_IN_WORDS,
    GeminiEmbedding,
    note_length,
    task_of,
)
from routerd.providers.gemini.failure import read_failure, stream_failure
from routerd.providers.gemini.resources import model_path
from routerd.providers.gemini.services import VERTEX
from routerd.providers.json_text import encode_json
from routerd.providers.request import Notes
from routerd.providers.search import (
    JSON_HEADERS,
    EmbedRequest,
    SearchLimits,
    WholeDecoder,
    decoded,
)
from routerd.providers.vectors import vectors_part

__all__ = ["VertexEmbedding"]


class _Vector(Struct):
    values: list[float]
    statistics: Any = None


class _Prediction(Struct):
    embeddings: _Vector


class _Answer(Struct):
    predictions: list[_Prediction]


_decoder: Final = msgspec.json.Decoder(_Answer)
_of_content: Final = GeminiEmbedding()


class VertexEmbedding:
    """Speak `:embedContent` and `:predict`."""

    def __init__(self) -> None:
        self.limits: SearchLimits = SearchLimits(texts=1, tells_purpose=True)

    def encode(self, request: EmbedRequest) -> EncodedRequest:
        """Write a request."""
        notes, model = Notes(), request.model_id.rpartition("/")[2]
        before, task = task_of(model, request.purpose)
        note_length(request, model, notes)
        parameters: dict[str, Any] = {"autoTruncate": request.truncate}
        if request.dimensions is not None:
            parameters["outputDimensionality"] = request.dimensions
        body: dict[str, Any]
        if _is_newer(request):
            method = "embedContent"
            [text] = request.inputs
            content = {"parts": [{"text": before + text}]}
            body = {"content": content, "embedContentConfig": parameters}
        else:
            method = "predict"
            told = {} if task is None else {"task_type": task}
            instances = [{"content": text, **told} for text in request.inputs]
            body = {"instances": instances, "parameters": parameters}
        path = f"{model_path(VERTEX, request.model_id)}:{method}"
        return EncodedRequest(path, JSON_HEADERS, encode_json(body), list(notes))

    def decoder(self, request: EmbedRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""
        if _is_newer(request):
            return _of_content.decoder(request)

        def read(body: bytes, outcome: Outcome) -> Part | Failure:
            found = [item.embeddings for item in decoded(body, _decoder).predictions]
            counts = [
                count_of(item.statistics.get("token_count"))
                for item in found
                if isinstance(item.statistics, dict)
            ]
            tokens = sum(count for count in counts if count is not None)
            if tokens and len(counts) == len(found) and None not in counts:
                outcome.usage = Usage(input_tokens=tokens)
            return vectors_part(request, [item.values for item in found])

        return WholeDecoder(read, lambda value: stream_failure(value.get("error", value)))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)


def _is_newer(request: EmbedRequest) -> bool:
    return request.model_id.rpartition("/")[2].startswith(TOLD_IN_WORDS)
