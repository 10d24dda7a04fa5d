"""What was tripped by hand, kept beside the ledger so that a restart does not undo it.

Rules of this file: written as a whole, in the place of what was there, or not at all. A list that
cannot be read is said aloud and left alone until the next trip or reset is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from routerd.health.trips import Trips
from routerd.telemetry.events import Event, TripsUnreadable

__all__ = ["KeptTrips"]

NAME: Final = "trips.json"
MODE: Final = 0o600


class KeptTrips:
    """The file that has the trips; `tell` hears what goes wrong with it."""

    def __init__(self, folder: Path, tell: Callable[[Event], None]) -> None:
        self._path = folder / NAME
        self._tell = tell
        self._writing = anyio.Lock()

    async def read_into(self, trips: Trips) -> None:
        """Have the trips hold that were there when the daemon stopped."""
        try:
            content = await anyio.to_thread.run_sync(self._path.read_bytes)
            trips.read(content)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            self._failed(error)

    async def write(self, trips: Trips) -> bool:
        """Write the trips down; says whether the disk took them."""
        # One after the other, each with what holds by then.
        async with self._writing:
            try:
                await anyio.to_thread.run_sync(partial(self._replace, trips.encoded()))
            except OSError as error:
                self._failed(error)
                return False
        return True

    def _replace(self, content: bytes) -> None:
        new = self._path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def _failed(self, error: Exception) -> None:
        self._tell(TripsUnreadable(path=str(self._path), error_class=type(error).__name__))
