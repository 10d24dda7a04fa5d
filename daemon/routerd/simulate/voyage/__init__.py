"""Voyage's embeddings and rerank, as Voyage itself speaks them.

Sans-I/O. There is no chat, no stream and no list of models. What is refused follows the API
reference; the words of its errors are made up but for those that the router's facts quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from routerd.simulate.exchange import Asked, Frame, Question, Refusal, Reply
from routerd.simulate.script import Fault
from routerd.simulate.vendor import PAGE_STATUSES, RequestNames, Route, Vendor, bearer_key
from routerd.simulate.voyage.search import invalid, read_search, search_body

__all__ = ["Voyage"]

MESSAGES = {
    401: "Provided API key is invalid.",
    403: "The IP address you are sending the request from is not allowed.",
    429: "You have exceeded the rate limit of your organization.",
    500: "An unexpected error occurred on our server.",
    503: "Our servers are experiencing high traffic and are overloaded.",
}
UNKNOWN = "Model {model} is not supported. Supported models are ['voyage-4-large', 'voyage-4']."
# By the code that other vendors give the case, since a fault may be for all of them.
CASES = {
    "context_length_exceeded": "The request has an input over the model's context length.",
    "model_not_found": UNKNOWN,
    "rate_limit_exceeded": MESSAGES[429],
    "server_error": MESSAGES[500],
    "server_is_overloaded": MESSAGES[503],
}


class Voyage(Vendor):
    """Embeddings and rerank."""

    name = "voyage"
    routes = (Route("POST", re.compile(r"/v1/(?P<search>embeddings|rerank)"), "call"),)
    listed_models = ()

    def claims(self, headers: Mapping[str, str]) -> bool:
        """Tell Voyage's client by its name."""
        return headers.get("user-agent", "").startswith("voyageai")

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request without a key."""
        if not bearer_key(asked):
            raise Refusal(401, "", MESSAGES[401])

    def question(self, asked: Asked) -> Question:
        """Read a request."""
        return read_search(asked.fields["search"], asked.body)

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the id of the request."""
        del question
        return {"x-request-id": names.id[:32]}

    def whole(self, reply: Reply) -> bytes:
        """Write a whole answer."""
        search = reply.question.search
        return b"{}" if search is None else search_body(reply, search)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write the answer as one piece: nothing is streamed here."""
        yield Frame(self.whole(reply), 0)

    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the real error for a scripted code, or for a status alone."""
        status = fault.status or 500
        if fault.code is None and fault.kind == "status" and status in PAGE_STATUSES:
            return Refusal(status, "page", "the vendor is not there", page=True)
        plain = "The request is invalid." if status < 500 else MESSAGES[500]
        message = CASES.get(fault.code or "", MESSAGES.get(status, plain))
        return Refusal(status, "", message.format(model=model), retry_after=fault.retry_after)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write an error as the one piece there is."""
        return msgspec.json.encode({"detail": refusal.message})

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write `{"detail": ...}`."""
        del names
        return msgspec.json.encode({"detail": refusal.message})

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write a list: no path leads here."""
        del asked
        return msgspec.json.encode({"data": [self.listed(name) for name in models]})

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""
        return {"id": model}

    def unknown_model(self, model: str) -> Refusal:
        """Say that it is not supported."""
        return invalid(UNKNOWN.format(model=model))

    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say `Not Found`."""
        del method, path
        return Refusal(404, "", "Not Found")

    def bad_schema(self) -> Refusal:
        """Say that the request is invalid: there are no schemas here."""
        return invalid("The request is invalid.")

    def too_large(self) -> Refusal:
        """Say that there is too much."""
        return Refusal(413, "", "Request entity too large")
