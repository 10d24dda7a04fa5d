"""Cohere's Rerank, version 2.

Rules of this file: it is sold by the search, which is a query with up to a hundred documents. What
is longer than the provider reads of one document is cut there, whatever is asked: a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest
from routerd.providers.cohere.failure import read_failure, stream_failure
from routerd.providers.json_text import encode_json
from routerd.providers.ranking import read_ranking
from routerd.providers.search import JSON_HEADERS, RankRequest, SearchLimits, WholeDecoder

__all__ = ["CohereRerank"]

# What is read of a document unless told otherwise, as characters that surely are no more tokens.
READ_CHARACTERS: Final = 4096
CUT: Final = "this provider reads the first 4,096 tokens of a document; longer ones were cut"


class CohereRerank:
    """Speak `POST /v2/rerank`."""

    def __init__(self) -> None:
        self.limits: SearchLimits = SearchLimits(texts=1000)

    def encode(self, request: RankRequest) -> EncodedRequest:
        """Write a request."""
        body: dict[str, Any] = {
            "model": request.model_id,
            "query": request.query,
            "documents": request.documents,
        }
        if request.top is not None:
            body["top_n"] = min(request.top, request.texts)
        is_long = any(len(text) > READ_CHARACTERS for text in request.documents)
        notes = [CUT] if is_long and not request.truncate else []
        return EncodedRequest("/v2/rerank", JSON_HEADERS, encode_json(body), notes)

    def decoder(self, request: RankRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""
        return WholeDecoder(
            lambda body, outcome: read_ranking(request, body, outcome), stream_failure
        )

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
