"""The daemon with a look at its memory: what each room has allocated, at two moments.

Rules of this file: SIGUSR1 begins to note who allocates, SIGUSR2 writes what of that is still held,
in bytes by room, as JSON; the answer to both is a file that is there. Noting costs memory and time
itself, so the sums are less than what the kernel counts, and speed is not to be measured here. A
room is a folder of the daemon, or a package of somebody else's.

    python -m bench.traced_daemon FILE serve ...
"""

from __future__ import annotations

import gc
import signal
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

__all__ = ["began_file", "room_of"]

PACKAGES: Final = ("site-packages", "daemon", "proto")
OTHERS: Final = "Python and C"


def began_file(file: Path) -> Path:
    """Return what is there once allocations are noted."""
    return file.with_suffix(".began")


def room_of(path: str) -> str:
    """Return who a source file belongs to: `routerd/execute`, `anyio`, or Python itself."""
    parts = Path(path).parts
    for package in PACKAGES:
        if package in parts[:-1]:
            inside = parts[len(parts) - parts[::-1].index(package) :]
            is_room = inside[0] == "routerd" and len(inside) > 2
            return "/".join(inside[:2]) if is_room else inside[0].removesuffix(".py")
    return OTHERS


class Tracer:
    """Note who allocates, between two signals."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, _number: int, _frame: FrameType | None) -> None:
        """Note from now on."""
        gc.collect()
        tracemalloc.start()
        began_file(self._file).touch()

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """Write what is held of what was noted."""
        gc.collect()
        rooms: Counter[str] = Counter()
        for trace in tracemalloc.take_snapshot().traces:
            rooms[room_of(trace.traceback[0].filename)] += trace.size
        tracemalloc.stop()
        partial = self._file.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(rooms))
        partial.rename(self._file)


if __name__ == "__main__":
    from routerd.__main__ import main

    tracer = Tracer(Path(sys.argv.pop(1)))
    signal.signal(signal.SIGUSR1, tracer.begin)
    signal.signal(signal.SIGUSR2, tracer.end)
    sys.exit(main())
