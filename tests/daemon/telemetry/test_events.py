"""Hooks hear of every event, and none of them can break what it is told about."""

from __future__ import annotations

import json

import pytest

from routerd.telemetry.events import (
    DaemonStopped,
    Event,
    Events,
    LedgerRecovered,
    RecordsLost,
    event_name,
)

SECRET = "sk-live-0123 the words of a prompt"


def test_every_hook_hears_every_event_in_order() -> None:
    heard: list[tuple[str, Event]] = []
    events = Events(
        [lambda event: heard.append(("a", event)), lambda event: heard.append(("b", event))]
    )
    events.emit(LedgerRecovered())
    events.emit(RecordsLost(count=2))
    assert heard == [
        ("a", LedgerRecovered()),
        ("b", LedgerRecovered()),
        ("a", RecordsLost(count=2)),
        ("b", RecordsLost(count=2)),
    ]


def test_a_hook_that_fails_is_told_once_and_harms_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError(SECRET)

    events = Events([broken, heard.append])
    for _ in range(3):
        events.emit(DaemonStopped())
    assert heard == [DaemonStopped()] * 3
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["failed_on"], told["error"]) == (
        "hook_failed",
        "daemon_stopped",
        "ValueError",
    )
    assert "broken" in told["hook"]
    assert SECRET not in line


def test_every_event_has_a_name_of_its_own() -> None:
    kinds = Event.__subclasses__()
    names = {str(kind.__struct_config__.tag) for kind in kinds}
    assert len(names) == len(kinds)
    assert event_name(RecordsLost(count=1)) == "records_lost"
    assert all(name == name.lower() and "_" in name for name in names)
