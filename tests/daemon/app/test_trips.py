"""The file of what is tripped by hand: whole or not at all, and said aloud where it is broken."""

from __future__ import annotations

from pathlib import Path

import anyio

from routerd.app.trips import KeptTrips
from routerd.health.trips import Trip, Trips
from routerd.telemetry.events import Event, TripsUnreadable


def one_trip() -> Trips:
    made = Trips()
    made.trip(Trip("provider", "openai", "incident", 1.0))
    return made


async def test_a_start_finds_what_was_written(tmp_path: Path) -> None:
    told: list[Event] = []
    kept = KeptTrips(tmp_path, told.append)
    assert await kept.write(one_trip())
    found = Trips()
    await KeptTrips(tmp_path, told.append).read_into(found)
    assert (found.all(), told) == (one_trip().all(), [])
    names = [item.name async for item in anyio.Path(tmp_path).iterdir()]
    assert names == ["trips.json"]
    assert (await anyio.Path(tmp_path / "trips.json").stat()).st_mode & 0o777 == 0o600


async def test_without_a_file_nothing_is_tripped(tmp_path: Path) -> None:
    told: list[Event] = []
    found = Trips()
    await KeptTrips(tmp_path, told.append).read_into(found)
    assert (found.all(), told) == ([], [])


async def test_a_broken_file_is_told_and_left_alone(tmp_path: Path) -> None:
    told: list[Event] = []
    file = anyio.Path(tmp_path / "trips.json")
    await file.write_text("[{", encoding="utf-8")
    await KeptTrips(tmp_path, told.append).read_into(Trips())
    assert told == [TripsUnreadable(path=str(file), error_class="DecodeError")]
    assert await file.read_text(encoding="utf-8") == "[{"


async def test_a_disk_that_does_not_take_it_is_told(tmp_path: Path) -> None:
    told: list[Event] = []
    kept = KeptTrips(tmp_path / "missing", told.append)
    assert not await kept.write(one_trip())
    assert [type(event) for event in told] == [TripsUnreadable]
