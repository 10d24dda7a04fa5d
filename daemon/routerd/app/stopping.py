"""What SIGTERM and SIGINT ask for: the first an orderly end, the second one without waiting.

Rules of this file: signals are taken from the first moment of the event loop to the last, so that
one that comes during the start is neither fatal nor lost, also where the daemon is process 1.
"""

from __future__ import annotations

import asyncio
import signal
from types import TracebackType
from typing import Self

import anyio

__all__ = ["Stop"]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Two events while the block runs: `requested`, and `without_waiting` after a second signal."""

    def __init__(self) -> None:
        self.requested = anyio.Event()
        self.without_waiting = anyio.Event()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in STOP_SIGNALS:
            self._loop.remove_signal_handler(number)

    def _take(self) -> None:
        if self.requested.is_set():
            self.without_waiting.set()
        self.requested.set()
