"""Anthropic's Messages, as Anthropic itself speaks it.

Sans-I/O. What a request may hold and what is refused follows Anthropic's API reference and its SDK
types, without the rules of single models (which thinking, prefill or forced tools they take).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from routerd.simulate.anthropic.errors import error_body, fault_refusal, invalid
from routerd.simulate.anthropic.reply import stream_frames, whole_body
from routerd.simulate.anthropic.request import SAMPLING_FREE_VERSION, read_question
from routerd.simulate.exchange import Asked, Frame, Question, Refusal, Reply
from routerd.simulate.script import Fault
from routerd.simulate.tokens import count_tokens
from routerd.simulate.vendor import (
    RequestNames,
    Route,
    Vendor,
    bearer_key,
    page_length,
    server_sent_event,
    use_up,
)

__all__ = ["Anthropic"]

VERSIONS = ("2023-06-01", SAMPLING_FREE_VERSION)
PAGE_LENGTH = 20
LIMITS = {"requests": 10000, "tokens": 2400000, "input-tokens": 2000000, "output-tokens": 400000}


class Anthropic(Vendor):
    """Messages, token counting and the models list."""

    name = "anthropic"
    routes = (
        Route("POST", re.compile(r"/v1/messages"), "call"),
        Route("POST", re.compile(r"/v1/messages/count_tokens"), "count"),
        Route("GET", re.compile(r"/v1/models"), "models"),
        Route("GET", re.compile(r"/v1/models/(?P<model>[^/]+)"), "model"),
    )
    listed_models = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-4-8")

    def claims(self, headers: Mapping[str, str]) -> bool:
        """Tell Anthropic's clients by the version they all send."""
        return "anthropic-version" in headers

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request without a key or without a version."""
        if not (asked.headers.get("x-api-key", "").strip() or bearer_key(asked)):
            raise Refusal(401, "authentication_error", "x-api-key header is required")
        version = asked.headers.get("anthropic-version")
        if version is None:
            raise invalid("anthropic-version: header is required")
        if version not in VERSIONS:
            raise invalid(f'anthropic-version: "{version}" is not a valid version')

    def question(self, asked: Asked) -> Question:
        """Read a Messages request."""
        return read_question(asked.body, asked.headers.get("anthropic-version", ""))

    def counted(self, asked: Asked) -> bytes:
        """Count the tokens of a request."""
        version = asked.headers.get("anthropic-version", "")
        question = read_question(asked.body, version, counting=True)
        return msgspec.json.encode({"input_tokens": count_tokens(question.prompt)})

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the request id and the rate limits."""
        del question
        headers = {
            "request-id": request_id(names),
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
        }
        reset = (datetime.fromtimestamp(names.now, UTC) + timedelta(seconds=1)).strftime(RFC_3339)
        for name, limit in LIMITS.items():
            headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(limit - 1000)
            headers[f"anthropic-ratelimit-{name}-reset"] = reset
        return headers

    def whole(self, reply: Reply) -> bytes:
        """Write a `message`."""
        return whole_body(reply)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write the events from `message_start` to `message_stop`."""
        return stream_frames(reply)

    def refusal_headers(self, refusal: Refusal, names: RequestNames) -> dict[str, str]:
        """Return the headers of an error answer; over a limit nothing is left of it."""
        headers = super().refusal_headers(refusal, names)
        if refusal.status == 429:
            free = datetime.fromtimestamp(names.now + (refusal.retry_after or 0), UTC)
            when = free.strftime(RFC_3339) if refusal.retry_after else None
            limit = "anthropic-ratelimit-requests"
            use_up(headers, f"{limit}-remaining", f"{limit}-reset", when)
        return headers

    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the real error for a scripted code, or for a status alone."""
        return fault_refusal(fault, model)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write an `error` event."""
        return server_sent_event(msgspec.json.encode(error_body(refusal, None)), "error")

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write an `error` object."""
        return msgspec.json.encode(error_body(refusal, request_id(names)))

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write one page of the list of models."""
        length = page_length(asked, "limit", PAGE_LENGTH)
        after = asked.query.get("after_id")
        start = models.index(after) + 1 if after in models else 0
        shown = models[start : start + length]
        listing = {
            "data": [self.listed(name) for name in shown],
            "has_more": start + len(shown) < len(models),
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
        return msgspec.json.encode(listing)

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""
        return {
            "type": "model",
            "id": model,
            "display_name": model,
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
            "deprecated_at": None,
            "retires_at": None,
            "line": None,
            "max_input_tokens": None,
            "max_tokens": None,
            "capabilities": None,
        }

    def unknown_model(self, model: str) -> Refusal:
        """Say `not_found_error`."""
        return Refusal(404, "not_found_error", f"model: {model}")

    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say `not_found_error`."""
        del method, path
        return Refusal(404, "not_found_error", "Not Found")

    def bad_schema(self) -> Refusal:
        """Say `invalid_request_error`."""
        return invalid("input_schema: JSON schema is invalid")

    def too_large(self) -> Refusal:
        """Say `request_too_large`."""
        return Refusal(413, "request_too_large", "Request exceeds the maximum size")


RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"


def request_id(names: RequestNames) -> str:
    """Name the request, in the header and in an error's body."""
    return f"req_01{names.id[:22]}"
