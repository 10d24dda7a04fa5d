"""A way between two processes of this machine that is as long as one to a provider.

Rules of this file: every byte arrives half a round trip after it was sent, in order. A connection
is made at once here, so the first bytes on it wait for the round trip that this takes elsewhere.

    python -m bench.distance CORE PORT MILLISECONDS     # prints the port it listens on
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from bench.machine import pinned, raise_open_files


class End(asyncio.Protocol):
    """One end of a connection: what comes in leaves at `other`, later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._not_before = 0.0
        self.transport: asyncio.Transport
        self.other: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._later(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._later(None)

    def hold_back(self, seconds: float) -> None:
        """Let nothing arrive before so many seconds and the way are over."""
        self._not_before = self._loop.time() + seconds + self._delay

    def _later(self, data: bytes | None) -> None:
        at = max(self._loop.time() + self._delay, self._not_before)
        self._not_before = at
        self._loop.call_at(at, self._arrive, data)

    def _arrive(self, data: bytes | None) -> None:
        other = self.other
        if other is None or other.transport.is_closing():
            self.transport.close()
        elif data is None:
            other.transport.close()
        else:
            other.transport.write(data)


class Near(End):
    """The end of who connects."""

    def __init__(self, delay: float, port: int) -> None:
        super().__init__(delay)
        self._port = port
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.hold_back(2 * self._delay)
        # Nothing is read before there is where it goes.
        self.transport.pause_reading()
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        far = End(self._delay)
        far.other, self.other = self, far
        await self._loop.create_connection(lambda: far, "127.0.0.1", self._port)
        self.transport.resume_reading()


async def main(port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Near(seconds / 2, port), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    core, far_port, milliseconds = map(int, sys.argv[1:])
    raise_open_files()
    with pinned(core):
        uvloop.run(main(far_port, milliseconds / 1000))
