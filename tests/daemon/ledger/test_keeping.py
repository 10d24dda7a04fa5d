"""What a ledger keeps beside the calls, and what it is asked for them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import anyio.to_thread
import pytest

from routerd.ledger import LedgerUnreadable, WriterSettings
from routerd.ledger.store import MOST_TEXT_BYTES
from routerd.telemetry.events import Event, RecordsLost
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import NOON_NS, decision_id, full_record, small_record
from tests.daemon.ledger.test_failures import held_in_a_thread, until

NOON_MS = NOON_NS // 1_000_000
FIXTURES = Path(__file__).parents[2] / "fixtures" / "ledger"


def count_calls(connection: sqlite3.Connection) -> int:
    (calls,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    return int(calls)


async def test_a_call_is_found_by_what_its_client_calls_it(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        for number in (1, 2):
            ledger.write(small_record(number, call_id="call", peer_uid=1000))
        ledger.write(small_record(3, call_id="call", peer_uid=1001))
        ledger.write(small_record(4, call_id="call"))
        found = await ledger.find_call("call", 1000, NOON_MS)
        assert found is not None
        assert found.decision_id == decision_id(2)
        found = await ledger.find_call("call", None, NOON_MS)
        assert found is not None
        assert found.decision_id == decision_id(4)
        assert await ledger.find_call("call", 1000, NOON_MS + 3) is None
        assert await ledger.find_call("other", 1000, NOON_MS) is None


async def test_an_hour_that_ends_between_two_copies_hides_none(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        for number, minutes in enumerate((-1, 59, 60, 119)):
            ledger.write(small_record(minutes * 60_000, call_id=f"call-{number}", peer_uid=1))
        assert await ledger.find_call("call-0", 1, NOON_MS) is None
        for number in (1, 2, 3):
            assert await ledger.find_call(f"call-{number}", 1, NOON_MS) is not None
            assert await ledger.find_call(f"call-{number}", 1, NOON_MS - 59 * 60_000) is not None


async def test_a_call_that_no_disk_took_is_found(open_ledger: OpenLedger, path: Path) -> None:
    async with open_ledger(writing=WriterSettings(busy_milliseconds=1)) as ledger:
        ledger.write(full_record(1))
        await ledger.flush()
        async with held_in_a_thread(path):
            ledger.write(full_record(1, sends=1))
            await until(lambda: ledger.degraded)
            assert ledger.waiting == 1
            found = await ledger.find_call("call-1", 1000, NOON_MS)
            assert found == full_record(1, sends=1)
        await until(lambda: not ledger.degraded)
        assert ledger.waiting == 0
        assert await ledger.find_call("call-1", 1000, NOON_MS) == full_record(1, sends=1)


async def test_a_document_is_known_by_its_content(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        name = ledger.keep_document("policy", b"rules")
        assert ledger.keep_document("policy", b"rules") == name
        assert ledger.keep_document("policy", b"other rules") != name
        assert await ledger.document(name) == b"rules"
        assert await ledger.document("unknown") is None
    async with open_ledger() as ledger:
        assert ledger.keep_document("policy", b"rules") == name
        assert await ledger.document(name) == b"rules"
        assert await ledger.ask(
            lambda to: to.execute("SELECT count(*) FROM documents").fetchone()
        ) == (2,)


async def test_a_document_was_last_used_on_the_day_of_the_last_call(
    open_ledger: OpenLedger,
) -> None:
    """From that day on its days of grace are counted."""
    async with open_ledger() as ledger:
        name = ledger.keep_document("policy", b"rules")
        # A document counts as used on the day it is kept, which is today.
        today = time.time_ns() // 1_000_000 // 86_400_000 - NOON_MS // 86_400_000
        for day in (today + 1, today + 3, today + 2):
            ledger.write(small_record(day * 86_400_000, policy_hash=name))
            await ledger.flush()
        (last_day,) = await ledger.ask(
            lambda to: to.execute("SELECT last_day FROM documents").fetchone()
        )
        assert last_day == NOON_MS // 86_400_000 + today + 3


async def test_texts_are_kept_as_they_were(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.keep_texts(decision_id(1), b'["a prompt"]', b'"an answer"')
        assert await ledger.texts(decision_id(1)) == (b'["a prompt"]', b'"an answer"')
        ledger.keep_texts(decision_id(1), b"[]", b"{}")
        assert await ledger.texts(decision_id(1)) == (b"[]", b"{}")
        assert await ledger.texts(decision_id(2)) is None


async def test_texts_do_not_fill_the_memory(
    open_ledger: OpenLedger, path: Path, events: list[Event]
) -> None:
    half = b" " * (MOST_TEXT_BYTES // 2)
    async with open_ledger(writing=WriterSettings(busy_milliseconds=1)) as ledger:
        async with held_in_a_thread(path):
            for number in range(3):
                ledger.keep_texts(decision_id(number), half, b"")
            ledger.write(small_record(1))  # of which there is no shortage
            await until(lambda: ledger.degraded)
            assert ledger.lost == 1
            assert RecordsLost(count=1) in events
        await until(lambda: not ledger.degraded)
        ledger.keep_texts(decision_id(3), half, b"")
        assert [bool(await ledger.texts(decision_id(number))) for number in range(4)] == [
            True,
            True,
            False,
            True,
        ]


async def test_what_was_learned_of_bounds_outlives_the_process(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        assert ledger.bounds == {}
        ledger.learn_bound("openai/gpt", 1100)
        ledger.learn_bound("openai/gpt", 1250)
        ledger.learn_bound("mistral/large", 2000)
        assert ledger.bounds["openai/gpt"] == 1250
    async with open_ledger() as ledger:
        assert ledger.bounds == {"openai/gpt": 1250, "mistral/large": 2000}


async def test_what_models_count_otherwise_outlives_the_process(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        assert ledger.token_rates == {}
        ledger.learn_token_rate("m", 1100, "latin")
        ledger.learn_token_rate("m", 1250, "latin")
        ledger.learn_token_rate("m", 2000, "hangul")
        assert ledger.token_rates["m", "latin"] == 1250
    async with open_ledger() as ledger:
        assert ledger.token_rates == {("m", "latin"): 1250, ("m", "hangul"): 2000}


async def test_rates_of_all_other_scripts_together_are_forgotten(
    open_ledger: OpenLedger, path: Path
) -> None:
    def write_older() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path) as older:
            older.executescript((FIXTURES / "v6.sql").read_text("utf-8"))
            assert older.execute("SELECT count(*) FROM token_rates").fetchone() == (3,)
        older.close()

    await anyio.to_thread.run_sync(write_older)
    async with open_ledger() as ledger:
        assert ledger.token_rates == {("gpt", "latin"): 1250}


async def test_what_is_asked_sees_what_was_written_before(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(small_record(1))
        assert await ledger.ask(count_calls) == 1


async def test_who_asks_may_not_write(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(small_record(1))
        with pytest.raises(LedgerUnreadable, match="readonly"):
            await ledger.ask(lambda connection: connection.execute("DELETE FROM calls"))
        assert await ledger.ask(count_calls) == 1


async def test_an_order_comes_after_what_was_written_before(open_ledger: OpenLedger) -> None:
    def delete(connection: sqlite3.Connection) -> int:
        return connection.execute("DELETE FROM calls").rowcount

    async with open_ledger() as ledger:
        for number in range(3):
            ledger.write(small_record(number))
        assert await ledger.order(delete) == 3
        assert await ledger.recent(10) == []


async def test_an_order_that_fails_changes_nothing(open_ledger: OpenLedger, path: Path) -> None:
    def delete_and_fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM calls")
        raise ValueError("no such invoice")

    async with open_ledger(writing=WriterSettings(busy_milliseconds=1)) as ledger:
        ledger.write(small_record(1))
        with pytest.raises(ValueError, match="no such invoice"):
            await ledger.order(delete_and_fail)
        async with held_in_a_thread(path):
            with pytest.raises(LedgerUnreadable, match="locked"):
                await ledger.order(lambda connection: connection.execute("DELETE FROM calls"))
        assert await ledger.recent(10) == [small_record(1)]


async def test_what_is_damaged_inside_is_unreadable(open_ledger: OpenLedger, path: Path) -> None:
    def damage() -> None:
        connection = sqlite3.connect(path)
        connection.execute("UPDATE documents SET content = x'00'")
        connection.commit()
        connection.close()

    async with open_ledger() as ledger:
        name = ledger.keep_document("policy", b"rules")
        await ledger.flush()
        await anyio.to_thread.run_sync(damage)
        with pytest.raises(LedgerUnreadable):
            await ledger.document(name)
