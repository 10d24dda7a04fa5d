"""Which key serves: free quota, cool-downs, limits of a minute, and what nothing may leak."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from routerd.budget.key import KeyLimits
from routerd.budget.keys import KeyHold, KeyRefusal, Keys
from routerd.errors import ErrorClass
from tests.daemon.budget.tiers import at, deployment, tier

NOON = at("2026-03-10 12:00")
MIDNIGHT = at("2026-03-11 00:00")
SMALL, LARGE = deployment("small"), deployment("large")


def free(name: str, **tier_settings: Any) -> KeyLimits:
    return KeyLimits(name, free={"*": tier(**tier_settings)})


def keys_of(*limits: KeyLimits) -> Keys:
    return Keys({"vendor": limits}, [SMALL, LARGE])


def choose(
    keys: Keys, now: float = NOON, tokens: int | None = 10, served: str = SMALL.id
) -> KeyHold:
    hold = keys.choose(served, "vendor", tokens, now)
    assert isinstance(hold, KeyHold)
    return hold


def refuse(keys: Keys, now: float = NOON, tokens: int | None = 10) -> KeyRefusal:
    refusal = keys.choose(SMALL.id, "vendor", tokens, now)
    assert isinstance(refusal, KeyRefusal)
    return refusal


def in_flight(keys: Keys) -> dict[str | None, int]:
    return {row["key"]: row["in_flight"] for row in keys.report_keys(NOON)}


# --- the order ----------------------------------------------------------------------------------


def test_a_provider_nobody_described_has_one_key_without_limits() -> None:
    keys = Keys({}, [])
    hold = keys.choose("local/m", "local", None, NOON)
    assert isinstance(hold, KeyHold)
    assert (hold.name, hold.index, hold.free) == (None, 0, False)


def test_free_keys_come_first_in_the_order_of_the_file() -> None:
    keys = keys_of(KeyLimits("paid"), free("a", calls=1), free("b", calls=2))
    holds = [choose(keys) for _ in range(4)]
    assert [hold.name for hold in holds] == ["a", "b", "b", "paid"]
    assert [hold.free for hold in holds] == [True, True, True, False]
    assert [hold.index for hold in holds] == [1, 2, 2, 0]


def test_among_paid_keys_the_least_busy_comes_first_then_the_order() -> None:
    keys = keys_of(KeyLimits("a"), KeyLimits("b"), KeyLimits("c"))
    first, second, third = (choose(keys) for _ in range(3))
    assert [first.name, second.name, third.name] == ["a", "b", "c"]
    second.settle(5, sent=True)
    assert choose(keys).name == "b"


def test_a_used_up_tier_goes_on_for_money_beside_the_others() -> None:
    keys = keys_of(free("a", calls=1), KeyLimits("b"))
    assert [choose(keys).name for _ in range(3)] == ["a", "b", "a"]


def test_a_call_too_large_for_the_rest_of_a_tier_is_paid_and_a_smaller_one_is_free() -> None:
    keys = keys_of(free("a", tokens=100))
    choose(keys, tokens=60).settle(60, sent=True)
    assert [choose(keys, tokens=tokens).free for tokens in (41, 40)] == [False, False]


def test_what_was_paid_counts_against_the_tier_as_the_provider_counts_it() -> None:
    keys = keys_of(free("a", tokens=100))
    paid = choose(keys, tokens=101)
    assert not paid.free
    assert not choose(keys, tokens=1).free  # the provider may take it all for the one that runs
    paid.settle(30, sent=True)
    assert keys.free_quotas([SMALL.id], NOON)[0].tokens_left == 69


def test_tiers_of_deployments_are_counted_apart() -> None:
    keys = keys_of(free("a", calls=1))
    assert [choose(keys, served=item).free for item in (SMALL.id, LARGE.id, SMALL.id)] == [
        True,
        True,
        False,
    ]


def test_a_refusal_says_what_lacks_and_when_it_resets() -> None:
    keys = keys_of(free("a", calls=1, then="refused"), free("b", tokens=5, then="refused"))
    choose(keys)
    refusal = refuse(keys)
    assert (refusal.code, refusal.resets_at) == ("free_tier", MIDNIGHT)
    assert refusal.detail == (
        "vendor: key a: its free tier has 0 of 1 calls left for one call of up to 10 tokens, "
        "resets 2026-03-11 00:00:00 UTC; key b: its free tier has 5 of 5 tokens left for one call "
        "of up to 10 tokens, resets 2026-03-11 00:00:00 UTC"
    )
    assert choose(keys, MIDNIGHT).free


# --- the limits of a minute ---------------------------------------------------------------------


def test_a_minute_has_so_many_calls() -> None:
    keys = keys_of(KeyLimits("a", calls_a_minute=2))
    for _ in range(2):
        choose(keys).settle(1, sent=True)
    refusal = refuse(keys)
    assert refusal.code == "key_limit"
    assert refusal.detail == "vendor: key a: its minute has 0 of 2 calls left"
    assert NOON < refusal.resets_at <= NOON + 61
    refuse(keys, refusal.resets_at - 0.001)
    choose(keys, refusal.resets_at)


def test_a_full_minute_sends_the_next_call_to_another_key() -> None:
    keys = keys_of(free("a", calls=9), KeyLimits("b"))
    limited = keys_of(KeyLimits("a", 1, free={"*": tier(calls=9)}), KeyLimits("b"))
    assert [choose(keys).name for _ in range(2)] == ["a", "a"]
    assert [choose(limited).name for _ in range(2)] == ["a", "b"]


def test_tokens_of_a_minute_are_held_by_their_bound_and_settled_by_their_use() -> None:
    keys = keys_of(KeyLimits(None, tokens_a_minute=100))
    hold = choose(keys, tokens=60)
    assert refuse(keys, tokens=41).detail == "vendor: its minute has 40 of 100 tokens left"
    hold.settle(10, sent=True)
    choose(keys, tokens=90)


@pytest.mark.parametrize("tokens", [101, 10**9, None])
def test_what_is_larger_than_a_whole_minute_may_go_alone(tokens: int | None) -> None:
    keys = keys_of(KeyLimits("a", tokens_a_minute=100))
    large = choose(keys, tokens=tokens)
    assert refuse(keys, tokens=1).code == "key_limit"
    large.settle(20, sent=True)
    assert refuse(keys, tokens=tokens).code == "key_limit"
    choose(keys, tokens=80)


def test_the_first_of_several_resets_is_told() -> None:
    keys = keys_of(free("a", calls=1, then="refused"), KeyLimits("b", calls_a_minute=1))
    choose(keys)
    choose(keys)
    refusal = refuse(keys)
    assert refusal.code == "key_limit"
    assert refusal.resets_at < MIDNIGHT


# --- cool-downs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error_class", "retry_after", "seconds"),
    [
        (ErrorClass.RATE_LIMIT, None, 10),
        (ErrorClass.RATE_LIMIT, 33.5, 33.5),
        (ErrorClass.QUOTA, None, 600),
        (ErrorClass.AUTH, None, 600),
    ],
)
def test_a_key_at_fault_is_left_alone_for_a_while(
    error_class: ErrorClass, retry_after: float | None, seconds: float
) -> None:
    keys = keys_of(KeyLimits("a"), KeyLimits("b"))
    hold = choose(keys)
    hold.failed(error_class, retry_after, NOON)
    hold.settle(0, sent=True)
    another = choose(keys, NOON + seconds - 0.1)
    assert another.name == "b"
    another.release()
    assert choose(keys, NOON + seconds).name == "a"


@pytest.mark.parametrize("error_class", sorted(set(ErrorClass) - {"rate_limit", "quota", "auth"}))
def test_what_is_not_the_fault_of_a_key_changes_nothing(error_class: ErrorClass) -> None:
    keys = keys_of(KeyLimits("a"), KeyLimits("b"))
    hold = choose(keys)
    hold.failed(error_class, 60.0, NOON)
    hold.release()
    assert choose(keys).name == "a"


def test_no_call_is_refused_because_of_a_cool_down() -> None:
    keys = keys_of(KeyLimits("a"), KeyLimits("b"))
    first, second = choose(keys), choose(keys)
    first.failed(ErrorClass.AUTH, None, NOON)
    second.failed(ErrorClass.RATE_LIMIT, None, NOON)
    assert not keys.is_ready(SMALL.id, "vendor", 10, NOON)
    assert [choose(keys).name for _ in range(3)] == ["b", "b", "b"]
    assert keys.is_ready(SMALL.id, "vendor", 10, NOON + 10)


def test_a_free_key_that_cools_down_comes_after_a_paid_one_that_does_not() -> None:
    keys = keys_of(free("a", calls=9), KeyLimits("b"))
    choose(keys).failed(ErrorClass.RATE_LIMIT, None, NOON)
    assert choose(keys).name == "b"
    assert choose(keys, NOON + 10).name == "a"


def test_an_exhausted_quota_closes_the_tier_of_that_deployment_until_its_new_day() -> None:
    keys = keys_of(free("a", calls=9), KeyLimits("b"))
    choose(keys).failed(ErrorClass.QUOTA, None, NOON)
    assert choose(keys).name == "b"
    assert choose(keys, MIDNIGHT - 1).name == "b"
    assert choose(keys, served=LARGE.id).free
    hold = choose(keys, MIDNIGHT)
    assert (hold.name, hold.free) == ("a", True)


def test_the_only_key_goes_on_for_money_when_its_quota_is_exhausted() -> None:
    keys = keys_of(free("a", calls=9))
    choose(keys).failed(ErrorClass.QUOTA, None, NOON)
    hold = choose(keys)
    assert (hold.name, hold.free) == ("a", False)
    refusing = keys_of(free("a", calls=9, then="refused"))
    choose(refusing).failed(ErrorClass.QUOTA, None, NOON)
    assert refuse(refusing).resets_at == MIDNIGHT


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.AUTH]),
            st.none() | st.floats(0.001, 3600),
            st.floats(0, 100),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_cool_down_ends_at_the_latest_moment_named(
    faults: list[tuple[ErrorClass, float | None, float]],
) -> None:
    keys, now, named = keys_of(KeyLimits("a")), NOON, []
    for error_class, retry_after, later in faults:
        now += later
        choose(keys, now).failed(error_class, retry_after, now)
        if error_class is ErrorClass.RATE_LIMIT:
            named.append(now + (10.0 if retry_after is None else retry_after))
        elif error_class is ErrorClass.AUTH:
            # Providers name none; the source of a key's tokens does, and is asked again then.
            named.append(now + (600.0 if retry_after is None else retry_after))
        else:
            # Nobody mends an account because the provider names a minute.
            named.append(now + max(600.0, retry_after or 0.0))
        (row,) = keys.report_keys(now)
        assert row["cooling_until"] == max(named)
    assert not keys.is_ready(SMALL.id, "vendor", 10, max(named) - 0.0005)
    assert keys.is_ready(SMALL.id, "vendor", 10, max(named))


# --- what is told -------------------------------------------------------------------------------


def test_a_deployment_is_refused_when_exhausted_only_if_no_key_goes_on() -> None:
    def means(*limits: KeyLimits) -> list[str]:
        return [item.exhausted_means for item in keys_of(*limits).free_quotas([SMALL.id], NOON)]

    refused = {"calls": 1, "then": "refused"}
    assert means(free("a", **refused)) == ["refused"]
    assert means(free("a", **refused), free("b", **refused)) == ["refused", "refused"]
    assert means(free("a", **refused), free("b", calls=1)) == ["paid", "paid"]
    assert means(free("a", **refused), KeyLimits("b")) == ["paid"]
    assert means(KeyLimits("a")) == []


def test_only_the_tiers_of_the_candidates_are_shown() -> None:
    keys = keys_of(free("a", calls=1), free("b", tokens=5))
    seen = keys.free_quotas([LARGE.id, "elsewhere/m"], NOON)
    assert [(item.deployment, item.key) for item in seen] == [(LARGE.id, "a"), (LARGE.id, "b")]
    assert keys.free_quotas([], NOON) == ()


def test_what_was_used_before_a_restart_counts_for_its_key_alone() -> None:
    keys = keys_of(free("a", calls=3), free("b", calls=3))
    days = keys.days(NOON)
    start = at("2026-03-10 00:00")
    assert days == [(item, key, start) for item in (SMALL.id, LARGE.id) for key in ("a", "b")]
    keys.seed(SMALL.id, "b", start, NOON, (2, 100))
    keys.seed("elsewhere/m", "b", start, NOON, (2, 100))
    left = {(item.deployment, item.key): item.calls_left for item in _all_quotas(keys)}
    assert left == {
        (SMALL.id, "a"): 3,
        (SMALL.id, "b"): 1,
        (LARGE.id, "a"): 3,
        (LARGE.id, "b"): 3,
    }


def _all_quotas(keys: Keys) -> list[Any]:
    return list(keys.free_quotas([SMALL.id, LARGE.id], NOON))


def test_the_reports_are_plain_data() -> None:
    keys = keys_of(KeyLimits("a", 5, free={"small-1": tier(calls=3)}))
    hold = choose(keys)
    hold.failed(ErrorClass.RATE_LIMIT, 5, NOON)
    assert keys.report_free(NOON) == [
        {
            "deployment": SMALL.id,
            "key": "a",
            "unit": "calls",
            "limit": 3,
            "used": 0,
            "held": 1,
            "left": 2,
            "resets_at": MIDNIGHT,
            "then": "paid",
            "cooling_until": NOON + 5,
        }
    ]
    minute = [{"unit": "calls", "limit": 5, "used": 0, "held": 1, "left": 4}]
    row = {"provider": "vendor", "key": "a", "in_flight": 1, "minute": minute}
    row |= {"told": [], "used_up_until": None, "resting": []}
    assert keys.report_keys(NOON) == [
        {**row, "cooling_until": NOON + 5, "cooling_because": "rate_limit", "headroom": 0}
    ]
    assert keys.report_keys(NOON + 5) == [
        {**row, "cooling_until": None, "cooling_because": None, "headroom": 800}
    ]
    assert keys.report_free(NOON + 5)[0]["cooling_until"] is None


# --- ends ---------------------------------------------------------------------------------------


def test_a_hold_ends_once() -> None:
    keys = keys_of(free("a", calls=3, tokens=100))
    hold = choose(keys)
    hold.settle(4, sent=True)
    hold.release()
    hold.settle(50, sent=True)
    (seen,) = keys.free_quotas([SMALL.id], NOON)
    assert (seen.calls_left, seen.tokens_left) == (2, 96)
    assert in_flight(keys) == {"a": 0}


@pytest.mark.parametrize("how", ["release", "not sent"])
def test_what_was_not_sent_is_given_back(how: str) -> None:
    keys = keys_of(KeyLimits("a", 1, 100, {"*": tier(calls=1, tokens=100, then="refused")}))
    hold = choose(keys, tokens=100)
    refuse(keys)
    if how == "release":
        hold.release()
    else:
        hold.settle(77, sent=False)
    assert choose(keys, tokens=100).free


DEPLOYMENTS = (SMALL.id, LARGE.id)
LIMITS = (
    KeyLimits("trial", free={"*": tier(calls=6, tokens=400, then="refused", resets_at="13:00")}),
    KeyLimits("mixed", 4, 300, {"small-1": tier(tokens=250, time_zone="Asia/Tokyo")}),
    KeyLimits("team", calls_a_minute=3),
)


class KeysMachine(RuleBasedStateMachine):
    """Attempts that begin and end in any way, while keys cool down and days pass.

    Beside the counters there is a plain list: for each attempt when it began and what it may take.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.keys = keys_of(*LIMITS)
        self.open: list[tuple[KeyHold, int]] = []
        # Deployment, key, when, whether free, and the tokens it took or may take.
        self.taken: dict[KeyHold, list[Any]] = {}

    @rule(seconds=st.sampled_from([0.1, 1, 7, 61, 1800, 40_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(served=st.sampled_from(DEPLOYMENTS), tokens=st.integers(0, 350))
    def begin(self, served: str, tokens: int) -> None:
        cooling = {row["key"] for row in self.keys.report_keys(self.now) if row["cooling_until"]}
        ready = self.keys.is_ready(served, "vendor", tokens, self.now)
        hold = self.keys.choose(served, "vendor", tokens, self.now)
        if isinstance(hold, KeyRefusal):
            # Nobody is refused while a key has room: each says what it lacks.
            assert not ready
            assert hold.resets_at > self.now
            assert hold.detail.count("has") == len(LIMITS)
            return
        if ready:
            assert hold.name not in cooling
        self.open.append((hold, tokens))
        self.taken[hold] = [served, hold.name, self.now, hold.free, tokens]

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        how=st.sampled_from(["whole", "part", "released", "not sent", "twice"]),
        fault=st.none() | st.sampled_from(ErrorClass),
        retry_after=st.none() | st.floats(0.1, 100),
    )
    def end(
        self, data: st.DataObject, how: str, fault: ErrorClass | None, retry_after: float | None
    ) -> None:
        hold, bound = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if fault is not None:
            hold.failed(fault, retry_after, self.now)
        used = data.draw(st.integers(0, bound)) if how == "part" else bound
        if how == "released":
            hold.release()
        else:
            hold.settle(used, sent=how != "not sent")
        if how == "twice":
            hold.release()
            hold.settle(1000, sent=True)
        self.taken[hold][4] = used
        if how in ("released", "not sent"):
            del self.taken[hold]

    @invariant()
    def no_tier_gives_more_than_it_has(self) -> None:
        for served, key, start in self.keys.days(self.now):
            today = [
                item
                for item in self.taken.values()
                if item[:2] == [served, key] and item[2] >= start
            ]
            limits = next(item for item in LIMITS if item.name == key)
            given = limits.free.get("*") or limits.free["small-1"]
            free_today = [item[4] for item in today if item[3]]
            assert given.calls is None or len(free_today) <= given.calls
            assert given.tokens is None or sum(free_today) <= given.tokens
            rows = [
                row
                for row in self.keys.report_free(self.now)
                if (row["deployment"], row["key"]) == (served, key)
            ]
            for row in rows:
                taken = len(today) if row["unit"] == "calls" else sum(item[4] for item in today)
                assert row["used"] + row["held"] == taken

    @invariant()
    def no_minute_has_more_than_its_calls(self) -> None:
        for limits in LIMITS:
            if limits.calls_a_minute is not None:
                lately = [
                    item
                    for item in self.taken.values()
                    if item[1] == limits.name and item[2] > self.now - 60
                ]
                assert len(lately) <= limits.calls_a_minute

    @invariant()
    def idle_keys_hold_nothing(self) -> None:
        counted = dict.fromkeys((limits.name for limits in LIMITS), 0)
        for hold, _ in self.open:
            counted[hold.name] += 1
        assert in_flight(self.keys) == counted
        if not self.open:
            assert not any(row["held"] for row in self.keys.report_free(self.now))
            for row in self.keys.report_keys(self.now):
                assert not any(minute["held"] for minute in row["minute"])


KeysMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestKeys = KeysMachine.TestCase
