"""What libraries log, turned into lines of our own.

Rules of this file: a library may put anything into a message: an address, a header, a repr of an
object that holds a prompt. Shown are the sentence it was written with, numbers, and the kinds of
errors; never the text that was put in. A library that repeats itself is cut short and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from routerd.telemetry.plain import code_place

__all__ = ["LibraryLogs"]

MAX_TEXT_CHARACTERS: Final = 200
MAX_LOGGERS: Final = 1000
HIDDEN: Final = "..."

WriteLine = Callable[[str, str, dict[str, Any]], None]


class LibraryLogs(logging.Handler):
    """Hand what libraries log at warning or above to `write_line(level, event, fields)`.

    A logger gets `lines` lines in `seconds`; the next one after that says how many it had more.
    """

    def __init__(self, write_line: WriteLine, *, lines: int = 5, seconds: float = 60.0) -> None:
        super().__init__(logging.WARNING)
        self._write_line = write_line
        self._lines = lines
        self._seconds = seconds
        self._windows: dict[str, list[float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, if its logger has lines left."""
        suppressed = self._admit(record.name, record.created)
        if suppressed is None:
            return
        fields: dict[str, Any] = {"logger": record.name, "text": _sentence(record)}
        if suppressed:
            fields["suppressed"] = suppressed
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields["error"] = type(error).__name__
            fields["where"] = code_place(error)
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._write_line(level, "library_logged", fields)

    def _admit(self, logger: str, now: float) -> int | None:
        """Return how many lines were left out before this one, None to leave this one out too."""
        window = self._windows.get(logger)
        if window is None or now - window[0] >= self._seconds:
            if len(self._windows) >= MAX_LOGGERS:
                self._windows.clear()
            self._windows[logger] = [now, 1, 0]
            return int(window[2]) if window is not None else 0
        if window[1] >= self._lines:
            window[2] += 1
            return None
        window[1] += 1
        return 0


def _sentence(record: logging.LogRecord) -> str:
    """Fill only numbers and kinds of errors into a message; asyncio adds reprs on later lines."""
    text = str(record.msg).split("\n", 1)[0]
    if record.args and isinstance(record.args, tuple):
        try:
            text %= tuple(_shown(value) for value in record.args)
        except (TypeError, ValueError):
            text = str(record.msg).split("\n", 1)[0]
    return text[:MAX_TEXT_CHARACTERS]


def _shown(value: object) -> object:
    if isinstance(value, int | float):
        return value
    return type(value).__name__ if isinstance(value, BaseException) else HIDDEN
