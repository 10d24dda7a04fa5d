"""Keys that take the place of others: what stays is counted on, what is new from here."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.budget.key import KeyLimits
from routerd.budget.keys import KeyHold, Keys
from routerd.errors import ErrorClass
from tests.daemon.budget.tiers import at, deployment, tier

NOON = at("2026-03-10 12:00")
MIDNIGHT = at("2026-03-10 00:00")
SMALL, LARGE = deployment("small"), deployment("large")


def free(name: str, **tier_settings: Any) -> KeyLimits:
    return KeyLimits(name, free={"*": tier(**tier_settings)})


def keys_of(*limits: KeyLimits) -> Keys:
    return Keys({"vendor": limits}, [SMALL, LARGE])


def replaced(keys: Keys, *limits: KeyLimits, renewed: str | None = None) -> Keys:
    return keys.replaced({"vendor": limits}, [SMALL, LARGE], {("vendor", renewed)})


def choose(keys: Keys, tokens: int | None = 10) -> KeyHold:
    hold = keys.choose(SMALL.id, "vendor", tokens, NOON)
    assert isinstance(hold, KeyHold)
    return hold


def row_of(keys: Keys, key: str) -> tuple[int, int]:
    """Return the calls that are used and held of the tier of a key."""
    return next(
        (row["used"], row["held"])
        for row in keys.report_free(NOON)
        if (row["key"], row["deployment"], row["unit"]) == (key, SMALL.id, "calls")
    )


def test_a_key_that_stays_keeps_its_counters_and_its_cool_down() -> None:
    keys = keys_of(free("a", calls=2, then="refused"), KeyLimits("b"))
    choose(keys).settle(10, sent=True)
    running = choose(keys)
    running.failed(ErrorClass.RATE_LIMIT, 60.0, NOON)
    now = replaced(keys, KeyLimits("b"), free("a", calls=3, then="refused"))
    assert row_of(now, "a") == (1, 1)
    assert choose(now).name == "b"  # the other one cools down
    running.settle(10, sent=True)
    assert row_of(now, "a") == (2, 0)
    assert [row["in_flight"] for row in now.report_keys(NOON) if row["key"] == "a"] == [0]


def test_another_secret_of_the_same_name_begins_without_what_was_held_against_it() -> None:
    keys = keys_of(free("a", calls=5), KeyLimits("b"))
    choose(keys).failed(ErrorClass.AUTH, None, NOON)
    choose(keys).failed(ErrorClass.AUTH, None, NOON)
    same = replaced(keys, free("a", calls=5), KeyLimits("b"))
    assert all(row["cooling_until"] for row in same.report_keys(NOON))
    now = replaced(same, free("a", calls=5), KeyLimits("b"), renewed="a")
    cooling = {row["key"]: row["cooling_until"] for row in now.report_keys(NOON)}
    assert cooling["a"] is None
    assert cooling["b"] is not None


def test_a_call_that_runs_chooses_among_the_keys_it_began_with() -> None:
    keys = keys_of(KeyLimits("a"), KeyLimits("b"))
    now = replaced(keys, KeyLimits("c"))
    assert {choose(keys).name, choose(keys).name} == {"a", "b"}
    assert choose(now).name == "c"


def test_a_limit_of_a_minute_that_changed_counts_what_was_asked_in_it() -> None:
    keys = keys_of(KeyLimits("a", calls_a_minute=2))
    choose(keys).settle(10, sent=True)
    choose(keys)
    now = replaced(keys, KeyLimits("a", calls_a_minute=3))
    choose(now)
    refused = now.choose(SMALL.id, "vendor", 10, NOON)
    assert not isinstance(refused, KeyHold)
    assert "0 of 3 calls" in refused.detail


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_tier_that_is_new_is_told_of_and_counts_what_runs(name: str) -> None:
    keys = keys_of(KeyLimits("a"), KeyLimits("b"))
    running = [choose(keys), choose(keys)]
    limits = [free(key, calls=5) if key == name else KeyLimits(key) for key in ("a", "b")]
    days = keys.new_days({"vendor": limits}, [SMALL], NOON)
    assert days == [(SMALL.id, name, MIDNIGHT)]
    now = replaced(keys, *limits)
    now.seed(SMALL.id, name, MIDNIGHT, NOON, (2, 20))
    now.hold_open(days, NOON)
    assert row_of(now, name) == (2, 1)
    for hold in running:
        hold.settle(10, sent=True)
    assert row_of(now, name) == (3, 0)
    assert now.new_days({"vendor": limits}, [SMALL, LARGE], NOON) == []


def test_a_tier_of_other_days_is_new() -> None:
    keys = keys_of(free("a", calls=5))
    limits = {"vendor": [free("a", calls=5, resets_at="08:00")]}
    assert keys.new_days(limits, [SMALL], NOON) == [(SMALL.id, "a", at("2026-03-10 08:00"))]
    same = {"vendor": [free("a", calls=7)]}
    assert keys.new_days(same, [SMALL], NOON) == []


def test_a_provider_that_nobody_described_keeps_its_key() -> None:
    keys = Keys({}, [SMALL])
    hold = choose(keys)
    now = keys.replaced({}, [SMALL])
    assert [row["in_flight"] for row in now.report_keys(NOON)] == [1]
    hold.release()
    assert [row["in_flight"] for row in now.report_keys(NOON)] == [0]
