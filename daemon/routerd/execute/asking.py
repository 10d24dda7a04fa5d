"""What a route's provider is asked: encoded once, however often it is sent.

Rules of this file: no I/O. The bytes stay the same for every attempt on a route, unless its
provider refused them and said what to change.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import structs

from routerd.domain import Call, Route
from routerd.errors import CallRefused, ErrorClass, Failure
from routerd.execute.target import Target
from routerd.providers.adjusting import adjust_prompt
from routerd.providers.base import ChatRequest, EncodedRequest, Repair, Wire
from routerd.providers.call_ids import SAME_ID_NOTE, unanswered_refusal, with_distinct_calls
from routerd.providers.paused import paused_by
from routerd.providers.raw import with_raw
from routerd.providers.request import refuse_continuing
from routerd_proto.content import ToolCall
from routerd_proto.frames import CallOptions

__all__ = ["Asking", "Asks"]

WATCHED_NOTE: Final = "asked for as a stream, so that silence is seen while a backup stands by"
NO_STREAM_NOTE: Final = "the provider refused a stream, and was asked for an answer in one piece"


class Asks(Protocol):
    """A request in the wire of one route, whatever kind of call it is of."""

    wire: Wire

    @property
    def stream(self) -> bool:
        """Whether the answer is to come in parts."""
        ...

    def encoded(self) -> EncodedRequest:
        """Return the request as it is sent; CallRefused where this wire cannot carry it."""
        ...

    def repaired(self, failure: Failure) -> EncodedRequest | None:
        """Return a refused request as its provider may take it, None where it names no cure."""
        ...

    def send_instead(self, repaired: EncodedRequest) -> None:
        """Send this from now on."""
        ...


class Asking:
    """A call in the wire of one route; `options` are its own with all defaults filled in.

    `stream` asks for an answer in parts, also where the caller gets it in one piece.
    """

    __slots__ = (
        "_adjusted",
        "_call",
        "_encoded",
        "_options",
        "_repaired_stream",
        "_request",
        "_route",
        "_target",
        "stream",
        "wire",
    )

    def __init__(
        self,
        call: Call,
        options: CallOptions,
        route: Route,
        target: Target,
        *,
        stream: bool,
    ) -> None:
        self._call, self._options = call, options
        self._route, self._target = route, target
        self.stream = stream
        self._repaired_stream = stream
        self.wire: Wire = target.adapter
        # What is asked, what was changed in it before, and both as bytes.
        self._request: ChatRequest | None = None
        self._adjusted: list[str] = []
        self._encoded: EncodedRequest | None = None

    def encoded(self) -> EncodedRequest:
        """Return the request as it is sent; CallRefused where this wire cannot carry it."""
        if self._encoded is None:
            route, target, options = self._route, self._target, self._options
            if route.max_output_tokens is not None:
                options = structs.replace(options, max_output_tokens=route.max_output_tokens)
            unanswered: list[ToolCall] = []
            messages = with_distinct_calls(self._call.messages, unanswered)
            request = ChatRequest(
                model_id=target.provider_model,
                messages=messages,
                options=options,
                stream=self.stream,
                capabilities=target.capabilities,
                output_limit=target.output_limit,
                model=target.model,
            )
            paused = paused_by(messages)
            # An answer that paused is not over: who makes it gives no result to its calls yet.
            is_over = paused != target.adapter.name
            if unanswered and is_over and target.adapter.needs_results(request):
                raise unanswered_refusal(unanswered[0])
            if paused is not None and is_over:
                refuse_continuing(request)  # to others it is an answer begun
            self._request, self._adjusted = adjust_prompt(request, target.prompt)
            if messages is not self._call.messages:
                self._adjusted = [*self._adjusted, SAME_ID_NOTE]
            encoded = target.adapter.encode(self._request)
            if options.raw:
                encoded = with_raw(encoded, options.raw, (target.wire, target.provider))
            if self.stream and not self._call.stream:
                encoded = structs.replace(encoded, notes=[WATCHED_NOTE, *encoded.notes])
            if self._adjusted:
                encoded = structs.replace(encoded, notes=self._adjusted + encoded.notes)
            self._encoded = encoded
        return self._encoded

    def repaired(self, failure: Failure) -> EncodedRequest | None:
        """Return a refused request as its provider may take it, None where it names no cure."""
        if failure.error_class is not ErrorClass.BAD_REQUEST or self._request is None:
            return None
        repair = self._without_stream(self._request, failure)
        repair = repair or self._target.adapter.repair(self._request, failure)
        if repair is None:
            return None
        target, raw = self._target, repair.request.options.raw
        try:
            encoded = target.adapter.encode(repair.request)
            if raw:
                encoded = with_raw(encoded, raw, (target.wire, target.provider))
        except CallRefused:
            return None
        # What was not sent cannot have been refused: the same bytes would be, once more.
        if self._encoded is None or encoded.body == self._encoded.body:
            return None
        self._repaired_stream = repair.request.stream
        is_watched = self._repaired_stream and not self._call.stream
        watched = [WATCHED_NOTE] if is_watched else []
        notes = [*self._adjusted, *watched, *encoded.notes, repair.note]
        return structs.replace(encoded, notes=notes)

    def send_instead(self, repaired: EncodedRequest) -> None:
        """Send this from now on."""
        self._encoded = repaired
        self.stream = self._repaired_stream

    def _without_stream(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Do without a stream that is refused: the caller never asked for it."""
        if not self.stream or self._call.stream or failure.param != "stream":
            return None
        return Repair(structs.replace(request, stream=False), NO_STREAM_NOTE)
