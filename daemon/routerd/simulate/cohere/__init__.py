"""Cohere's Chat, Embed and Rerank, version 2, as Cohere itself speaks it.

Sans-I/O. What a request may hold and what is refused follows the API reference, its page of errors
and the types of cohere 7.3, without the rules of single models (which reason, how much they write).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from routerd.simulate.cohere.errors import error_body, fault_refusal, invalid
from routerd.simulate.cohere.reply import message_end, stream_frames, whole_body
from routerd.simulate.cohere.request import read_question
from routerd.simulate.cohere.search import read_search, search_body
from routerd.simulate.exchange import Asked, Frame, Question, Refusal, Reply
from routerd.simulate.script import Fault
from routerd.simulate.vendor import RequestNames, Route, Vendor, bearer_key, page_length

__all__ = ["Cohere"]

PAGE_LENGTH = 20


class Cohere(Vendor):
    """Chat, Embed, Rerank and the models list."""

    name = "cohere"
    routes = (
        Route("POST", re.compile(r"/v2/chat"), "call"),
        Route("POST", re.compile(r"/v2/(?P<search>embed|rerank)"), "call"),
        Route("GET", re.compile(r"/v1/models"), "models"),
        Route("GET", re.compile(r"/v1/models/(?P<model>[^/]+)"), "model"),
    )
    listed_models = ("command-a-plus-05-2026", "command-a-03-2025", "command-r7b-12-2024")

    def claims(self, headers: Mapping[str, str]) -> bool:
        """Tell Cohere's clients by the language they all name."""
        return "x-fern-language" in headers

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request without a key."""
        if not bearer_key(asked):
            raise Refusal(401, "", "no api key supplied")

    def question(self, asked: Asked) -> Question:
        """Read a request for chat, for vectors or for an order."""
        if (search := asked.fields.get("search")) is not None:
            return read_search(search, asked.body)
        return read_question(asked.body)

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the id of the request."""
        del question
        return {"x-debug-trace-id": names.id[:32]}

    def whole(self, reply: Reply) -> bytes:
        """Write a whole answer."""
        if reply.question.search is not None:
            return search_body(reply, reply.question.search)
        return whole_body(reply)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write the events from `message-start` to the end of the stream."""
        return stream_frames(reply)

    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the real error for a scripted code, or for a status alone."""
        return fault_refusal(fault, model)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write the end of a message that broke off."""
        return message_end({"finish_reason": "ERROR", "error": refusal.message})

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write an error."""
        return msgspec.json.encode(error_body(refusal, names.id))

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write the first page of the list of models."""
        length = page_length(asked, "page_size", PAGE_LENGTH)
        return msgspec.json.encode({"models": [self.listed(name) for name in models[:length]]})

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""
        return {
            "name": model,
            "is_deprecated": False,
            "endpoints": ["chat"],
            "finetuned": False,
            "context_length": 256000,
            "default_endpoints": [],
        }

    def unknown_model(self, model: str) -> Refusal:
        """Say that it was not found."""
        return Refusal(
            404,
            "",
            f"model '{model}' not found, make sure the correct model ID was "
            "used and that you have access to the model.",
        )

    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say `404 page not found`."""
        del method, path
        return Refusal(404, "", "404 page not found")

    def bad_schema(self) -> Refusal:
        """Say that the schema is none."""
        return invalid(
            "invalid request: response_format validation: invalid 'json_schema' provided"
        )

    def too_large(self) -> Refusal:
        """Say that there is too much."""
        return Refusal(413, "", "request body too large")
