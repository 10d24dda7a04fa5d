"""The floor: bytes from a Unix socket to the provider and back, nothing read, nothing known.

No router in Python can cost less than this: one task less, one connection upstream for each of the
app's, and no idea what goes through.

    python -m bench.relay SOCKET PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from bench.machine import raise_open_files


class Upstream(asyncio.Protocol):
    """The side of the provider."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._app.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._app.transport.close()


class App(asyncio.Protocol):
    """The side of the app."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._early: list[bytes] = []
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self), "127.0.0.1", self._port)
        self._upstream = upstream
        upstream.transport.writelines(self._early)
        if self.transport.is_closing():
            upstream.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._upstream is None:
            self._early.append(data)
        else:
            self._upstream.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.transport.close()


async def main(path: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: App(port), path, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    raise_open_files()
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
