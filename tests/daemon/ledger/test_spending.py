"""What was spent, compared with sums made the plainest way; and what a baseline would have cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import Plan, Record, Usage
from routerd.ledger.schema import DIMENSIONS, SUMS
from routerd.ledger.selection import NAMES, PERIODS
from routerd.ledger.spending import SpendAnswer, SpendQuestion, spend
from routerd.models import LongContextPrice, Price
from tests.daemon.ledger.book import attempt, book_of, bought, milliseconds
from tests.daemon.ledger.records import small_record
from tests.daemon.ledger.sums import sums_of

DOLLAR = 1_000_000_000
FIRST_DAY = date(2026, 9, 20)
PRICE = Price(
    source="test", input=2 * DOLLAR, output=10 * DOLLAR, cache_read=DOLLAR // 5, cache_write=DOLLAR
)
COUNTS = st.integers(0, 10**6)
DAYS = st.integers(0, 70).map(lambda number: FIRST_DAY + timedelta(days=number))


@st.composite
def records(draw: st.DrawFn) -> Record:
    usage = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.none() | COUNTS)
    attempts = [
        attempt(
            draw(st.sampled_from(("openai/sol", "openai/luna", "anthropic/haiku"))),
            draw(st.none() | COUNTS),
            draw(st.none() | usage),
            started_us=draw(st.integers(0, 10**9)),
            sent=draw(st.booleans()),
            simulated=draw(st.booleans()),
            cost_basis=draw(st.sampled_from(("measured", "estimated"))),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    day = milliseconds(draw(DAYS).isoformat()) + draw(st.integers(0, 86_399_999))
    plan = Plan(
        target="smart", rule="", model_class=draw(st.sampled_from((None, "fast"))), routes=()
    )
    names = {
        name: draw(st.sampled_from((None, "a", "b")))
        for name in ("tenant", "team", "agent", "user", "feature", "task")
    }
    return structs.replace(
        small_record(),
        decision_id=f"{day:012x}{draw(st.integers(0, 2**80 - 1)):020x}",
        received_at_ns=day * 1_000_000,
        attempts=attempts,
        cached=draw(st.booleans()),
        plan=plan,
        **names,
    )


QUESTIONS = st.builds(
    SpendQuestion,
    by=st.lists(st.sampled_from((*NAMES, *PERIODS)), unique=True, max_size=4).map(tuple),
    filters=st.dictionaries(
        st.sampled_from(("tenant", "model", "user", "class")),
        st.lists(st.sampled_from(("", "a", "sol", "haiku", "fast")), max_size=3).map(tuple),
        max_size=2,
    ),
    since=st.none() | DAYS | st.sampled_from((date(2026, 10, 1), date(2026, 11, 1))),
    simulated=st.booleans(),
    users=st.booleans(),
)


def expected(question: SpendQuestion, book: list[Record]) -> dict[tuple[str, ...], list[int]]:
    """Add up by hand."""
    groups: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for (number, *dimensions), sums in sums_of(book).items():
        named: dict[str, Any] = dict(zip(DIMENSIONS, dimensions, strict=True))
        day = datetime.fromtimestamp(int(number) * 86_400, UTC).date()
        named |= {"class": named["model_class"], "day": str(day), "month": f"{day:%Y-%m}"}
        if (question.since is not None and day < question.since) or (
            question.until is not None and day >= question.until
        ):
            continue
        if any(named[name] not in allowed for name, allowed in question.filters.items()):
            continue
        if named["simulated"] and not question.simulated:
            continue
        groups[tuple(named[name] for name in question.by)].update(sums)
    return {group: [sums[name] for name in SUMS] for group, sums in groups.items() if any(sums)}


def values(answer: SpendAnswer) -> dict[tuple[str, ...], list[int]]:
    groups = {
        tuple(row.names.values()): [getattr(row, name) for name in SUMS] for row in answer.rows
    }
    return {group: sums for group, sums in groups.items() if any(sums)}


@given(
    book=st.lists(records(), max_size=8, unique_by=lambda record: record.decision_id),
    question=QUESTIONS,
    months=st.integers(1, 3),
)
def test_any_question_is_answered_as_if_added_up_by_hand(
    book: list[Record], question: SpendQuestion, months: int
) -> None:
    if question.since is not None:
        until = (question.since.replace(day=1) + timedelta(days=31 * months)).replace(day=1)
        question = structs.replace(question, until=until)
    answer = spend(book_of(book), question)
    by_hand = expected(question, book)
    assert values(answer) == by_hand
    total = [sum(column) for column in zip(*by_hand.values(), strict=True)] or [0] * len(SUMS)
    assert [getattr(answer.total, name) for name in SUMS] == total


def test_what_months_say_is_what_days_say() -> None:
    book = book_of(
        bought(number, f"2026-{month}-{day:02}T12:00", "openai/sol", number * DOLLAR)
        for number, (month, day) in enumerate([(10, 31), (11, 1), (11, 30), (12, 1)], 1)
    )
    since, until = date(2026, 11, 1), date(2026, 12, 1)
    of_months = spend(book, SpendQuestion(by=("month",), since=since, until=until))
    of_days = spend(book, SpendQuestion(by=("month", "day"), since=since, until=until))
    assert [row.names for row in of_months.rows] == [{"month": "2026-11"}]
    assert [row.names["day"] for row in of_days.rows] == ["2026-11-01", "2026-11-30"]
    assert of_months.total.cost_nanodollars == of_days.total.cost_nanodollars == 5 * DOLLAR


def test_rows_are_in_the_order_of_time_and_the_dearest_first() -> None:
    book = book_of(
        [
            bought(1, "2026-11-02", "openai/sol", 5),
            bought(2, "2026-11-01", "openai/luna", 1),
            bought(3, "2026-11-01", "openai/sol", 2),
        ]
    )
    rows = spend(book, SpendQuestion(by=("model", "day"))).rows
    assert [tuple(row.names.values()) for row in rows] == [
        ("sol", "2026-11-01"),
        ("luna", "2026-11-01"),
        ("sol", "2026-11-02"),
    ]


def test_a_user_who_comes_back_is_one_user() -> None:
    calls = [
        ("ann", "2026-10-01"),
        ("ann", "2026-11-01"),
        ("bob", "2026-11-02"),
        (None, "2026-11-02"),
    ]
    book = book_of(
        bought(number, day, "openai/sol", DOLLAR, names={"user": user})
        for number, (user, day) in enumerate(calls)
    )
    answer = spend(book, SpendQuestion(by=("month",), users=True))
    assert [row.users for row in answer.rows] == [1, 2]
    assert answer.total.users == 2
    # What nobody in particular spent is in no average of users, and that is said.
    assert answer.total.cost_per_user_nanodollars == 3 * DOLLAR // 2
    assert [row.cost_per_user_nanodollars for row in answer.rows] == [DOLLAR, DOLLAR]
    assert answer.notes == ["what calls that name no user cost is in no user's average"]
    of_ann = spend(book, SpendQuestion(users=True, filters={"user": ("ann",)}))
    assert (of_ann.total.cost_per_user_nanodollars, of_ann.notes) == (2 * DOLLAR, [])
    of_nobody = spend(book, SpendQuestion(users=True, filters={"user": ("",)})).total
    assert (of_nobody.users, of_nobody.cost_per_user_nanodollars) == (0, None)
    assert answer.total.cost_per_call_nanodollars == DOLLAR
    of_days = spend(
        book, SpendQuestion(by=("month", "tenant"), users=True, since=date(2026, 10, 1))
    )
    assert [row.users for row in of_days.rows] == [1, 2]
    since = date(2026, 11, 2)
    assert [
        row.users for row in spend(book, SpendQuestion(by=("month",), users=True, since=since)).rows
    ] == [1]


def test_simulated_calls_that_are_left_out_are_said() -> None:
    book = book_of(
        bought(number, "2026-11-01", "openai/sol", DOLLAR, simulated=number > 1)
        for number in range(4)
    )
    answer = spend(book, SpendQuestion())
    assert answer.total.calls == 2
    assert answer.notes == ["2 simulated calls are left out: --simulated shows them too"]
    assert spend(book, SpendQuestion(simulated=True)).notes == []
    assert spend(book, SpendQuestion(until=date(2026, 11, 1))).notes == []


def test_an_average_is_rounded_half_up_and_of_nothing_there_is_none() -> None:
    book = book_of(
        [bought(1, "2026-11-01", "openai/sol", 2), bought(2, "2026-11-01", "openai/sol", 1)]
    )
    total = spend(book, SpendQuestion()).total
    assert total.cost_per_call_nanodollars == 2
    assert spend(book_of(), SpendQuestion(users=True)).total.cost_per_user_nanodollars is None


def test_a_baseline_charges_the_same_tokens() -> None:
    book = book_of(
        [
            bought(1, "2026-11-01", "openai/luna", DOLLAR, Usage(10**6, 10**6, 0, 0, 10**5)),
            bought(2, "2026-11-01", "anthropic/haiku", DOLLAR, Usage(10**6)),
        ]
    )
    answer = spend(book, SpendQuestion(by=("model",)), PRICE)
    assert {row.names["model"]: row.baseline_nanodollars for row in answer.rows} == {
        "luna": DOLLAR * 32 // 10,
        "haiku": 2 * DOLLAR,
    }
    assert answer.total.baseline_nanodollars == DOLLAR * 52 // 10
    assert answer.total.saved_nanodollars == DOLLAR * 32 // 10
    assert answer.notes == []


def test_a_baseline_says_what_it_guesses() -> None:
    usage = Usage(300_000, 0, 0, 100_000)
    book = book_of([bought(number, "2026-11-01", "openai/luna", 1, usage) for number in range(2)])
    long = LongContextPrice(above=200_000, input=4 * DOLLAR, output=20 * DOLLAR)
    answer = spend(book, SpendQuestion(), structs.replace(PRICE, long_context=long))
    # The sum of both is above the threshold, a single call may not be.
    assert answer.total.baseline_nanodollars == DOLLAR * 16 // 10
    assert answer.notes == [
        "what the baseline charges more for long calls is left out",
        "the baseline has no price for cache write long: such tokens count as plain input",
    ]


def test_nothing_is_said_to_be_saved_where_a_cost_is_not_known() -> None:
    book = book_of(
        [
            bought(1, "2026-11-01", "openai/sol", None, Usage(10**6)),
            bought(2, "2026-11-01", "openai/luna", 1, Usage(10**6)),
        ]
    )
    answer = spend(book, SpendQuestion(by=("model",)), PRICE)
    saved = {row.names["model"]: row.saved_nanodollars for row in answer.rows}
    assert saved == {"sol": None, "luna": 2 * DOLLAR - 1}
    assert (answer.total.saved_nanodollars, answer.total.unknown_requests) == (None, 1)


def test_days_that_are_gone_are_missed_aloud() -> None:
    book = book_of(bought(day, f"2026-11-{day:02}", "openai/sol", day) for day in range(1, 6))
    assert spend(book, SpendQuestion(by=("day",))).notes == []
    book.execute(
        "DELETE FROM day_totals WHERE day < ?", ((date(2026, 11, 3) - date(1970, 1, 1)).days,)
    )
    assert spend(book, SpendQuestion(by=("day",))).notes == [
        "days before 2026-11-03 are not kept any more and are missing here; whole months are"
    ]
    assert spend(book, SpendQuestion(by=("day",), since=date(2026, 11, 3))).notes == []
    answer = spend(book, SpendQuestion(by=("month",), since=date(2026, 11, 1)))
    assert (answer.notes, answer.total.cost_nanodollars) == ([], 15)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"by": ("colour",)}, "nothing is kept by 'colour'; known: agent, class, day"),
        ({"filters": {"day": ("2026-11-01",)}}, "nothing is kept by 'day'"),
        ({"by": ("simulated",)}, "nothing is kept by 'simulated'"),
        ({"by": ("model", "model")}, "stands twice"),
        ({"since": date(2026, 11, 2), "until": date(2026, 11, 2)}, "is not after since"),
        ({"until": date(1969, 12, 31)}, "nothing was before 1970-01-01"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(question: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpendQuestion(**question)
