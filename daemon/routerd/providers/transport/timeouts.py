"""How long the phases of a call may take, in httpx's words and in aiohttp's.

There is no limit on a whole call here: an answer may stream for as long as its bytes keep coming.
Who has a deadline watches it.
"""

from __future__ import annotations

from typing import Annotated

import aiohttp
import msgspec

# aiohttp takes a time-out of zero or less for none at all; a call whose time is up must not wait
# for ever.
SHORTEST_SECONDS = 0.001

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time-outs of a call that names none itself, in seconds; None waits without limit.

    `connect`: name look-up, TCP, the proxy's tunnel and TLS together; above five seconds aiohttp
    rounds it up to a full second. `read`: silence, before the headers or between two pieces of the
    body; ten minutes, because a model that thinks says nothing for minutes. `write`: for each
    64 KiB of the request to be taken.
    """

    connect: Seconds | None = 10.0
    read: Seconds | None = 600.0
    write: Seconds | None = 60.0

    def as_extension(self) -> dict[str, float | None]:
        """Return the value of a request's `timeout` extension."""
        # There is no queue for a free connection, so nothing can wait for one.
        return {"connect": self.connect, "read": self.read, "write": self.write, "pool": None}


def at_least_shortest(seconds: float | None) -> float | None:
    """Return a time-out aiohttp will honour."""
    return None if seconds is None else max(seconds, SHORTEST_SECONDS)


def engine_limits(timeouts: Timeouts) -> tuple[aiohttp.ClientTimeout, float | None, float | None]:
    """Return aiohttp's form of time-outs, and those for reading and writing in seconds."""
    connect, read, write = map(at_least_shortest, (timeouts.connect, timeouts.read, timeouts.write))
    # `sock_connect` covers one address; `connect` also name look-up and a proxy's silence.
    limits = aiohttp.ClientTimeout(
        total=None, connect=connect, sock_connect=connect, sock_read=read
    )
    return limits, read, write
