"""A request on its way out: when its first byte left, how long its body may take, what it waits.

aiohttp has no time-out for writing: a server that takes the connection but not the body would hold
a call for ever. So large bodies are written in slices, each under the write time-out, by a task of
their own, because a server may answer before it has read everything. Small ones fit the socket
and cost nothing extra.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

SLICE_BYTES: Final = 65_536


class Sending:
    """How far one request came, for whoever sent it: also when nothing can be returned to him.

    `started`: its head and first bytes were handed to a connection. Until then the provider
    certainly saw nothing of it. `awaits_token`: it cannot be sent before there is an access token.
    `waited` counts the seconds in which others were waited for: for a token, for a connection that
    is made, from the request written to the first bytes of the answer read, and for more of them
    while there was nothing to hand on. `waits_since` is when such a wait began, on the monotonic
    clock, and 0 outside of one.
    """

    __slots__ = ("awaits_token", "started", "waited", "waits_since")

    def __init__(self) -> None:
        self.started = self.awaits_token = False
        self.waited = self.waits_since = 0.0

    def wait(self) -> None:
        """Begin a wait."""
        self.waits_since = monotonic()

    def go_on(self) -> None:
        """End a wait, if one has begun."""
        if self.waits_since:
            self.waited += monotonic() - self.waits_since
            self.waits_since = 0.0


def write_request(
    protocol: ResponseHandler,
    head: bytes,
    body: bytes,
    sending: Sending,
    seconds: float | None,
    fail: Callable[[Exception], None],
) -> asyncio.Task[None] | None:
    """Write a request; returns the task that writes the rest of a large one, or tells `fail`.

    Raises aiohttp.ClientError where the connection is closed already.
    """
    transport = protocol.transport
    if transport is None:
        raise aiohttp.ClientConnectionResetError("closed before it was used")
    sending.started = True
    if len(body) <= SLICE_BYTES:
        transport.write(head + body)  # fits into the socket: nothing to wait for
        protocol.start_timeout()
        return None
    transport.write(head)
    return asyncio.get_running_loop().create_task(write_slices(protocol, body, seconds, fail))


async def write_slices(
    protocol: ResponseHandler,
    body: bytes,
    seconds: float | None,
    fail: Callable[[Exception], None],
) -> None:
    """Write a large body; a slice that is not taken within so many seconds is a TimeoutError."""
    view = memoryview(body)
    try:
        for start in range(0, len(view), SLICE_BYTES):
            async with asyncio.timeout(seconds):
                transport = protocol.transport
                if transport is None or transport.is_closing():
                    raise aiohttp.ClientConnectionResetError("closed while it was written")
                transport.write(view[start : start + SLICE_BYTES])
                await protocol._drain_helper()  # noqa: SLF001 - what aiohttp's own writer awaits
    except (aiohttp.ClientError, OSError) as error:
        fail(error)
    else:
        protocol.start_timeout()
