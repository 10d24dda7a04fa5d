"""OpenAI's Chat Completions, as OpenAI itself speaks it.

Sans-I/O. What a request may hold and what is refused follows OpenAI's API reference and its SDK
types; what is not looked at (seed, penalties, metadata, ...) is accepted and has no effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from routerd.simulate.exchange import Asked, Frame, Question, Refusal, Reply
from routerd.simulate.openai.errors import INVALID, error_object, fault_refusal, unknown_model
from routerd.simulate.openai.habits import OPENAI, Habits
from routerd.simulate.openai.reply import stream_frames, whole_body
from routerd.simulate.openai.request import read_question
from routerd.simulate.openai.search import read_search, search_body
from routerd.simulate.script import Fault
from routerd.simulate.vendor import (
    RequestNames,
    Route,
    Vendor,
    bearer_key,
    server_sent_event,
    use_up,
)

__all__ = ["OpenAI"]


class OpenAI(Vendor):
    """Chat Completions, embeddings and the models list; rerank as compatible servers have it."""

    name = "openai"
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", re.compile(r"/v1/chat/completions"), "call"),
        # As Azure has it, where the deployment is in the path.
        Route("POST", re.compile(r"/deployments/(?P<deployment>[^/]+)/chat/completions"), "call"),
        Route("POST", re.compile(r"/deployments/[^/]+/(?P<search>embeddings)"), "call"),
        Route("POST", re.compile(r"/v1/(?P<search>embeddings|rerank)"), "call"),
        Route("GET", re.compile(r"/v1/models"), "models"),
        Route("GET", re.compile(r"/v1/models/(?P<model>[^/]+)"), "model"),
    )
    tells_writes = True
    habits: ClassVar[Habits] = OPENAI
    listed_models: ClassVar[tuple[str, ...]] = (
        "gpt-6-astra",
        "gpt-6.1-sol",
        "gpt-6.1-terra",
        "gpt-6-luna",
    )

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request without a bearer token, or Azure's header."""
        if not (bearer_key(asked) or asked.headers.get("api-key", "").strip()):
            raise Refusal(
                401,
                INVALID,
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )

    def question(self, asked: Asked) -> Question:
        """Read a request for chat, for vectors or for an order."""
        if (search := asked.fields.get("search")) is not None:
            return read_search(search, asked.body)
        if "deployment" in asked.fields and not asked.query.get("api-version"):
            raise Refusal(404, INVALID, "Resource not found", code="404")
        return read_question(asked.body, self.habits)

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the request id and the rate limits."""
        del question
        return {
            "x-request-id": f"req_{names.id[:32]}",
            "openai-organization": "org-simulated",
            "openai-version": "2020-10-01",
            "openai-processing-ms": "1",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-tokens": "1999000",
            "x-ratelimit-reset-tokens": "30ms",
        }

    def whole(self, reply: Reply) -> bytes:
        """Write a `chat.completion`, or what else was asked for."""
        if reply.question.search is not None:
            return search_body(reply, reply.question.search)
        return whole_body(reply, self.habits)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write `chat.completion.chunk`s."""
        return stream_frames(reply, self.habits)

    def refusal_headers(self, refusal: Refusal, names: RequestNames) -> dict[str, str]:
        """Return the headers of an error answer; over a limit nothing is left of it."""
        headers = super().refusal_headers(refusal, names)
        if refusal.status == 429:
            when = f"{refusal.retry_after:g}s" if refusal.retry_after else None
            use_up(headers, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", when)
        return headers

    def refusal_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write `{"error": ...}`, in Responses too."""
        del names
        return msgspec.json.encode({"error": error_object(refusal)})

    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the real error for a scripted code, or for a status alone."""
        return fault_refusal(fault, model)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write `data: {"error": ...}` in place of a chunk."""
        return server_sent_event(msgspec.json.encode({"error": error_object(refusal)}))

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write `{"error": ...}`."""
        return self.refusal_body(refusal, names)

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write the list of models, all on one page."""
        del asked
        listing = {"object": "list", "data": [self.listed(name) for name in models]}
        return msgspec.json.encode(listing)

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""
        return {"id": model, "object": "model", "created": 1767225600, "owned_by": "system"}

    def unknown_model(self, model: str) -> Refusal:
        """Say `model_not_found`."""
        return unknown_model(model)

    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say that the URL is invalid."""
        return Refusal(404, INVALID, f"Invalid URL ({method} {path})")

    def bad_schema(self) -> Refusal:
        """Say `invalid_function_parameters`."""
        return Refusal(
            400, INVALID, "Invalid schema: not a JSON schema.", code="invalid_function_parameters"
        )

    def too_large(self) -> Refusal:
        """Say that the body is too large."""
        return Refusal(413, INVALID, "Request entity too large: the body is over the limit.")
