"""The adapter for OpenAI Responses and the servers that speak it.

Rules of this file: it only puts the pieces of this room together. The base address of a provider
of this kind ends where `/responses` begins, mostly in `/v1`, as for Chat Completions. Nothing is
stored at the provider: every request brings the whole conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from routerd.errors import Failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Headers,
    Repair,
)
from routerd.providers.openai.dialects import DIALECTS, ModelRule, rule_for
from routerd.providers.openai.failure import failure_rules, read_failure
from routerd.providers.openai.responses.decode import ResponsesDecoder
from routerd.providers.openai.responses.dialects import RESPONSES_DIALECTS, ResponsesDialect
from routerd.providers.openai.responses.encode import encode_request
from routerd.providers.openai.responses.repairs import repair_request
from routerd.providers.usual import UsualAdapter, bearer

__all__ = ["ResponsesAdapter"]


class ResponsesAdapter(UsualAdapter):
    """Speak Responses with the habits of one dialect."""

    name: str = "openai-responses"
    models_path: str = "/models"
    warm_path: str = "/models"  # the wire has no way to ask for fewer

    def __init__(self, dialect: ResponsesDialect = RESPONSES_DIALECTS["openai"]) -> None:
        self.dialect: Final = dialect
        self._failure_rules: Final = failure_rules(DIALECTS["openai"])
        self._model_rules: dict[str, ModelRule] = {}

    def __repr__(self) -> str:
        return f"<ResponsesAdapter {self.dialect.name}>"

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request carries; without a key there are none."""
        if not key:
            return []
        if self.dialect.key_header == "api-key":
            return [(b"api-key", key.strip().encode())]
        return bearer(key)

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        rule = self._model_rules.get(request.model_id)
        if rule is None:
            rule = rule_for(request, self.dialect.models)
            self._model_rules[request.model_id] = rule
        return encode_request(request, self.dialect, rule)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused."""
        return repair_request(request, failure, rule_for(request, self.dialect.models))

    def needs_results(self, request: ChatRequest) -> bool:
        """Return whether a tool call without a result is refused."""
        del request
        return self.dialect.needs_results

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return ResponsesDecoder(self.dialect, self._failure_rules, stream=stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body, self._failure_rules)
