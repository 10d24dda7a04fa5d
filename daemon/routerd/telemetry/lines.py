"""Writing whole lines to a stream without ever waiting for whoever reads it.

Rules of this file: it knows bytes and streams, not what a line says. A line is written at once
where the stream takes it. Where its reader has fallen behind, lines are kept in order and written
by a thread; beyond a limit they are counted and the count is written when the reader is back.
"""

from __future__ import annotations

import io
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

__all__ = ["LineWriter"]

# What a pipe that polls as writable takes whole and without waiting (pipe(7)).
PIPE_BUFFER_BYTES: Final = 4096


class LineWriter:
    """Write lines to a stream; `backlog_limit` lines are kept while it does not take them.

    `lost_line` makes the line that says how many were lost.
    """

    def __init__(
        self, stream: TextIO, lost_line: Callable[[int], bytes], *, backlog_limit: int = 1000
    ) -> None:
        self.lost = 0
        self._stream = stream
        self._lost_line = lost_line
        self._backlog_limit = backlog_limit
        self._backlog: deque[bytes] = deque()
        self._untold = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._file: io.FileIO | None = None
        # As memory and files do; a pipe, a socket or a terminal has to be asked.
        self._always_takes = True
        self._poll = select.poll()
        try:
            descriptor = stream.fileno()
        except OSError:
            return  # in memory: nothing to wait for
        self._file = io.FileIO(descriptor, "w", closefd=False)
        self._always_takes = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, line: bytes) -> None:
        """Write a line that ends with a newline; from any thread."""
        with self._lock:
            if self._thread is None and (self._always_takes or self._takes(line)):
                self._put(line)
            elif len(self._backlog) >= self._backlog_limit:
                self.lost += 1
                self._untold += 1
            else:
                if self._untold:
                    # Where the gap is, not only at the end.
                    self._backlog.append(self._lost_line(self._untold))
                    self._untold = 0
                self._backlog.append(line)
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work_off, name="log lines", daemon=True
                    )
                    self._thread.start()

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Wait a little for lines that are kept; those still there are given up."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)

    def _takes(self, line: bytes) -> bool:
        return len(line) <= PIPE_BUFFER_BYTES and bool(self._poll.poll(0))

    def _put(self, line: bytes) -> None:
        try:
            if self._file is None:
                self._stream.write(line.decode())
                return
            written = self._file.write(line) or 0
            while written < len(line):
                written += self._file.write(memoryview(line)[written:]) or 0
        except (OSError, ValueError):
            # Nobody reads the stream any more: that is no reason to stop serving.
            self.lost += 1

    def _work_off(self) -> None:
        while True:
            with self._lock:
                if self._backlog:
                    line = self._backlog.popleft()
                elif self._untold:
                    line = self._lost_line(self._untold)
                    self._untold = 0
                else:
                    self._thread = None
                    return
            self._put(line)
