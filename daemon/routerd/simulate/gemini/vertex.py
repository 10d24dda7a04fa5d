"""The same generateContent as Vertex AI serves it: other paths, an access token, more in answers.

Sans-I/O. Any access token that looks like one of Google's is taken; who gave it out is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from routerd.simulate.exchange import Asked, Refusal, Reply
from routerd.simulate.gemini import PAGE_LENGTH, Gemini
from routerd.simulate.gemini.errors import error_body
from routerd.simulate.gemini.reply import whole_body
from routerd.simulate.gemini.search import search_body
from routerd.simulate.vendor import RequestNames, Route, page_length

__all__ = ["Vertex"]

VERSION = r"/v1(?:beta1)?"
PLACE = r"/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
PUBLISHED = rf"{VERSION}(?:{PLACE})?/publishers/[^/:]+/models/(?P<model>[^/:]+)"
DEPLOYED = rf"{VERSION}{PLACE}/endpoints/(?P<model>[^/:]+)"
METHODS = r":(?P<method>generateContent|streamGenerateContent)"
VECTORS = r":(?P<search>embedContent|predict)"
# Of no project, and listed by the beta alone.
LISTED = "publishers/google/models"
TOKEN = re.compile(r"Bearer ya29\.\S+")


class Vertex(Gemini):
    """generateContent and streamGenerateContent of a project, or in express mode."""

    name = "vertex"
    routes = (
        *(
            Route("POST", re.compile(model + action), "call")
            for model in (PUBLISHED, DEPLOYED)
            for action in (METHODS, VECTORS)
        ),
        Route("GET", re.compile(f"/v1beta1/{LISTED}"), "models"),
        Route("GET", re.compile(rf"{VERSION}/{LISTED}/(?P<model>[^/:]+)"), "model"),
    )

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request with neither an access token nor, in express mode, a key."""
        is_express = asked.fields.get("project") is None
        if is_express and asked.headers.get("x-goog-api-key", "").strip():
            return
        if TOKEN.fullmatch(asked.headers.get("authorization", "")) is None:
            raise Refusal(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
            )

    def whole(self, reply: Reply) -> bytes:
        """Write a whole answer, which says when it was made and as what it is billed."""
        if reply.question.search is not None:
            return search_body(reply, reply.question.search)
        answer: dict[str, Any] = msgspec.json.decode(whole_body(reply))
        answer["createTime"] = "2026-11-28T10:00:00.000000Z"
        answer["usageMetadata"]["trafficType"] = "ON_DEMAND"
        return msgspec.json.encode(answer)

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write an error; its details are there even where there are none."""
        del names
        body = error_body(refusal)
        if "error" in body:
            body["error"].setdefault("details", [])
        return msgspec.json.encode(body)

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write the first page of what Google publishes."""
        length = page_length(asked, "pageSize", PAGE_LENGTH)
        return msgspec.json.encode({"publisherModels": [*map(self.listed, models[:length])]})

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models, which says little."""
        return {"name": f"{LISTED}/{model}", "versionId": "default", "launchStage": "GA"}

    def unknown_model(self, model: str) -> Refusal:
        """Say `NOT_FOUND`, in the words of this service."""
        return Refusal(
            404,
            "NOT_FOUND",
            f"Publisher Model `publishers/google/models/{model}` not found.",
        )
