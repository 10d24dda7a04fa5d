"""The daemon with a counter of function calls on its event loop's thread.

Rules of this file: a count says the same on a fast machine, a slow one and a busy one, which no
clock does. SIGUSR1 begins to count, SIGUSR2 ends; the number goes to a file when the daemon ends.

    python -m bench.counted_daemon FILE serve ...
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any


class CallCounter:
    """Count calls of Python and of C functions; a coroutine that goes on counts as a call."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self, _number: int, _frame: FrameType | None) -> None:
        """Count from now on. A handler runs on the main thread, which is the loop's."""
        sys.setprofile(self._note)

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """Count no more."""
        sys.setprofile(None)

    def _note(self, _frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_call"):
            self.count += 1


if __name__ == "__main__":
    from routerd.__main__ import main

    counter = CallCounter()
    signal.signal(signal.SIGUSR1, counter.begin)
    signal.signal(signal.SIGUSR2, counter.end)
    file = Path(sys.argv.pop(1))
    code = main()
    file.write_text(str(counter.count))
    sys.exit(code)
