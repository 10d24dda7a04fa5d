"""Opening connections before the first call needs them.

A warmed connection has its name looked up, its TCP and TLS handshakes done, and waits in the pool.
What is sent is a GET of a path the caller knows to be unbilled; any status counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio
import httpx
import msgspec

from routerd.providers.transport.interface import Request, Transport, open_answer
from routerd.providers.transport.reading import read_content

# A list of models is a few hundred KiB; a longer answer is not worth a connection.
ANSWER_LIMIT_BYTES = 4_194_304
FIRST_OF_SERVERS_OWN = 500


class WarmReport(msgspec.Struct, frozen=True, kw_only=True):
    """What warming did: `open` connections of `wanted` wait in the pool, after `seconds`.

    `error`: why one of the others failed, None where none did or time ran out. `status` is the
    worst that was answered, None where nothing was.
    """

    wanted: int
    open: int
    seconds: float
    error: httpx.RequestError | None
    status: int | None = None

    @property
    def answers(self) -> bool:
        """Whether the server is there, and does not say of itself that it is in trouble."""
        return self.status is not None and self.status < FIRST_OF_SERVERS_OWN


async def warm(
    transport: Transport,
    url: str,
    headers: Sequence[tuple[bytes, bytes]],
    connections: int,
    timeout_seconds: float = 10.0,
) -> WarmReport:
    """Fill the pool with connections by GETs sent at the same time; never raises a failure of one.

    Connections that are idle already are used and counted too.
    """
    started = time.monotonic()
    opened = 0
    first_error: httpx.RequestError | None = None
    statuses: list[int] = []

    async def fetch() -> None:
        nonlocal opened, first_error
        try:
            request = Request("GET", url, list(headers))
            async with open_answer(transport, request) as answer:
                await read_content(answer, ANSWER_LIMIT_BYTES)
                statuses.append(answer.status_code)
                opened += answer.stays_open
        except httpx.RequestError as error:
            first_error = first_error or error

    with anyio.move_on_after(timeout_seconds):
        async with anyio.create_task_group() as tasks:
            for number in range(connections):
                tasks.start_soon(fetch, name=f"warm connection {number + 1}")
    return WarmReport(
        wanted=connections,
        open=opened,
        seconds=time.monotonic() - started,
        error=first_error,
        status=max(statuses, default=None),
    )
