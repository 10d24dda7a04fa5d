"""What is about to be sent, in the kernel before it is sent: an append-only file beside the ledger.

Rules of this file: an intent is one line, written by one append on the event loop's thread and
never synced: it survives the process, which is all a hold must. Files are opened, closed and
removed by the writer's thread, ahead of their use. Each thread has counters of its own, so there is
no lock. A file goes when all calls with an intent in it have their record on disk; one whose record
was lost stays for the next start. A disk that takes no line is counted, and stops no call.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from routerd.domain import Intent

__all__ = ["Journal", "Segment", "segment_paths"]

SUFFIX: Final = ".intents-"
SEGMENT_BYTES: Final = 1024 * 1024
FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
NO_FILE: Final = -1


def segment_paths(ledger: Path) -> list[Path]:
    """Return the files of a ledger's journal, the oldest first."""
    prefix = ledger.name + SUFFIX
    names = (path for path in ledger.parent.iterdir() if path.name.startswith(prefix))
    return sorted((path for path in names if path.name.removeprefix(prefix).isdigit()), key=_number)


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


class Segment:
    """One file of the journal.

    `opened` counts the calls with an intent in it, of the loop's thread, `closed` those of them
    whose record is on disk, of the writer's. `finished` says that nothing is appended any more.
    """

    __slots__ = ("closed", "descriptor", "finished", "opened", "path", "size")

    def __init__(self, path: Path, descriptor: int = NO_FILE) -> None:
        self.path = path
        self.descriptor = descriptor
        self.opened = 0
        self.closed = 0
        self.size = 0
        self.finished = descriptor == NO_FILE


class Journal:
    """The intents of calls that run.

    `problem` says why the last one was not taken, None if it was or would be by now. A
    file of `segment_bytes` or more is followed by the next.
    """

    def __init__(self, ledger: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.problem: str | None = None
        self._ledger = ledger
        self._segment_bytes = segment_bytes
        self._encode = msgspec.json.Encoder().encode
        # Of the loop's thread.
        self._current: Segment | None = None
        self._torn = False
        # Of the loop's thread; the writer's asks for so much when it tries for itself.
        self._refused_bytes = 1
        self._segments_of: dict[str, list[Segment]] = {}
        # Set by the writer's thread while it is None, taken by the loop's.
        self._next: Segment | None = None
        # Of the writer's thread.
        self._number = 0
        self._segments: list[Segment] = []
        self._no_file = "its file is not open"

    # On the event loop.

    def append(self, intent: Intent) -> bool:
        """Write an intent; returns whether it is in the kernel now."""
        segment = self._current
        if segment is None or segment.size >= self._segment_bytes:
            segment = self._turn_over()
        if segment is None:
            return self._not_taken(self._no_file)
        try:
            line = self._encode(intent) + b"\n"
            if self._torn:
                line = b"\n" + line
            self._refused_bytes = len(line)
            written = os.write(segment.descriptor, line)
        except OSError as error:
            return self._not_taken(error.strerror or type(error).__name__)
        except (ValueError, OverflowError) as error:  # a name or a number that JSON cannot hold
            return self._not_taken(type(error).__name__)
        segment.size += written
        self._torn = written < len(line)
        if self._torn:
            return self._not_taken("only a part of it was written")
        self.problem = None
        segments = self._segments_of.setdefault(intent.decision_id, [])
        if segment not in segments:
            segments.append(segment)
            segment.opened += 1
        return True

    def take(self, decision_id: str) -> list[Segment]:
        """Return the files with intents of a call that has its record now."""
        return self._segments_of.pop(decision_id, [])

    def _turn_over(self) -> Segment | None:
        """Go on in the next file where there is one; a large file is better than none."""
        following = self._next
        if following is not None:
            if self._current is not None:
                self._current.finished = True
            self._current, self._torn = following, False
            self._next = None
        return self._current

    def _not_taken(self, problem: str) -> bool:
        self.problem = problem
        return False

    # In the writer's thread.

    def begin(self, earlier: Iterable[Segment]) -> None:
        """Open the first file behind those of earlier processes."""
        self._segments = list(earlier)
        self._number = max((_number(item.path) for item in self._segments), default=0)
        self.tend()

    def tend(self) -> None:
        """Have the next file ready before it is needed, and remove those nobody needs."""
        current = self._current
        if self._next is None and (current is None or current.size >= self._segment_bytes // 2):
            self._open_next()
        if self.problem is not None:
            self._try_again()
        self._remove([item for item in self._segments if item.finished])

    def close(self) -> None:
        """Close all files, and remove those nobody needs; nothing is appended any more."""
        for segment in self._segments:
            _close(segment)
        self._remove(self._segments.copy())

    def _try_again(self) -> None:
        """See whether the disk takes again what it refused: nobody may send anything for long.

        Lines without anything are what is written, of the same size.
        """
        segment = self._current or self._next
        if segment is not None:
            with suppress(OSError):
                if os.write(segment.descriptor, b"\n" * self._refused_bytes) == self._refused_bytes:
                    self.problem = None

    def _open_next(self) -> None:
        path = self._ledger.with_name(f"{self._ledger.name}{SUFFIX}{self._number + 1:06}")
        try:
            descriptor = os.open(path, FLAGS, 0o600)
        except OSError as error:
            # Told by whoever wants to append; tried again after the next batch of records.
            self._no_file = error.strerror or type(error).__name__
            return
        self._number += 1
        segment = Segment(path, descriptor)
        self._segments.append(segment)
        self._next = segment

    def _remove(self, finished: list[Segment]) -> None:
        for segment in finished:
            if segment.closed < segment.opened:
                continue
            _close(segment)
            with suppress(OSError):  # tried again after the next batch of records
                segment.path.unlink(missing_ok=True)
                self._segments.remove(segment)


def _close(segment: Segment) -> None:
    if segment.descriptor != NO_FILE:
        os.close(segment.descriptor)
        segment.descriptor = NO_FILE
