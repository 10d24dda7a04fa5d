"""Rerank as Jina and the servers that speak like it have it (vLLM, llama.cpp), and as TEI does.

Rules of this file: the base address of such a provider ends in `/v1`, TEI's does not. Some servers
do not sort, and some give raw numbers for scores: they are sorted here, and passed on as they are.
TEI serves one model, which it is not asked for by name, and puts all documents in order.
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


# As many as TEI takes unless it was started with another number.
TEI_LIMITS: Final = SearchLimits(texts=32)
LIMITS: Final = SearchLimits(texts=1000)


class OpenAIRerank:
    """Speak `POST /rerank`."""

    def __init__(self, dialect: Dialect) -> None:
        self._is_tei: Final = dialect.name == "tei"
        self._rules: Final = failure_rules(dialect)
        self.limits: SearchLimits = TEI_LIMITS if self._is_tei else LIMITS

    def encode(self, request: RankRequest) -> EncodedRequest:
        """Write a request."""
        notes: list[str] = []
        if self._is_tei:
            body: dict[str, Any] = {"query": request.query, "texts": request.documents}
            if request.truncate:
                body["truncate"] = True
        else:
            body = {
                "model": request.model_id,
                "query": request.query,
                "documents": request.documents,
            }
            if request.top is not None:
                body["top_n"] = min(request.top, request.texts)
            if request.truncate:
                notes.append("truncate was left out: this server has no such parameter")
        return EncodedRequest("/rerank", JSON_HEADERS, encode_json(body), notes)

    def decoder(self, request: RankRequest) -> AnswerDecoder:
        """Return a fresh decoder for the answer to this request."""
        return WholeDecoder(
            lambda body, outcome: read_ranking(request, body, outcome),
            lambda value: stream_failure(value.get("error", value), self._rules),
        )

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body, self._rules)
