"""Gemini's generateContent, as Google itself speaks it.

Sans-I/O. What a request may hold and what is refused follows the API reference, without the rules
of single models (which levels of thinking they take, whose signatures they check).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from routerd.simulate.exchange import Asked, Frame, HttpAnswer, Question, Refusal, Reply
from routerd.simulate.gemini.errors import error_body, fault_refusal, invalid
from routerd.simulate.gemini.reply import event, stream_frames, whole_body
from routerd.simulate.gemini.request import read_question
from routerd.simulate.gemini.search import read_search, search_body
from routerd.simulate.script import Fault
from routerd.simulate.vendor import RequestNames, Route, Vendor, page_length

__all__ = ["Gemini"]

PAGE_LENGTH = 50


class Gemini(Vendor):
    """generateContent, streamGenerateContent, embeddings and the models list."""

    name = "gemini"
    routes: ClassVar[tuple[Route, ...]] = (
        Route(
            "POST",
            re.compile(
                r"/v1(?:beta)?/(?:tunedM|m)odels/(?P<model>[^/:]+):"
                r"(?P<method>generateContent|streamGenerateContent)"
            ),
            "call",
        ),
        Route(
            "POST",
            re.compile(
                r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<search>embedContent|batchEmbedContents)"
            ),
            "call",
        ),
        Route("GET", re.compile(r"/v1(?:beta)?/models"), "models"),
        Route("GET", re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+)"), "model"),
    )
    listed_models = ("gemini-4-argon", "gemini-3.8-flash", "gemini-2.5-flash")
    stream_headers: ClassVar[Mapping[str, str]] = {"content-type": "text/event-stream"}

    def claims(self, headers: Mapping[str, str]) -> bool:
        """Tell Gemini's clients by the header of their key."""
        return "x-goog-api-key" in headers

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request without a key."""
        if not asked.headers.get("x-goog-api-key", "").strip():
            raise Refusal(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")

    def question(self, asked: Asked) -> Question:
        """Read a request; a stream is given as events alone."""
        if (search := asked.fields.get("search")) is not None:
            return read_search(search, asked.body, asked.fields["model"])
        stream = asked.fields["method"] == "streamGenerateContent"
        if stream and asked.query.get("alt") != "sse":
            raise invalid("The simulator streams with alt=sse only.")
        return read_question(asked.body, asked.fields["model"], stream=stream)

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return what Gemini sends: there are no rate limits in it."""
        del names, question
        return {"server-timing": "gfet4t7; dur=12"}

    def whole(self, reply: Reply) -> bytes:
        """Write a whole answer."""
        if reply.question.search is not None:
            return search_body(reply, reply.question.search)
        return whole_body(reply)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write the chunks of a stream."""
        return stream_frames(reply)

    def refused(self, refusal: Refusal, names: RequestNames) -> HttpAnswer:
        """Write an error answer; a blocked prompt is a 200."""
        answer = super().refused(refusal, names)
        return answer._replace(status=200) if refusal.kind == "BLOCKED" else answer

    def refusal_headers(self, refusal: Refusal, names: RequestNames) -> dict[str, str]:
        """Return the usual headers: when to try again stands in the body."""
        del refusal
        return self.answer_headers(names, None)

    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the real error for a scripted code, or for a status alone."""
        return fault_refusal(fault, model)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write an error as an event."""
        return event(error_body(refusal))

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write an error."""
        del names
        return msgspec.json.encode(error_body(refusal))

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write the first page of the list of models."""
        length = page_length(asked, "pageSize", PAGE_LENGTH)
        return msgspec.json.encode({"models": [self.listed(name) for name in models[:length]]})

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""
        return {
            "name": f"models/{model}",
            "inputTokenLimit": 1048576,
            "outputTokenLimit": 65536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }

    def unknown_model(self, model: str) -> Refusal:
        """Say `NOT_FOUND`."""
        return Refusal(
            404,
            "NOT_FOUND",
            f"models/{model} is not found for API version v1beta, or is not supported for "
            "generateContent.",
        )

    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say `NOT_FOUND`."""
        del method, path
        return Refusal(404, "NOT_FOUND", "Requested entity was not found.")

    def bad_schema(self) -> Refusal:
        """Say `INVALID_ARGUMENT`."""
        return invalid("The JSON schema is invalid.")

    def too_large(self) -> Refusal:
        """Say `INVALID_ARGUMENT`."""
        return invalid("Request payload size exceeds the limit: 20971520 bytes.")
