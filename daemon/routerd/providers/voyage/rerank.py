"""Voyage AI's rerank; it is sold by the token, and reads the query with every document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest
from routerd.providers.json_text import encode_json
from routerd.providers.ranking import read_ranking
from routerd.providers.search import JSON_HEADERS, RankRequest, SearchLimits, WholeDecoder
from routerd.providers.voyage.failure import read_failure, told_failure

__all__ = ["VoyageRerank"]


class VoyageRerank:
    """Speak `POST /rerank`."""

    def __init__(self) -> None:
        self.limits: SearchLimits = SearchLimits(texts=1000, tokens=600_000)

    def encode(self, request: RankRequest) -> EncodedRequest:
        """Write a request."""
        body: dict[str, Any] = {
            "model": request.model_id,
            "query": request.query,
            "documents": request.documents,
            "truncation": request.truncate,
        }
        if request.top is not None:
            body["top_k"] = min(request.top, request.texts)
        return EncodedRequest("/rerank", JSON_HEADERS, encode_json(body))

    def decoder(self, request: RankRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""
        return WholeDecoder(
            lambda body, outcome: read_ranking(request, body, outcome), told_failure
        )

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
