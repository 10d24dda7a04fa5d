"""The daemon with a counter on its event loop's thread: of function calls, or of instructions.

Rules of this file: a count says the same on a fast machine, a slow one and a busy one, which no
clock does. SIGUSR1 begins to count, SIGUSR2 ends; the number goes to a file when the daemon ends.

    python -m bench.counted_daemon functions|instructions FILE serve ...
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Final

__all__ = ["CallCounter", "InstructionCounter", "run"]


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


class InstructionCounter:
    """Count the instructions of Python that are run: what is done inside of a function shows too.

    What C does is one instruction, however long it takes.
    """

    def __init__(self) -> None:
        self.count = 0

    def begin(self, _number: int, _frame: FrameType | None) -> None:
        """Count from now on, in functions that are called or go on."""
        sys.settrace(self._enter)

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """Count no more."""
        sys.settrace(None)

    def _enter(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._note

    def _note(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            self.count += 1
        return self._note


COUNTERS: Final[dict[str, type[CallCounter | InstructionCounter]]] = {
    "functions": CallCounter,
    "instructions": InstructionCounter,
}


def run() -> int:
    """Run the daemon that the arguments say; returns its exit code."""
    from routerd.__main__ import main  # noqa: PLC0415 - a test puts a detour in before

    counter = COUNTERS[sys.argv.pop(1)]()
    signal.signal(signal.SIGUSR1, counter.begin)
    signal.signal(signal.SIGUSR2, counter.end)
    file = Path(sys.argv.pop(1))
    code = main()
    file.write_text(str(counter.count))
    return code


if __name__ == "__main__":
    sys.exit(run())
