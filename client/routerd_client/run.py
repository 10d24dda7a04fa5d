"""What carries a request to its end, blocking or not: the parts that do not wait.

Rules of this file: no I/O but hanging up. Each kind of waiting adds one loop of its own.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from routerd_client.request import Request
from routerd_client.wire import Wire

__all__ = ["Link", "Run"]


class Link(Protocol):
    """One connection. `reused`: an earlier request was answered on it."""

    wire: Wire
    reused: bool

    def close(self) -> None:
        """Hang up."""


LinkT = TypeVar("LinkT", bound=Link)
PoolT = TypeVar("PoolT")


class Run(Generic[PoolT, LinkT]):
    """One request on the link it has at the moment, if any.

    `lost` says that a link was lost on the way, so that the next one is to be a new one.
    """

    def __init__(self, pool: PoolT, request: Request) -> None:
        self.pool = pool
        self.request = request
        self.link: LinkT | None = None
        self.lost = False
        request.begin()

    def interrupt(self, error: Exception) -> None:
        """Hang up after an error; the request decides whether it is sent again."""
        link = self._hang_up()
        self.lost = True
        self.request.interrupt(error, reused=link is not None and link.reused)

    def close(self) -> None:
        """Leave: hang up if the answer is not complete."""
        self.request.interrupt(None)
        self._hang_up()

    def _hang_up(self) -> LinkT | None:
        link, self.link = self.link, None
        if link is not None:
            link.close()
        return link
