"""The adapter for Cohere's Chat API, version 2.

Rules of this file: it only puts the pieces of this room together. The base address of a provider of
this kind ends before `/v2`. Version 1 of the API is another format, and is not spoken; its list of
models is the only one there is.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.errors import Failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Repair,
)
from routerd.providers.cohere.decode import ChatDecoder
from routerd.providers.cohere.encode import encode_request
from routerd.providers.cohere.failure import read_failure
from routerd.providers.usual import UsualAdapter

__all__ = ["CohereAdapter"]


class CohereAdapter(UsualAdapter):
    """Speak Chat, version 2."""

    name: str = "cohere"
    models_path: str = "/v1/models?page_size=1000"
    warm_path: str = "/v1/models?page_size=1"

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        return encode_request(request)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return None: a refusal names its parameter in words alone, which may change."""
        del request, failure
        return None

    def needs_results(self, request: ChatRequest) -> bool:
        """Return False: no source says that it refuses a tool call without a result."""
        del request
        return False

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return ChatDecoder(stream=stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
