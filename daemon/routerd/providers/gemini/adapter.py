"""The adapter for Google's generateContent and streamGenerateContent, by API key.

Rules of this file: it only puts the pieces of this room together. The key goes in a header: in the
address it would land in logs. The base address of a provider of this kind ends before `/v1beta`.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.errors import Failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Headers,
    ListedModel,
    Repair,
)
from routerd.providers.gemini.decode import GenerateDecoder
from routerd.providers.gemini.encode import encode_request
from routerd.providers.gemini.failure import read_failure
from routerd.providers.gemini.repairs import repair_request
from routerd.providers.listing import read_models

__all__ = ["GeminiAdapter"]


class GeminiAdapter:
    """Speak generateContent."""

    name: str = "gemini"
    models_path: str = "/v1beta/models?pageSize=1000"
    warm_path: str = "/v1beta/models?pageSize=1"

    def __repr__(self) -> str:
        return "<GeminiAdapter>"

    def authorize(self, key: str | None) -> Headers:
        """Return the header with the key, if there is one."""
        return [(b"x-goog-api-key", key.strip().encode())] if key else []

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        return encode_request(request)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused."""
        return repair_request(request, failure)

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return GenerateDecoder(stream=stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)

    def list_models(self, body: bytes) -> list[ListedModel]:
        """Read the answer of `models_path`; an empty list where it makes no sense."""
        return read_models(body)
