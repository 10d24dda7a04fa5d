"""The adapter for OpenAI Chat Completions and the servers that speak it.

Rules of this file: it only puts the pieces of this room together. The base address of a provider
of this kind ends where `/chat/completions` begins, mostly in `/v1`.
"""

from __future__ import annotations

import re
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
from routerd.providers.openai.decode import ChatDecoder
from routerd.providers.openai.dialects import DIALECTS, Dialect, ModelRule, rule_for
from routerd.providers.openai.encode import encode_request
from routerd.providers.openai.failure import failure_rules, read_failure
from routerd.providers.openai.plain import PlainDecoder
from routerd.providers.openai.repairs import repair_request
from routerd.providers.usual import UsualAdapter, bearer

__all__ = ["OpenAIAdapter"]

# A JSON Web Token: it is signed for its bearer, and is no key.
TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class OpenAIAdapter(UsualAdapter):
    """Speak Chat Completions with the habits of one dialect."""

    name: str = "openai"

    def __init__(self, dialect: Dialect = DIALECTS["openai"]) -> None:
        self.dialect: Final = dialect
        self.models_path: str = dialect.models_path
        self.warm_path: str = dialect.models_path  # the wire has no way to ask for fewer
        self._failure_rules: Final = failure_rules(dialect)
        self._model_rules: dict[str, ModelRule] = {}

    def __repr__(self) -> str:
        return f"<OpenAIAdapter {self.dialect.name}>"

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request carries; without a key there are none."""
        if not key:
            return []
        key, header = key.strip(), self.dialect.key_header
        if header is None or TOKEN.fullmatch(key):
            return bearer(key)
        return [(header.encode(), key.encode())]

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        rule = self._model_rules.get(request.model_id)
        if rule is None:
            rule = rule_for(request, self.dialect.models, self.dialect.cache_marks)
            self._model_rules[request.model_id] = rule
        return encode_request(request, self.dialect, rule)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused."""
        rule = rule_for(request, self.dialect.models, self.dialect.cache_marks)
        return repair_request(request, failure, self.dialect, rule)

    def needs_results(self, request: ChatRequest) -> bool:
        """Return whether a tool call without a result is refused."""
        del request
        return self.dialect.needs_results

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        if stream:
            return ChatDecoder(self.dialect.name, self._failure_rules, stream=True)
        return PlainDecoder(self.dialect.name, self._failure_rules)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body, self._failure_rules)
