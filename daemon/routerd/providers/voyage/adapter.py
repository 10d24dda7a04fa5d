"""The adapter for Voyage AI.

Rules of this file: it only puts the pieces of this room together. There is no chat: a call of that
kind is never planned here. The base address of a provider of this kind ends in `/v1`. It has no
list of models; to ask for one shows all the same that it is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.errors import Failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
)
from routerd.providers.request import refusal
from routerd.providers.search import WholeDecoder, bad_answer
from routerd.providers.usual import UsualAdapter
from routerd.providers.voyage.failure import read_failure, told_failure

__all__ = ["VoyageAdapter"]


class VoyageAdapter(UsualAdapter):
    """Speak to Voyage AI, as far as no kind of call is meant."""

    name: str = "voyage"
    models_path: str = "/models"
    warm_path: str = "/models"

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Raise CallRefused: there is no chat here."""
        raise refusal(f"{request.model_id} is no model for chat: this provider has none")

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a decoder that takes nothing for an answer: there is no chat here."""
        del stream
        return WholeDecoder(lambda _body, _outcome: bad_answer("it is none of chat"), told_failure)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
