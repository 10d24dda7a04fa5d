"""The adapter for Anthropic's Messages API.

Rules of this file: it only puts the pieces of this room together. The version is fixed here and
never the caller's: 2026-10-21 refuses the sampling parameters even at their defaults. The base
address of a provider of this kind ends before `/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from routerd.errors import Failure
from routerd.providers.anthropic.decode import MessagesDecoder
from routerd.providers.anthropic.encode import encode_request
from routerd.providers.anthropic.failure import read_failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Headers,
    Repair,
)
from routerd.providers.claude_repairs import repair_request
from routerd.providers.usual import UsualAdapter

__all__ = ["AnthropicAdapter"]

API_VERSION: Final = b"2023-06-01"


class AnthropicAdapter(UsualAdapter):
    """Speak the Messages API."""

    name: str = "anthropic"
    models_path: str = "/v1/models?limit=1000"
    warm_path: str = "/v1/models?limit=1"

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request carries: the version, and the key if there is one."""
        headers = [(b"anthropic-version", API_VERSION)]
        if key:
            headers.append((b"x-api-key", key.strip().encode()))
        return headers

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        return encode_request(request)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused."""
        return repair_request(request, failure)

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return MessagesDecoder(stream=stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
