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
    Headers,
    ListedModel,
    Repair,
)
from routerd.providers.cohere.decode import ChatDecoder
from routerd.providers.cohere.encode import encode_request
from routerd.providers.cohere.failure import read_failure
from routerd.providers.listing import read_models

__all__ = ["CohereAdapter"]


class CohereAdapter:
    """Speak Chat, version 2."""

    name: str = "cohere"
    models_path: str = "/v1/models?page_size=1000"
    warm_path: str = "/v1/models?page_size=1"

    def __repr__(self) -> str:
        return "<CohereAdapter>"

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request carries; without a key there are none."""
        return [(b"authorization", b"Bearer " + key.strip().encode())] if key else []

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        return encode_request(request)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return None: a refusal names its parameter in words alone, which may change."""
        del request, failure
        return None

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return ChatDecoder(stream=stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)

    def list_models(self, body: bytes) -> list[ListedModel]:
        """Read the answer of `models_path`; an empty list where it makes no sense."""
        return read_models(body)
