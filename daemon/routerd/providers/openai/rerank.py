"""Rerank as Jina and the servers that speak like it have it: vLLM, llama.cpp.

Rules of this file: the base address of such a provider ends in `/v1`. Some servers do not sort, and
some give raw numbers for scores: they are sorted here, and passed on as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, EncodedRequest
from routerd.providers.json_text import encode_json
from routerd.providers.openai.dialects import Dialect
from routerd.providers.openai.failure import failure_rules, read_failure, stream_failure
from routerd.providers.ranking import read_ranking
from routerd.providers.search import JSON_HEADERS, RankRequest, SearchLimits, WholeDecoder

__all__ = ["OpenAIRerank"]


class OpenAIRerank:
    """Speak `POST /rerank`."""

    def __init__(self, dialect: Dialect) -> None:
        self._rules: Final = failure_rules(dialect)
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
        notes = ["truncate was left out: this server has no such parameter"]
        return EncodedRequest(
            "/rerank", JSON_HEADERS, encode_json(body), notes if request.truncate else []
        )

    def decoder(self, request: RankRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""
        return WholeDecoder(
            lambda body, outcome: read_ranking(request, body, outcome),
            lambda value: stream_failure(value.get("error", value), self._rules),
        )

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body, self._rules)
