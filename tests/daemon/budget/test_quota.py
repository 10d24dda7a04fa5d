"""Free tiers: what is free, what is left, and when the provider's new day begins."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.budget.quota import Quota, read_tiers, tier_of
from routerd.errors import SettingsError
from routerd.settings import FreeTier
from tests.daemon.budget.tiers import at, deployment, tier

NOON = at("2026-03-10 12:00")


def quota(**settings: Any) -> Quota:
    return Quota("vendor/small", "trial", tier(**settings))


def use(item: Quota, tokens: int, now: float) -> None:
    """Send one request that takes exactly its bound."""
    tally, held = item.hold(tokens, now)
    tally.hold(0, -1, -held)
    tally.spend(0, 1, tokens)


def test_the_last_call_of_a_day_is_free_and_the_next_one_is_not() -> None:
    item = quota(calls=2)
    use(item, 5, NOON)
    assert item.terms(10**9, NOON) == "free"
    item.hold(5, NOON)
    assert item.terms(5, NOON) == "paid"


def test_what_does_not_fit_with_its_bound_is_not_free() -> None:
    item = quota(tokens=100, then="refused")
    item.hold(40, NOON)
    assert [item.terms(tokens, NOON) for tokens in (60, 61, None)] == ["free", "refused", "refused"]


def test_without_a_limit_on_tokens_nothing_needs_a_bound() -> None:
    assert quota(calls=1).terms(None, NOON) == "free"


def test_what_nothing_bounds_may_take_all_there_is() -> None:
    item = quota(tokens=100)
    item.hold(None, NOON)
    assert item.terms(1, NOON) == "paid"


def test_the_day_begins_when_and_where_the_provider_says() -> None:
    item = quota(calls=1, resets_at="07:30", time_zone="America/Los_Angeles")
    edge = at("2026-03-10 14:30")  # daylight saving time has begun there
    assert item.starts_at(edge - 1) == at("2026-03-09 14:30")
    use(item, 1, edge - 1)
    assert item.terms(1, edge - 1) == "paid"
    assert item.resets_at(edge - 1) == edge
    assert item.terms(1, edge) == "free"


def test_what_was_held_yesterday_is_settled_yesterday() -> None:
    item = quota(calls=1, tokens=10)
    tally, held = item.hold(10, at("2026-03-10 23:59:59"))
    today = at("2026-03-11 00:00:01")
    assert item.terms(10, today) == "free"
    tally.hold(0, -1, -held)
    tally.spend(0, 1, 10)
    assert item.terms(10, today) == "free"
    assert item.as_seen(today, "paid").tokens_left == 10


def test_a_provider_that_says_it_is_empty_is_believed_until_its_new_day() -> None:
    item = quota(calls=5)
    item.exhaust(NOON)
    assert item.terms(1, NOON) == "paid"
    seen = item.as_seen(NOON, "refused")
    assert (seen.calls_left, seen.tokens_left, seen.exhausted_means) == (0, None, "refused")
    assert item.report(NOON)[0]["left"] == 0
    assert "as the provider says" in item.lacking(1, NOON)
    midnight = at("2026-03-11 00:00")
    assert item.terms(1, midnight - 1) == "paid"
    assert item.terms(1, midnight) == "free"
    assert item.as_seen(midnight, "paid").calls_left == 5


def test_what_a_decision_sees() -> None:
    item = quota(calls=3, tokens=50)
    item.hold(20, NOON)
    seen = item.as_seen(NOON, "paid")
    assert (seen.deployment, seen.key) == ("vendor/small", "trial")
    assert (seen.calls_left, seen.tokens_left) == (2, 30)
    assert seen.resets_at == at("2026-03-11 00:00")
    use(item, 500, NOON)  # billed above its bound
    assert item.as_seen(NOON, "paid").tokens_left == 0


def test_the_report_has_a_row_for_each_limit() -> None:
    item = quota(calls=3, tokens=50, then="refused")
    item.hold(20, NOON)
    use(item, 7, NOON)
    common = {
        "deployment": "vendor/small",
        "key": "trial",
        "resets_at": at("2026-03-11 00:00"),
        "then": "refused",
    }
    assert item.report(NOON) == [
        {**common, "unit": "calls", "limit": 3, "used": 1, "held": 1, "left": 1},
        {**common, "unit": "tokens", "limit": 50, "used": 7, "held": 20, "left": 23},
    ]


def test_the_refusal_has_the_numbers_that_were_compared() -> None:
    item = quota(calls=3, tokens=50)
    item.hold(20, NOON)
    assert item.lacking(31, NOON) == (
        "its free tier has 2 of 3 calls and 30 of 50 tokens left for one call of up to 31 tokens, "
        "resets 2026-03-11 00:00:00 UTC"
    )
    assert "with no bound on its tokens" in item.lacking(None, NOON)


def test_what_was_used_before_a_restart_counts() -> None:
    item = quota(calls=3)
    item.seed(item.starts_at(NOON), NOON, (2, 900))
    assert item.as_seen(NOON, "paid").calls_left == 1


def test_what_was_used_on_a_day_that_ended_meanwhile_does_not() -> None:
    item = quota(calls=3)
    item.seed(at("2026-03-09 00:00"), NOON, (2, 900))
    assert item.as_seen(NOON, "paid").calls_left == 3


def test_the_most_exact_name_counts() -> None:
    served = deployment("small")
    tiers = {name: tier(calls=1) for name in ("*", "small-1", "vendor/small")}
    assert tier_of(served, tiers) is tiers["vendor/small"]
    del tiers["vendor/small"]
    assert tier_of(served, tiers) is tiers["small-1"]
    assert tier_of(deployment("large"), tiers) is tiers["*"]
    del tiers["*"]
    assert tier_of(deployment("large"), tiers) is None


@pytest.mark.parametrize(
    ("name", "settings", "key", "expected"),
    [
        ("large", FreeTier(calls=1), "free.large", "known: *, small"),
        ("small", FreeTier(), "free.small", "limits nothing"),
        ("*", FreeTier(calls=1, time_zone="Mars"), "free.*.time_zone", "Mars"),
    ],
)
def test_a_mistake_is_named(name: str, settings: FreeTier, key: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_tiers({name: settings}, {"small"}, "file", "free")
    assert (caught.value.file, caught.value.key) == ("file", key)
    assert expected in caught.value.expected
