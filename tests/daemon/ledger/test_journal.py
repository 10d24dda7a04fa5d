"""An intent is in the kernel when it is taken, and its file goes when nobody needs it."""

from __future__ import annotations

import stat
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from routerd.domain import Intent
from routerd.ledger import LedgerUnreadable
from routerd.ledger.journal import Journal, segment_paths
from routerd.telemetry.events import Event, IntentsLost
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import decision_id, full_record, intent_of

LINE_BYTES = len(msgspec.json.encode(intent_of(full_record(1)))) + 1


def intent(number: int) -> Intent:
    return intent_of(full_record(number))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def names(ledger: Path) -> list[str]:
    return [path.name for path in segment_paths(ledger)]


def close(journal: Journal, number: int) -> None:
    """Do what the writer does once the record of a call is on disk."""
    for segment in journal.take(decision_id(number)):
        segment.closed += 1
    journal.tend()


def test_an_intent_is_one_line_in_a_file_for_its_owner_alone(ledger: Path) -> None:
    journal = Journal(ledger)
    journal.begin([])
    assert journal.append(intent(1))
    assert journal.append(intent(2))
    (path,) = segment_paths(ledger)
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Intent) for line in lines] == [intent(1), intent(2)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    journal.close()


def test_a_full_file_is_followed_by_one_that_is_open_already(ledger: Path) -> None:
    journal = Journal(ledger, segment_bytes=3 * LINE_BYTES)
    journal.begin([])
    for number in range(3):
        assert journal.append(intent(number))
    journal.tend()
    assert names(ledger) == ["ledger.db.intents-000001", "ledger.db.intents-000002"]
    assert journal.append(intent(3))
    assert segment_paths(ledger)[1].stat().st_size == LINE_BYTES
    journal.close()


def test_without_a_next_file_the_full_one_grows(ledger: Path) -> None:
    """The writer's thread may hang with its disk; intents are written all the same."""
    journal = Journal(ledger, segment_bytes=LINE_BYTES)
    journal.begin([])
    for number in range(10):
        assert journal.append(intent(number))
    (path,) = segment_paths(ledger)
    assert path.stat().st_size == 10 * LINE_BYTES
    journal.close()


def test_a_file_goes_when_all_its_calls_have_their_records(ledger: Path) -> None:
    journal = Journal(ledger, segment_bytes=2 * LINE_BYTES)
    journal.begin([])
    for number in (1, 2):
        journal.append(intent(number))
    journal.tend()
    journal.append(intent(3))
    journal.append(intent_of(full_record(1), 2))  # a call in both files
    first, second = names(ledger)
    close(journal, 2)
    assert {first, second} <= set(names(ledger))
    close(journal, 1)
    assert first not in names(ledger)
    close(journal, 3)
    # The second is not at its end yet: more calls may come into it.
    assert second in names(ledger)
    journal.close()
    assert names(ledger) == []


def test_a_file_of_a_call_without_record_stays(ledger: Path) -> None:
    journal = Journal(ledger)
    journal.begin([])
    journal.append(intent(1))
    journal.append(intent(2))
    close(journal, 1)
    journal.close()
    assert names(ledger) == ["ledger.db.intents-000001"]


def test_a_place_that_takes_no_file_is_told_and_tried_again(tmp_path: Path) -> None:
    ledger = tmp_path / "gone" / "ledger.db"
    journal = Journal(ledger)
    journal.begin([])
    assert not journal.append(intent(1))
    assert journal.problem == "No such file or directory"
    ledger.parent.mkdir()
    journal.tend()
    assert journal.append(intent(2))
    assert journal.problem is None
    journal.close()


def test_files_of_others_are_none_of_the_journal(ledger: Path) -> None:
    for name in ("ledger.db.intents-old", "other.db.intents-000001", "ledger.db.intents-000010"):
        (ledger.parent / name).touch()
    (ledger.parent / "ledger.db.intents-000009").touch()
    assert names(ledger) == ["ledger.db.intents-000009", "ledger.db.intents-000010"]


async def test_a_ledger_takes_intents_only_while_it_is_open(
    open_ledger: OpenLedger, path: Path, events: list[Event]
) -> None:
    async with open_ledger() as ledger:
        assert ledger.intend(intent(1))
        assert not ledger.degraded
        ledger.write(full_record(1))
    assert not ledger.intend(intent(2))
    assert ledger.intents_lost == 1
    assert events == [IntentsLost(count=1, reason="the ledger is closed")]
    assert await anyio.to_thread.run_sync(names, path) == []
    with pytest.raises(LedgerUnreadable, match="closed"):
        await ledger.order(lambda connection: None)
