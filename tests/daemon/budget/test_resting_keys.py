"""What a key was refused for one deployment alone: its others go on, and so do other keys."""

from __future__ import annotations

from routerd.budget.cooling import Cooling
from routerd.budget.key import KeyLimits
from routerd.budget.keys import KeyHold, Keys
from routerd.errors import ErrorClass
from routerd.models.lineup import Lineup
from tests.daemon.budget.tiers import at, deployment

NOON = at("2026-03-10 12:00")
SMALL, LARGE = deployment("small"), deployment("large")
BOTH = [SMALL, LARGE]


def keys_of(*names: str) -> Keys:
    return Keys({"vendor": tuple(map(KeyLimits, names))}, BOTH)


def hold(keys: Keys, served: str = SMALL.id, now: float = NOON) -> KeyHold:
    found = keys.choose(served, "vendor", 10, now)
    assert isinstance(found, KeyHold)
    return found


def refused(
    keys: Keys,
    kind: ErrorClass = ErrorClass.RATE_LIMIT,
    retry_after: float | None = None,
    now: float = NOON,
) -> None:
    held = hold(keys, now=now)
    held.failed(kind, retry_after, now, is_of_deployment=True)
    held.release()


def test_the_only_key_rests_for_one_deployment_and_serves_the_others() -> None:
    keys = keys_of("a")
    refused(keys)
    assert keys.left(Lineup.of(BOTH), NOON) == (
        {},
        {SMALL.id: Cooling(NOON + 10, "rate_limit", True)},
    )
    assert keys.is_ready(LARGE.id, "vendor", 10, NOON)
    assert not keys.is_ready(SMALL.id, "vendor", 10, NOON)
    # A cool-down only changes the order.
    assert hold(keys).name == "a"
    assert keys.left(Lineup.of(BOTH), NOON + 10) == ({}, {})


def test_another_key_serves_what_the_first_was_refused_for() -> None:
    keys = keys_of("a", "b")
    refused(keys)
    assert keys.left(Lineup.of(BOTH), NOON)[1] == {}
    assert hold(keys).name == "b"
    assert hold(keys, LARGE.id).name == "a"
    refused(keys, now=NOON + 1)
    assert set(keys.left(Lineup.of(BOTH), NOON + 1)[1]) == {SMALL.id}
    assert keys.left(Lineup.of(BOTH), NOON + 1)[1][SMALL.id].until == NOON + 10


def test_a_moment_that_the_provider_named_is_no_guess_and_the_later_one_holds() -> None:
    keys = keys_of("a")
    refused(keys, retry_after=4.0)
    assert keys.named_wait(SMALL.id, "vendor", 10, NOON) == 4.0
    assert keys.named_wait(LARGE.id, "vendor", 10, NOON) == 0.0
    refused(keys, retry_after=2.0)
    assert keys.left(Lineup.of(BOTH), NOON)[1] == {SMALL.id: Cooling(NOON + 4, "rate_limit", False)}


def test_a_daily_quota_and_a_denied_model_rest_for_long() -> None:
    for kind in (ErrorClass.QUOTA, ErrorClass.AUTH):
        keys = keys_of("a")
        refused(keys, kind)
        assert keys.left(Lineup.of(BOTH), NOON)[1] == {
            SMALL.id: Cooling(NOON + 600, str(kind), False)
        }


def test_where_the_whole_key_cools_down_its_provider_does() -> None:
    keys = keys_of("a")
    refused(keys)
    hold(keys).failed(ErrorClass.AUTH, None, NOON)
    assert set(keys.left(Lineup.of(BOTH), NOON)[1]) == {"vendor"}
    # One key for each of two reasons: nothing is left for the one deployment.
    keys = keys_of("a", "b")
    refused(keys)
    hold(keys).failed(ErrorClass.AUTH, None, NOON)
    assert keys.left(Lineup.of(BOTH), NOON)[1] == {SMALL.id: Cooling(NOON + 10, "rate_limit", True)}


def test_a_reset_and_another_secret_end_it() -> None:
    keys = keys_of("a")
    refused(keys)
    [row] = keys.report_keys(NOON)
    assert row["resting"] == [{"deployment": SMALL.id, "until": NOON + 10, "because": "rate_limit"}]
    keys.warm_up("vendor")
    assert keys.report_keys(NOON)[0]["resting"] == []
    refused(keys)
    renewed = keys.replaced({"vendor": (KeyLimits("a"),)}, BOTH, {("vendor", "a")})
    assert renewed.left(Lineup.of(BOTH), NOON) == ({}, {})


def test_a_whole_answer_ends_the_rest_for_its_rate_if_it_was_asked_for_since() -> None:
    keys = keys_of("a")
    before = hold(keys, now=NOON)
    refused(keys, now=NOON + 1)
    before.answered()
    assert set(keys.left(Lineup.of(BOTH), NOON + 2)[1]) == {SMALL.id}
    hold(keys, LARGE.id, NOON + 2).answered()
    assert set(keys.left(Lineup.of(BOTH), NOON + 2)[1]) == {SMALL.id}
    # Refused again, for no longer: still it is the later refusal that counts.
    asked = hold(keys, now=NOON + 2)
    refused(keys, retry_after=0.5, now=NOON + 3)
    asked.answered()
    assert set(keys.left(Lineup.of(BOTH), NOON + 3)[1]) == {SMALL.id}
    hold(keys, now=NOON + 3).answered()
    assert keys.left(Lineup.of(BOTH), NOON + 3)[1] == {}


def test_a_denied_model_stays_denied_whatever_was_answered() -> None:
    keys = keys_of("a")
    refused(keys, ErrorClass.AUTH)
    hold(keys, now=NOON + 1).answered()
    assert set(keys.left(Lineup.of(BOTH), NOON + 1)[1]) == {SMALL.id}
