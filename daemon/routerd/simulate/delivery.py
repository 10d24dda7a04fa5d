"""Sends one answer to one client: in its time, and with the fault that strikes it.

All writing to a client's connection is here; what is written comes from the vendor as bytes. The
schedule is absolute: a token is due at a moment fixed when the answer began, so that a slow reader
or a busy machine does not stretch it, and tokens that are due together go out in one write.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterable, Mapping

import msgspec
from aiohttp import web

from routerd.simulate.account import Account, Attempt, Outcome
from routerd.simulate.exchange import Frame, HttpAnswer, Reply, Usage
from routerd.simulate.script import IN_THE_ANSWER, Fault, Pacing
from routerd.simulate.vendor import JSON_HEADERS, RequestNames, Vendor

__all__ = ["SIMULATED_HEADER", "Delivery", "reset_connection", "simple_response"]

SIMULATED_HEADER = {"x-routerd-simulated": "1"}
# Tokens due within this time go out together; timers are hardly finer.
TICK_SECONDS = 0.001
# An answer sent all at once is still handed over in pieces, so that others get their turn.
MOST_BYTES_AT_ONCE = 256 * 1024


class Delivery:
    """One answer under way.

    `reply` is what is to be said, None until that is known; `made`: tokens produced until now, also
    those that are not sent yet.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        vendor: Vendor,
        names: RequestNames,
        account: Account,
        attempt: Attempt,
        pacing: Pacing,
    ) -> None:
        self._request = request
        self._vendor = vendor
        self._names = names
        self._account = account
        self._attempt = attempt
        self._pacing = pacing
        self._began = time.monotonic()
        self.made = 0
        self.reply: Reply | None = None

    async def think(self) -> None:
        """Wait until the answer's first byte is due."""
        await self._sleep_until(self._began + self._pacing.think_seconds)

    async def stream(self, reply: Reply, fault: Fault | None) -> tuple[web.StreamResponse, Outcome]:
        """Send the answer event by event."""
        response = await self._opened(reply, self._vendor.stream_headers)
        total, step = reply.sent_tokens, self._pacing.token_seconds
        point = fault.point(total) if fault and fault.kind in IN_THE_ANSWER else None
        begin = time.monotonic()
        pending: list[bytes] = []
        size = 0
        for frame in self._frames(reply, fault):
            if fault and self.made == point and (frame.tokens or self.made == total):
                if fault.kind != "malformed":
                    await self._write(response, pending)
                    return response, await self._end_early(response, fault, frame.data, reply)
                pending.append(self._vendor.broken_frame(frame.data))
                point = None
            if frame.tokens:
                if self.made == 0 and fault and fault.kind == "slow_first_token":
                    await self._write(response, pending)
                    await asyncio.sleep(fault.seconds or 0)
                    begin = time.monotonic()
                due = begin + self.made * step
                if size > MOST_BYTES_AT_ONCE or due - time.monotonic() > TICK_SECONDS:
                    await self._write(response, pending)
                    await self._sleep_until(due)
                    size = 0
                self.made += frame.tokens
            pending.append(frame.data)
            size += len(frame.data)
        await response.write_eof(b"".join(pending))
        self._account.progress(self._attempt, self.made)
        return response, "broken" if fault and fault.kind == "missing_mark" else "completed"

    def _frames(self, reply: Reply, fault: Fault | None) -> Iterable[Frame]:
        frames = self._vendor.frames(reply)
        return [*frames][:-1] if fault and fault.kind == "missing_mark" else frames

    async def whole(self, reply: Reply, fault: Fault | None) -> tuple[web.StreamResponse, Outcome]:
        """Send the answer as one body, when its last token is made."""
        await self._make_all(reply)
        body = self._vendor.whole(reply)
        cut: int | None = None
        outcome: Outcome = "completed"
        if fault and fault.kind in IN_THE_ANSWER:
            body, cut = self._spoilt(body, reply, fault)
            outcome = "broken"
        response = await self._opened(reply, JSON_HEADERS, len(body))
        if fault and fault.kind == "slow_first_token":
            await asyncio.sleep(fault.seconds or 0)
        if cut is not None:
            await response.write(body[:cut])
            if fault and fault.kind == "stall":
                await self.silence()
            self._close(response, fault)
            return response, outcome
        await response.write_eof(body)
        self._account.progress(self._attempt, self.made)
        return response, outcome

    async def _make_all(self, reply: Reply) -> None:
        """Wait until every token is made; a client that leaves finds some of them made."""
        step = self._pacing.token_seconds
        begin = time.monotonic()
        try:
            await self._sleep_until(begin + reply.sent_tokens * step)
        except asyncio.CancelledError:
            self.made = min(reply.sent_tokens, int((time.monotonic() - begin) / step))
            raise
        self.made = reply.sent_tokens

    async def silence(self) -> None:
        """Never answer: ends when the client leaves."""
        await asyncio.get_running_loop().create_future()

    def usage(self, outcome: Outcome) -> Usage:
        """Return what the call used: all, or what was made until it ended."""
        reply = self.reply
        if reply is None:
            return Usage()
        if outcome == "completed":
            return reply.usage
        thought = len(reply.answer.reasoning)
        if reply.question.reasoning_shown:
            shown = min(self.made, thought)
            return msgspec.structs.replace(reply.usage, output=self.made, reasoning=shown)
        # Hidden reasoning comes before the first byte.
        hidden = thought if self._attempt.status is not None else 0
        return msgspec.structs.replace(reply.usage, output=hidden + self.made, reasoning=hidden)

    def _spoilt(self, body: bytes, reply: Reply, fault: Fault) -> tuple[bytes, int | None]:
        """Return the body that the fault leaves, and where it is cut off, if it is."""
        total = max(reply.sent_tokens, 1)
        place = min(max(len(body) * fault.point(total) // total, 1), len(body) - 1)
        if fault.kind == "error_in_stream":
            refusal = self._vendor.fault(fault, reply.question.model)
            return self._vendor.error_in_body(refusal, self._names), None
        if fault.kind == "malformed":
            return body[:place] + b'"}{"' + body[place:], None
        if fault.kind == "missing_end":
            return body[:place], None
        return body, place

    async def _end_early(
        self, response: web.StreamResponse, fault: Fault, data: bytes, reply: Reply
    ) -> Outcome:
        """End a stream as the fault says, in place of the event `data`."""
        if fault.kind == "stall":
            await self.silence()
        elif fault.kind == "error_in_stream":
            refusal = self._vendor.fault(fault, reply.question.model)
            await response.write_eof(self._vendor.error_frame(refusal))
        elif fault.kind == "missing_end":
            await response.write_eof()
        elif (transport := self._request.transport) is not None:
            # A chunk that promises the whole event and brings half of it.
            transport.write(b"%x\r\n%b" % (len(data), data[: len(data) // 2]))
            self._close(response, fault)
        return "broken"

    def _close(self, response: web.StreamResponse, fault: Fault | None) -> None:
        response.force_close()
        if fault and fault.kind == "reset_in_answer":
            reset_connection(self._request)
        elif self._request.transport is not None:
            self._request.transport.close()

    async def _opened(
        self, reply: Reply, headers: Mapping[str, str], length: int | None = None
    ) -> web.StreamResponse:
        """Send the headers; without a length the body is chunked."""
        told = self._vendor.answer_headers(self._names, reply.question)
        response = web.StreamResponse(headers={**told, **headers, **SIMULATED_HEADER})
        response.content_length = length
        await response.prepare(self._request)
        self._attempt.status = response.status
        return response

    async def _write(self, response: web.StreamResponse, pending: list[bytes]) -> None:
        """Hand over what has gathered."""
        if pending:
            data = b"".join(pending)
            pending.clear()
            await response.write(data)
            self._account.progress(self._attempt, self.made)

    async def _sleep_until(self, moment: float) -> None:
        wait = moment - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)


def simple_response(answer: HttpAnswer) -> web.Response:
    """Make the response of a whole answer."""
    headers = {**answer.headers, **SIMULATED_HEADER}
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def reset_connection(request: web.BaseRequest) -> None:
    """Close the connection with a TCP reset, in place of an answer or of its rest."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    # Lingering for no time at all makes the kernel send a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
