"""What was spent, by whom and on what, and what another model would have cost.

Rules of this file: pure. Money is whole nanodollars. A cost that is not known is in no sum, and the
requests it is missing for are counted beside it, so that a sum never looks better than it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from routerd.domain import Usage
from routerd.ledger.schema import SUMS
from routerd.ledger.selection import PERIODS, Group, Selection, missing_days, sums_of, users_of
from routerd.models.pricing import Price, cost

__all__ = ["SpendAnswer", "SpendQuestion", "SpendRow", "spend"]

# A model that has no price for these takes them as plain input.
CACHE_BUCKETS: Final = ("cache_read", "cache_write", "cache_write_long")


class SpendQuestion(Selection, frozen=True, kw_only=True):
    """What is asked: sums of which totals, and with `users` how many of these there were."""

    users: bool = False


class SpendRow(Struct, frozen=True, kw_only=True):
    """Sums of one group. `names` are its day, month, tenant and so on, '' where there is none.

    `calls` are those that were sent to somebody or answered from the cache, `refused` those that
    were not; a call counts with its first request, `requests` are all. `estimated_nanodollars` are
    part of the cost; `unknown_requests` are those that it leaves out, or has only a part of.
    `baseline_nanodollars` is what the same tokens would have cost at the baseline; both it and what
    was saved are None where they are not known.
    """

    names: dict[str, str]
    calls: int
    cached: int
    refused: int
    requests: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_long_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanodollars: int
    estimated_nanodollars: int
    unknown_requests: int
    cost_per_call_nanodollars: int | None = None
    users: int | None = None
    cost_per_user_nanodollars: int | None = None
    baseline_nanodollars: int | None = None
    saved_nanodollars: int | None = None


class _Users(Struct, frozen=True):
    """How many users a group has, and what all of them cost; calls without one are not in it."""

    count: int
    cost_nanodollars: int


class SpendAnswer(Struct, frozen=True, kw_only=True):
    """One row for each group, by time and then the dearest first, and the `total` of all.

    `notes` say what the numbers leave out.
    """

    rows: list[SpendRow]
    total: SpendRow
    notes: list[str]


def spend(
    connection: sqlite3.Connection, question: SpendQuestion, baseline: Price | None = None
) -> SpendAnswer:
    """Add up what was spent, and what the same tokens would have cost at a `baseline`."""
    groups = sums_of(connection, question)
    total = [sum(column) for column in zip(*groups.values(), strict=True)] or [0] * len(SUMS)
    notes = []
    first_day = missing_days(connection, question)
    if first_day is not None:
        notes.append(
            f"days before {first_day} are not kept any more and are missing here; whole months are"
        )
    if baseline is not None:
        baseline, guesses = _for_sums(baseline, dict(zip(SUMS, total, strict=True)))
        notes += guesses
    if not question.simulated:
        notes += _left_out(connection, question, total)
    users = _users(connection, question)
    everybody = _users(connection, structs.replace(question, by=())).get(())
    rows = [
        _row(dict(zip(question.by, group, strict=True)), sums, users.get(group), baseline)
        for group, sums in groups.items()
    ]
    if question.users:
        everybody = everybody or _Users(0, 0)
        if everybody.cost_nanodollars != _cost_in(total):
            notes.append("what calls that name no user cost is in no user's average")
    times = [name for name in question.by if name in PERIODS]
    rows.sort(key=lambda row: (*(row.names[name] for name in times), *_dearest_first(row)))
    return SpendAnswer(rows=rows, total=_row({}, total, everybody, baseline), notes=notes)


def _users(connection: sqlite3.Connection, question: SpendQuestion) -> dict[Group, _Users]:
    """Count the users of every group and what they cost; nothing where nobody asked for that."""
    if not question.users:
        return {}
    counts = users_of(connection, question)
    nameless = question.filters.get("user", ("",))
    filters = question.filters | {"user": ("",) if "" in nameless else ()}
    others = sums_of(connection, structs.replace(question, filters=filters))
    return {
        group: _Users(counts.get(group, 0), _cost_in(sums) - _cost_in(others.get(group)))
        for group, sums in sums_of(connection, question).items()
    }


def _left_out(
    connection: sqlite3.Connection, question: SpendQuestion, total: list[int]
) -> Iterator[str]:
    """Say that there are simulated calls: a rehearsal should not look as if nothing had come."""
    everything = sums_of(connection, structs.replace(question, by=(), simulated=True)).get(())
    calls = SUMS.index("calls")
    simulated = (everything[calls] if everything is not None else 0) - total[calls]
    if simulated:
        yield f"{simulated:,} simulated calls are left out: --simulated shows them too"


def _cost_in(sums: Sequence[int] | None) -> int:
    return sums[SUMS.index("cost_nanodollars")] if sums is not None else 0


def _dearest_first(row: SpendRow) -> tuple[int | str, ...]:
    return (-row.cost_nanodollars, *row.names.values())


def _for_sums(price: Price, total: Mapping[str, int]) -> tuple[Price, list[str]]:
    """Return a price that sums of tokens can be charged at, and where that is a guess."""
    notes = []
    if price.long_context is not None:
        # A sum says nothing of the length of single calls.
        price = structs.replace(price, long_context=None)
        notes.append("what the baseline charges more for long calls is left out")
    for bucket in CACHE_BUCKETS:
        if total[f"{bucket}_tokens"] and getattr(price, bucket) is None:
            price = structs.replace(price, **{bucket: price.input})
            named = bucket.replace("_", " ")
            notes.append(f"the baseline has no price for {named}: such tokens count as plain input")
    return price, notes


def _row(
    names: dict[str, str], values: list[int], users: _Users | None, price: Price | None
) -> SpendRow:
    sums: Mapping[str, int] = dict(zip(SUMS, values, strict=True))
    spent, baseline = sums["cost_nanodollars"], None
    if price is not None:
        baseline = cost(price, Usage(**{name: sums[name] for name in Usage.__struct_fields__}))
    saved = None if baseline is None or sums["unknown_requests"] else baseline - spent
    return SpendRow(
        names=names,
        **sums,
        cost_per_call_nanodollars=_average(spent, sums["calls"]),
        users=users.count if users is not None else None,
        cost_per_user_nanodollars=(
            _average(users.cost_nanodollars, users.count) if users is not None else None
        ),
        baseline_nanodollars=baseline,
        saved_nanodollars=saved,
    )


def _average(amount: int, count: int) -> int | None:
    """Divide, half rounded up; None where there is nothing to divide by."""
    return (2 * amount + count) // (2 * count) if count else None
