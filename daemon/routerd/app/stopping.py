"""What signals ask for: SIGTERM and SIGINT an end, at first an orderly one; SIGHUP a reload.

Rules of this file: signals are taken from the first moment of the event loop to the last, so that
one that comes during the start is neither fatal nor lost, also where the daemon is process 1.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio

__all__ = ["Stop"]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Two events while the block runs: `requested`, and `without_waiting` after a second signal.

    A SIGHUP is handed to whom `on_reload` named; one that came before is handed on then. Where it
    comes because the terminal was closed that the daemon was started from, it asks for the end.
    """

    def __init__(self) -> None:
        self.requested = anyio.Event()
        self.without_waiting = anyio.Event()
        self._loop = asyncio.get_running_loop()
        self._has_terminal = _has_terminal()
        self._reload: Callable[[], None] | None = None
        self._reload_asked = False

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._take)
        self._loop.add_signal_handler(signal.SIGHUP, self._take_hang_up)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
        # The last steps of a stop are not to be cut off by somebody who wants a reload.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def on_reload(self, reload: Callable[[], None]) -> None:
        """Call this for every SIGHUP, also for one that has come already."""
        self._reload = reload
        if self._reload_asked:
            reload()

    def _take(self) -> None:
        if self.requested.is_set():
            self.without_waiting.set()
        self.requested.set()

    def _take_hang_up(self) -> None:
        if self._has_terminal and not _has_terminal():
            self.requested.set()
        elif self._reload is not None:
            self._reload()
        else:
            self._reload_asked = True


def _has_terminal() -> bool:
    """Say whether what is logged is read at a terminal, and the terminal is still there."""
    try:
        return os.isatty(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False  # a stream that was taken away or put in its place
