"""The totals of days and months say what the records say, however often a call was sent."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import Attempt, Plan, Record, Usage
from routerd.ledger import Ledger, WriterSettings
from routerd.ledger.schema import DIMENSIONS, MIGRATIONS, SUMS
from tests.daemon.ledger.records import decision_id, full_record, small_record
from tests.daemon.ledger.sums import by_month, stored_sums, sums_of, without_user

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ledger"
DAY = 86_400_000
COUNTS = st.integers(0, 1000)


def write(path: Path, records: list[Record], batch_limit: int = 256) -> list[Record]:
    """Write records and close; returns the calls of the ledger then."""

    async def write_all() -> list[Record]:
        ledger = Ledger(path, writing=WriterSettings(batch_limit=batch_limit))
        await ledger.start()
        for record in records:
            ledger.write(record)
        found = await ledger.recent(10_000)
        await ledger.close()
        assert ledger.lost == 0
        return found

    return anyio.run(write_all)


def assert_totals(path: Path, records: list[Record]) -> None:
    expected = sums_of(records)
    assert stored_sums(path, "day") == expected
    assert stored_sums(path, "month") == by_month(expected)
    assert stored_sums(path, "day", "_without_user") == without_user(expected)
    assert stored_sums(path, "month", "_without_user") == without_user(by_month(expected))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_ledger_of_every_version_before_is_brought_up_to_date(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / f"v{version}.sql").read_text())
    (calls,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    connection.close()
    records = write(path, [])
    assert len(records) == calls > 0
    assert_totals(path, records)
    # And goes on from there.
    assert_totals(path, write(path, [full_record(5), small_record(6, tenant="acme")]))


def test_both_totals_have_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    write(path, [])
    connection = sqlite3.connect(path)
    for period in ("day", "month"):
        columns = connection.execute(f"PRAGMA table_info({period}_totals)").fetchall()
        assert [column[1] for column in columns] == [period, *DIMENSIONS, *SUMS]
    connection.close()


def test_an_attempt_counts_on_the_day_on_which_it_began(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    before_midnight = full_record(DAY // 2 - 50)
    write(path, [before_midnight])
    assert_totals(path, [before_midnight])
    assert len({key[0] for key in stored_sums(path, "day")}) == 2


attempts = st.builds(
    Attempt,
    deployment=st.sampled_from(("a/x", "b/x")),
    model=st.just("x"),
    provider=st.sampled_from(("a", "b")),
    server=st.just(""),
    reason=st.just("first"),
    started_us=st.sampled_from((0, 1, DAY * 1000)),
    sent=st.booleans(),
    usage=st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.none() | COUNTS),
    cost_nanodollars=st.none() | COUNTS,
    cost_basis=st.sampled_from(("measured", "estimated", "unknown")),
    simulated=st.booleans(),
)
plans = st.builds(Plan, st.just("smart"), st.just(""), st.none() | st.just("fast"), st.just(()))


@st.composite
def copies_of_a_call(draw: st.DrawFn, number: int) -> list[Record]:
    """Return the records of one call, one for each time that it was sent."""
    record = small_record(
        number * draw(st.sampled_from((1, DAY, 20 * DAY))),
        decision_id=decision_id(number),
        tenant=draw(st.none() | st.just("acme")),
        user=draw(st.none() | st.just("u")),
        plan=draw(st.none() | plans),
    )
    copies: list[Record] = []
    for sends in range(draw(st.integers(1, 3))):
        new = draw(st.lists(attempts, max_size=2))
        record = structs.replace(
            record, sends=sends, attempts=record.attempts + new, cached=draw(st.booleans())
        )
        copies.append(record)
    return copies


@settings(max_examples=60)
@given(data=st.data(), batch_limit=st.integers(1, 8))
def test_totals_are_the_sums_of_the_records(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, batch_limit: int
) -> None:
    """Calls that are sent again count once, records that come twice too, in any batches."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    calls = [data.draw(copies_of_a_call(number)) for number in range(data.draw(st.integers(0, 4)))]
    written: list[Record] = []
    for copies in calls:
        for copy in copies:
            written += [copy] * data.draw(st.integers(1, 2))
    # A record of before comes late: it changes nothing.
    written += [copies[0] for copies in calls if data.draw(st.booleans())]
    last = [copies[-1] for copies in calls]
    assert write(path, written, batch_limit) == sorted(
        last, key=lambda record: record.decision_id, reverse=True
    )
    assert_totals(path, last)
