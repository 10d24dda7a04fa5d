"""What a process that died had sent is charged when the ledger is opened again, exactly once."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import anyio
import msgspec
import pytest
from msgspec import structs

from routerd.domain import Intent, Record, Usage
from routerd.errors import StartError
from routerd.ledger import Ledger, open_reader
from routerd.ledger.journal import Journal, segment_paths
from routerd.telemetry.events import Event, IntentsLost, LedgerMovedAside, SpendRecovered
from tests.daemon.ledger.children import run_child
from tests.daemon.ledger.records import decision_id, full_record, intent_of
from tests.daemon.ledger.sums import stored_sums, sums_of


def leave(path: Path, *intents: Intent) -> None:
    """Leave the journal of a process that died."""
    path.parent.mkdir(exist_ok=True)
    journal = Journal(path)
    journal.begin([])
    assert all(journal.append(intent) for intent in intents)


def reopen(
    path: Path, *records: Record, keep_days: int | None = None
) -> tuple[list[Record], list[Event]]:
    """Open a ledger, write records and close it; returns what was recovered, and the events."""
    events: list[Event] = []

    async def use() -> list[Record]:
        ledger = Ledger(path, on_event=events.append, keep_days=keep_days)
        await ledger.start()
        for record in records:
            ledger.write(record)
        await ledger.close()
        return ledger.recovered

    return anyio.run(use), events


def calls(path: Path) -> list[Record]:
    return open_reader(path).recent(1000)


def test_a_call_without_record_is_charged_what_was_held(path: Path) -> None:
    leave(path, intent_of(full_record(1), 2, number=1, key="work", simulated=True))
    (record,), events = reopen(path)
    assert calls(path) == [record]
    assert events == [SpendRecovered(count=1, nanodollars=2_000_000)]
    assert segment_paths(path) == []
    assert (record.finish, record.error_code) == ("error", "connection_lost")
    assert (record.cost_nanodollars, record.cost_basis) == (2_000_000, "estimated")
    assert (record.call_id, record.peer_uid, record.user) == ("call-1", 1000, "u-17")
    (attempt,) = record.attempts
    assert attempt.sent
    assert attempt.held_nanodollars == attempt.cost_nanodollars == 2_000_000
    assert (attempt.deployment, attempt.key, attempt.usage) == (
        "mistral/large",
        "work",
        Usage(input_tokens=200, output_tokens=500),
    )
    assert "routerd reconcile" in attempt.notes[0]
    assert stored_sums(path, "day") == sums_of([record])


def test_it_is_charged_once(path: Path) -> None:
    leave(path, intent_of(full_record(1)))
    (record,), _ = reopen(path)
    leave(path, intent_of(full_record(1)))  # as if its file had not been removed in time
    assert reopen(path) == ([], [])
    assert calls(path) == [record]
    assert segment_paths(path) == []


def test_a_call_with_its_record_is_not_charged(path: Path) -> None:
    reopen(path, full_record(1))
    leave(path, intent_of(full_record(1), 1), intent_of(full_record(1), 2))
    assert reopen(path) == ([], [])
    assert calls(path) == [full_record(1)]


def test_what_a_free_tier_pays_costs_nothing(path: Path) -> None:
    leave(path, intent_of(full_record(1), 2, number=1, free=True))
    (record,), events = reopen(path)
    assert (record.cost_nanodollars, record.cost_basis) == (0, "estimated")
    assert events == [SpendRecovered(count=1, nanodollars=0)]


def test_what_nothing_bounded_is_charged_what_was_held_and_stays_open(path: Path) -> None:
    leave(path, intent_of(full_record(1), 2, number=1, unlisted_cost=True))
    (record,), _ = reopen(path)
    assert (record.cost_nanodollars, record.cost_basis) == (None, "unknown")
    (attempt,) = record.attempts
    assert (attempt.cost_nanodollars, attempt.cost_basis) == (2_000_000, "unknown")
    assert attempt.unlisted_cost
    assert calls(path) == [record]
    assert stored_sums(path, "day") == sums_of([record])


def test_what_no_price_bounds_is_unknown_and_not_nothing(path: Path) -> None:
    nothing_known = {"held_nanodollars": None, "input_tokens": 0, "output_tokens": 0}
    leave(path, intent_of(full_record(1), **nothing_known))
    (record,), _ = reopen(path)
    assert (record.cost_nanodollars, record.cost_basis, record.usage) == (None, "unknown", None)


def test_all_attempts_of_a_call_are_charged(path: Path) -> None:
    held = {"held_nanodollars": 7}
    leave(path, intent_of(full_record(1), **held), intent_of(full_record(1), 2))
    (record,), events = reopen(path)
    assert [attempt.provider for attempt in record.attempts] == ["openai", "mistral"]
    assert record.cost_nanodollars == 2_000_007
    assert events == [SpendRecovered(count=1, nanodollars=2_000_007)]
    # Each began when it was held, to the millisecond in which totals and windows are kept.
    assert [
        (record.received_at_ns + attempt.started_us * 1000) // 1_000_000
        for attempt in record.attempts
    ] == [intent_of(full_record(1), number).at_ms for number in (1, 2)]


def test_an_attempt_that_left_no_intent_keeps_its_number(path: Path) -> None:
    leave(path, intent_of(full_record(1), 2))
    (record,), _ = reopen(path)
    unknown, charged = record.attempts
    assert (unknown.sent, unknown.cost_nanodollars) == (False, 0)
    assert charged.provider == "mistral"
    leave(path, intent_of(full_record(1), 2))
    assert reopen(path) == ([], [])


def test_a_call_that_was_sent_again_is_charged_what_its_record_lacks(path: Path) -> None:
    first = full_record(1)
    reopen(path, first)
    leave(path, intent_of(first, 2, number=3))
    (record,), events = reopen(path)
    assert record.attempts[:2] == first.attempts
    assert record.cost_nanodollars == 1_234_567 + 2_000_000
    assert (record.finish, record.cost_basis) == ("error", "estimated")
    assert events == [SpendRecovered(count=1, nanodollars=2_000_000)]
    assert calls(path) == [record]
    assert stored_sums(path, "day") == sums_of([record])


def test_a_recovered_call_goes_on_when_it_is_sent_again(path: Path) -> None:
    leave(path, intent_of(full_record(1)))
    (record,), _ = reopen(path)
    answered = full_record(1).attempts[1]
    again = structs.replace(
        record, sends=record.sends + 1, attempts=[*record.attempts, answered], finish="stop"
    )
    reopen(path, again)
    assert calls(path) == [again]
    assert stored_sums(path, "day") == sums_of([again])


def test_a_line_that_was_not_written_whole_is_told_and_hurts_no_other(path: Path) -> None:
    leave(path, *(intent_of(full_record(number)) for number in (1, 2, 3)))
    (segment,) = segment_paths(path)
    first, second, third = segment.read_bytes().splitlines()
    segment.write_bytes(b"\n".join((first, second[:50], third, b"")))
    recovered, events = reopen(path)
    assert [record.call_id for record in recovered] == ["call-1", "call-3"]
    assert events[1:] == [IntentsLost(count=1, reason="they were not written whole")]


def test_the_line_at_which_the_process_died_was_not_sent(path: Path) -> None:
    leave(path, intent_of(full_record(1)), intent_of(full_record(2)))
    (segment,) = segment_paths(path)
    segment.write_bytes(segment.read_bytes()[:-20])
    (record,), events = reopen(path)
    assert record.call_id == "call-1"
    assert [type(event) for event in events] == [SpendRecovered]


def test_what_may_be_deleted_already_is_not_charged(path: Path) -> None:
    """A lost record keeps its file for as long as the daemon runs, its neighbours' calls go."""
    leave(path, intent_of(full_record(1), at_ms=1_000_000_000_000))
    assert reopen(path, keep_days=30) == ([], [])
    assert segment_paths(path) == []


def test_a_journal_that_cannot_be_read_keeps_the_daemon_from_starting(path: Path) -> None:
    path.with_name("ledger.db.intents-000001").mkdir(parents=True)
    with pytest.raises(StartError, match="intents-000001 cannot be read"):
        reopen(path)
    path.with_name("ledger.db.intents-000001").rmdir()
    reopen(path)


def test_a_damaged_ledger_hides_no_spend(path: Path) -> None:
    reopen(path, full_record(1))
    leave(path, intent_of(full_record(1), 2, number=1), intent_of(full_record(2), 2, number=1))
    path.write_bytes(b"this was a database" * 1000)
    records, events = reopen(path)
    assert [type(event) for event in events] == [LedgerMovedAside, SpendRecovered]
    # Nobody knows any more which of them had its record.
    assert [record.call_id for record in records] == ["call-1", "call-2"]
    assert sorted(calls(path), key=lambda record: record.decision_id) == records


@pytest.mark.parametrize("survives", [True, False])
def test_a_disk_that_is_full_at_the_start_loses_no_spend(path: Path, survives: bool) -> None:
    reopen(path)
    leave(path, *(intent_of(full_record(number), 2, number=1) for number in range(200)))
    body = """
        print(ledger.degraded, len(ledger.recovered), flush=True)
        sys.stdin.readline()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        while ledger.degraded:
            await anyio.sleep(0.01)
        await ledger.close()
        """
    # Enough to open the ledger, and not enough for what is to be charged.
    before = """
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        """
    with run_child(path, body, before=before) as child:
        assert child.stdout is not None
        assert child.stdout.readline().split() == ["True", "200"]
        assert len(segment_paths(path)) == 2
        if survives:
            child.communicate("\n")
            assert segment_paths(path) == []
    assert len(reopen(path)[0]) == (0 if survives else 200)
    assert len(calls(path)) == 200
    assert stored_sums(path, "day") == sums_of(calls(path))


def test_a_full_disk_stops_no_call_and_is_told(path: Path) -> None:
    """A line that was written in part is followed by a new one."""
    body = """
        import json, os, signal
        from tests.daemon.ledger.records import intent_of
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        intents = [intent_of(full_record(number)) for number in range(5)]
        taken = [ledger.intend(intents[0])]
        used = os.path.getsize(sys.argv[1] + ".intents-000001")
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + 100, resource.RLIM_INFINITY))
        taken += [ledger.intend(intents[1]), ledger.intend(intents[2])]
        during = ledger.degraded
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        taken += [ledger.intend(intents[3]), ledger.intend(intents[4])]
        names = [type(event).__name__ for event in events]
        print(json.dumps([taken, during, ledger.degraded, ledger.intents_lost, names]))
        """
    with run_child(path, body) as child:
        output, _ = child.communicate()
    assert json.loads(output) == [
        [True, False, False, True, True],
        True,
        False,
        2,
        ["IntentsLost"],
    ]
    # It ended without closing the ledger.
    recovered, events = reopen(path)
    assert [record.call_id for record in recovered] == ["call-0", "call-3", "call-4"]
    assert IntentsLost(count=1, reason="they were not written whole") in events


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_loses_no_spend_and_charges_nothing_twice(path: Path, seed: int) -> None:
    body = """
        from tests.daemon.ledger.records import intent_of
        number = 0
        while True:
            for _ in range(20):
                number += 1
                record = full_record(number)
                for attempt in (1, 2):
                    assert ledger.intend(intent_of(record, attempt, held_nanodollars=5))
                    print(number, attempt, flush=True)
                if number % 7:
                    ledger.write(record)
            await anyio.sleep(0)
        """
    with run_child(path, body) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.Random(seed).randrange(1, 20_000))]
        child.kill()
        lines += child.stdout.readlines()
    acknowledged = [line.split() for line in lines if line.endswith("\n")]
    recovered, events = reopen(path)
    assert [type(event) for event in events] == [SpendRecovered]
    connection = sqlite3.connect(path)
    stored = connection.execute("SELECT decision_id, number FROM attempts").fetchall()
    (spent,) = connection.execute("SELECT sum(cost_nanodollars) FROM attempts").fetchone()
    connection.close()
    assert {(decision_id(int(number)), int(attempt)) for number, attempt in acknowledged} <= set(
        stored
    )
    everything = open_reader(path).recent(1_000_000)
    assert stored_sums(path, "day") == sums_of(everything)
    charged = sum(len(record.attempts) for record in recovered)
    assert spent == 1_234_567 * (len(everything) - len(recovered)) + 5 * charged


def leave_damaged(path: Path, count: int, *, from_byte: int, to_byte: int) -> None:
    """Leave a ledger with a broken stretch, and a journal that still has all its calls."""
    records = [full_record(number) for number in range(count)]
    reopen(path, *records)
    damaged = bytearray(path.read_bytes())
    assert to_byte < len(damaged)
    damaged[from_byte:to_byte] = b"\xa5" * (to_byte - from_byte)
    path.write_bytes(damaged)
    leave(path, *(intent_of(record) for record in records))
    last = len(full_record(7).attempts) + 1
    leave_more(path, intent_of(full_record(7), number=last, held_nanodollars=5))


def leave_more(path: Path, intent: Intent) -> None:
    """Add what was sent of a call at last."""
    (segment,) = segment_paths(path)
    with segment.open("ab") as file:
        file.write(msgspec.json.encode(intent) + b"\n")


def test_a_damaged_ledger_that_can_be_read_charges_nothing_twice(path: Path) -> None:
    leave_damaged(path, 400, from_byte=450_000, to_byte=470_000)
    recovered, events = reopen(path)
    aside, told = events
    assert isinstance(aside, LedgerMovedAside)
    assert isinstance(told, SpendRecovered)
    whole = {record.decision_id: record for record in calls(path)}
    kept = [number for number in range(400) if whole[decision_id(number)] == full_record(number)]
    # All but what was in the broken stretch and what was sent in the end.
    assert 300 < len(kept) < 399
    assert 7 not in kept
    assert told.count == 400 - len(kept)
    assert len(recovered) == len(whole) == 400
    again = whole[decision_id(7)]
    assert again.attempts[:-1] == full_record(7).attempts
    assert again.attempts[-1].cost_basis == "estimated"
    assert stored_sums(path, "day") == sums_of(whole.values())
    assert segment_paths(path) == []


def test_a_damaged_ledger_that_cannot_be_read_at_all_charges_by_intents(path: Path) -> None:
    leave_damaged(path, 20, from_byte=0, to_byte=4096)
    recovered, events = reopen(path)
    assert [type(event) for event in events] == [LedgerMovedAside, SpendRecovered]
    assert len(recovered) == 20
    assert {record.error_code for record in recovered} == {"connection_lost"}
