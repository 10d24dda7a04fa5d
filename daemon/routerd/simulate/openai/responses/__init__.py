"""OpenAI's Responses, as OpenAI itself speaks it.

Sans-I/O. What a request may hold and what is refused follows OpenAI's API reference and its SDK
types, without the rules of single models. Nothing is ever stored: `previous_response_id` finds
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from routerd.simulate.exchange import Asked, Frame, Question, Refusal, Reply
from routerd.simulate.openai import OpenAI
from routerd.simulate.openai.responses.reply import failed_body, stream_frames, whole_body
from routerd.simulate.openai.responses.request import read_question
from routerd.simulate.vendor import RequestNames, Route, server_sent_event

__all__ = ["OpenAIResponses"]


class OpenAIResponses(OpenAI):
    """Responses; all else but chat is at the same addresses as beside Chat Completions."""

    name = "openai-responses"
    routes = (Route("POST", re.compile(r"/v1/responses"), "call"), *OpenAI.routes[2:])

    def question(self, asked: Asked) -> Question:
        """Read a Responses request, or one for vectors or for an order."""
        if "search" in asked.fields:
            return super().question(asked)
        return read_question(asked.body)

    def whole(self, reply: Reply) -> bytes:
        """Write a `response`, or what else was asked for."""
        if reply.question.search is not None:
            return super().whole(reply)
        return whole_body(reply)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write the events from `response.created` to the end."""
        return stream_frames(reply)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write an `error` event."""
        event = {
            "type": "error",
            "code": refusal.code or refusal.kind,
            "message": refusal.message,
            "param": refusal.param,
            "sequence_number": 0,
        }
        return server_sent_event(msgspec.json.encode(event), "error")

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write a `response` that failed."""
        return failed_body(refusal, names)

    def unknown_model(self, model: str) -> Refusal:
        """Say `model_not_found`, which is a 400 here."""
        missing = super().unknown_model(model)
        return Refusal(400, missing.kind, missing.message, code=missing.code, param="model")
