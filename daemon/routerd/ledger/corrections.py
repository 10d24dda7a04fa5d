"""Corrections: estimated amounts become what the invoice says, to the nanodollar.

Rules of this file: run inside one transaction of the writer. Only requests whose cost was estimated
or not known are changed, and never below zero; what was measured stays. Each change leaves a row
that says what changed it, and the totals change with it. An invoice that was applied changes
nothing the second time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from msgspec import Struct

from routerd.ledger.comparing import Compared, compare
from routerd.ledger.exports import Invoice
from routerd.ledger.rows import Row
from routerd.ledger.schema import DIMENSIONS
from routerd.ledger.selection import EPOCH
from routerd.ledger.totals import DAY_MS, month_of

__all__ = ["Change", "Corrected", "correct", "shares_of"]

KEY: Final = ", ".join(f"ifnull({name}, '')" for name in DIMENSIONS)
# `{}` stands for as many question marks as there are deployments.
OPEN: Final = f"""
    SELECT decision_id, number, cost_nanodollars + correction_nanodollars, cost_basis = 'unknown',
        ifnull(input_tokens, 0) + ifnull(output_tokens, 0), started_ms, {KEY}
    FROM attempts
    WHERE started_ms >= ? AND started_ms < ? AND provider = ? AND deployment IN ({{}})
        AND sent AND NOT free AND NOT simulated
        AND cost_basis IN ('unknown', 'estimated')
    ORDER BY decision_id, number
"""  # noqa: S608 - only names of the schema
# Once an invoice says what it cost, it is known as well as it can be.
CHANGE: Final = """
    UPDATE attempts SET cost_nanodollars = ifnull(cost_nanodollars, 0), cost_basis = 'estimated',
        correction_nanodollars = correction_nanodollars + ?
    WHERE decision_id = ? AND number = ?
"""
REMEMBER: Final = """
    INSERT INTO corrections (at_ms, day, provider, model, decision_id, number, delta_nanodollars,
        source)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def _change_totals(table: str, period: str) -> str:
    key = " AND ".join(f"{name} = ?" for name in (period, *DIMENSIONS))
    return (
        f"UPDATE {table} SET cost_nanodollars = cost_nanodollars + ?, "  # noqa: S608 - names of the schema
        "estimated_nanodollars = estimated_nanodollars + ?, "
        f"unknown_requests = unknown_requests - ? WHERE {key}"
    )


# More than an estimate can be wrong by is somebody else's: another program on the account, or
# another price.
MOST_TIMES: Final = 10
CHANGE_DAY: Final = _change_totals("day_totals", "day")
CHANGE_MONTH: Final = _change_totals("month_totals", "month")
CHANGE_DAY_WITHOUT_USER: Final = _change_totals("day_totals_without_user", "day")
CHANGE_MONTH_WITHOUT_USER: Final = _change_totals("month_totals_without_user", "month")
CALLERS: Final = ("tenant", "team", "agent", "user", "feature")
USER: Final = DIMENSIONS.index("user")


class Corrected(Struct, frozen=True, kw_only=True):
    """What was changed of one model on one day: how many requests, by how much in all."""

    day: date
    model: str
    requests: int
    nanodollars: int


class Change(Struct, frozen=True, kw_only=True):
    """By how much the cost of one request was changed, for counters that it is in.

    `names` are tenant, team, agent, user and feature.
    """

    started_ms: int
    names: tuple[str | None, ...]
    provider: str
    model: str
    nanodollars: int


class _Attempt(NamedTuple):
    """A request whose cost may be corrected.

    `amount` is None where nothing of it is known; where `is_unknown`, it is a part of the cost.
    """

    decision_id: str
    number: int
    amount: int | None
    is_unknown: int
    tokens: int
    started_ms: int
    key: Row


def correct(
    connection: sqlite3.Connection, invoice: Invoice, names: Mapping[str, str], now_ms: int
) -> tuple[list[Corrected], list[Change]]:
    """Make the ledger agree with an invoice as far as its costs are estimated or not known.

    A day that is not over is left alone: what is missing from its invoice may still come. Returns
    what was changed, by day and model and request by request.
    """
    today = now_ms // DAY_MS
    corrected: list[Corrected] = []
    changed: list[Change] = []
    for row in compare(connection, invoice, names):
        day = (row.day - EPOCH).days
        if day >= today or not row.deployments or row.difference_nanodollars is None:
            continue
        changes = _changes(_open_attempts(connection, invoice.provider, row), row)
        if changes:
            _apply(connection, day, changes)
            connection.executemany(
                REMEMBER,
                [
                    (now_ms, day, invoice.provider, *_named(attempt), delta, invoice.source)
                    for attempt, delta in changes
                ],
            )
            total = sum(delta for _, delta in changes)
            corrected.append(
                Corrected(day=row.day, model=row.model, requests=len(changes), nanodollars=total)
            )
            changed += [_change(attempt, delta) for attempt, delta in changes]
    return corrected, changed


def shares_of(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to weights, exactly: the largest remainders are rounded up.

    Without any weight everybody gets the same. Nobody gets more than their weight if all together
    do not.
    """
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    shares = [amount * weight // whole for weight in weights]
    remainders = [amount * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: -remainders[place])
    for place in by_remainder[: amount - sum(shares)]:
        shares[place] += 1
    return shares


def _open_attempts(connection: sqlite3.Connection, provider: str, row: Compared) -> list[_Attempt]:
    start = (row.day - EPOCH).days * DAY_MS
    statement = OPEN.format(", ".join("?" * len(row.deployments)))
    values = (start, start + DAY_MS, provider, *row.deployments)
    return [
        _Attempt(decision_id, number, amount, is_unknown, tokens, started_ms, tuple(key))
        for decision_id, number, amount, is_unknown, tokens, started_ms, *key in connection.execute(
            statement, values
        )
    ]


def _changes(attempts: list[_Attempt], row: Compared) -> list[tuple[_Attempt, int]]:
    """Spread a difference over attempts.

    What is missing belongs to those whose cost is not known, or not all of it, in proportion to
    their tokens, or else, as what is too much, to the others by their amounts.
    """
    difference = row.difference_nanodollars or 0
    unknown = [attempt for attempt in attempts if attempt.is_unknown]
    if difference > 0 and unknown:
        weights = [attempt.tokens for attempt in unknown]
        return list(zip(unknown, shares_of(difference, weights), strict=True))
    known = [attempt for attempt in attempts if not attempt.is_unknown]
    weights = [attempt.amount or 0 for attempt in known]
    size = difference if difference > 0 else min(-difference, sum(weights))
    if not size or not known or size > MOST_TIMES * sum(weights):
        return []
    sign = 1 if difference > 0 else -1
    deltas = [sign * share for share in shares_of(size, weights)]
    return [(attempt, delta) for attempt, delta in zip(known, deltas, strict=True) if delta]


def _apply(connection: sqlite3.Connection, day: int, changes: list[tuple[_Attempt, int]]) -> None:
    """Change attempts and the totals they are in."""
    totals: dict[Row, list[int]] = {}
    for attempt, delta in changes:
        sums = totals.setdefault(attempt.key, [0, 0, 0])
        sums[0] += delta
        # An estimate from now on, also what was known of it.
        sums[1] += delta + ((attempt.amount or 0) if attempt.is_unknown else 0)
        sums[2] += attempt.is_unknown
    connection.executemany(
        CHANGE, [(delta, attempt.decision_id, attempt.number) for attempt, delta in changes]
    )
    for statement, period in ((CHANGE_DAY, day), (CHANGE_MONTH, month_of(day))):
        connection.executemany(statement, [(*sums, period, *key) for key, sums in totals.items()])
    for statement, period in (
        (CHANGE_DAY_WITHOUT_USER, day),
        (CHANGE_MONTH_WITHOUT_USER, month_of(day)),
    ):
        rows = [(*sums, period, *key[:USER], "", *key[USER + 1 :]) for key, sums in totals.items()]
        connection.executemany(statement, rows)


def _change(attempt: _Attempt, delta: int) -> Change:
    # In keys an empty name stands for none.
    key = {name: str(value) for name, value in zip(DIMENSIONS, attempt.key, strict=True)}
    return Change(
        started_ms=attempt.started_ms,
        names=tuple(key[name] or None for name in CALLERS),
        provider=key["provider"],
        model=key["model"],
        nanodollars=delta,
    )


def _named(attempt: _Attempt) -> tuple[str | int | None, str, int]:
    model = attempt.key[DIMENSIONS.index("model")]
    return model, attempt.decision_id, attempt.number
