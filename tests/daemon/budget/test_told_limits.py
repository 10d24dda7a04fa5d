"""A provider tells what is left of its limits: others are preferred before it refuses anything."""

from __future__ import annotations

from routerd.budget.key import Key, KeyLimits
from routerd.budget.keys import KeyHold, Keys
from routerd.errors import ErrorClass
from routerd.models.lineup import Lineup
from routerd.providers.rate_limits import LimitLeft
from tests.daemon.budget.tiers import deployment

NOW = 1_000_000.0
SMALL = deployment("small")
NONE_LEFT = LimitLeft("requests", "calls", 0, 500, 30.0)


def hold(keys: Keys, tokens: int | None = 10, now: float = NOW) -> KeyHold:
    chosen = keys.choose(SMALL.id, "vendor", tokens, now)
    assert isinstance(chosen, KeyHold)
    return chosen


def two_keys() -> Keys:
    return Keys({"vendor": (KeyLimits("a"), KeyLimits("b"))}, [SMALL])


def headroom_of(keys: Keys, now: float = NOW) -> int | None:
    found, _ = keys.left(Lineup.of([SMALL]), now)
    return found.get(SMALL.id)


def test_another_key_is_preferred_until_the_reset() -> None:
    keys = two_keys()
    first = hold(keys)
    first.hear((NONE_LEFT,), NOW)
    first.settle(10, sent=True)
    assert (first.name, hold(keys).name) == ("a", "b")
    assert keys.is_ready(SMALL.id, "vendor", 10, NOW)
    assert hold(keys, now=NOW + 31).name == "a"


def test_where_no_key_has_anything_left_the_first_that_will_serves() -> None:
    keys = two_keys()
    first, second = hold(keys), hold(keys)
    first.hear((NONE_LEFT,), NOW)
    second.hear((LimitLeft("requests", "calls", 0, 500, 5.0),), NOW)
    assert not keys.is_ready(SMALL.id, "vendor", 10, NOW)
    _, cooling = keys.left(Lineup.of([SMALL]), NOW)
    because = "its provider says that its rate limit is used up"
    assert cooling["vendor"] == (NOW + 5, because, False)
    # It is not refused: the provider may know better by now.
    assert hold(keys).name == "b"


def test_what_a_provider_named_is_waited_for_and_a_guess_is_not() -> None:
    keys = Keys({}, [SMALL])
    asked = (SMALL.id, "vendor", 10, NOW)
    assert keys.named_wait(*asked) == 0.0
    key = hold(keys)
    key.failed(ErrorClass.RATE_LIMIT, None, NOW)
    assert keys.named_wait(*asked) == 0.0
    assert keys.left(Lineup.of([SMALL]), NOW)[1]["vendor"].is_guess
    key.failed(ErrorClass.RATE_LIMIT, 2.0, NOW)
    assert keys.named_wait(*asked) == 2.0
    assert not keys.left(Lineup.of([SMALL]), NOW)[1]["vendor"].is_guess
    assert keys.left(Lineup.of([SMALL]), NOW + 2.5)[1]["vendor"].is_guess
    key.hear((NONE_LEFT,), NOW)
    assert keys.named_wait(*asked) == 30.0
    # With another key there is nothing to wait for.
    other = two_keys()
    hold(other).hear((NONE_LEFT,), NOW)
    assert other.named_wait(*asked) == 0.0


def test_an_answer_to_what_was_asked_since_ends_a_rate_limit() -> None:
    keys = Keys({}, [SMALL])
    asked = (SMALL.id, "vendor", 10, NOW)
    before = hold(keys, now=NOW - 1)
    hold(keys).failed(ErrorClass.RATE_LIMIT, 60.0, NOW)
    before.answered()
    assert keys.named_wait(*asked) == 60.0
    hold(keys, now=NOW + 1).answered()
    assert keys.named_wait(*asked) == 0.0
    assert keys.left(Lineup.of([SMALL]), NOW)[1] == {}
    # Who has no account has none, whatever was answered.
    hold(keys).failed(ErrorClass.QUOTA, None, NOW)
    hold(keys, now=NOW + 1).answered()
    assert "vendor" in keys.left(Lineup.of([SMALL]), NOW)[1]


def test_a_key_that_is_refused_for_good_is_no_guess() -> None:
    keys = Keys({}, [SMALL])
    hold(keys).failed(ErrorClass.AUTH, None, NOW)
    assert not keys.left(Lineup.of([SMALL]), NOW)[1]["vendor"].is_guess


def test_a_later_answer_takes_it_back() -> None:
    keys = two_keys()
    first = hold(keys)
    first.hear((NONE_LEFT,), NOW)
    first.hear((), NOW)
    first.settle(10, sent=True)
    assert hold(keys).name == "a"
    assert headroom_of(keys) is None


def test_a_refusal_outlasts_what_the_answers_say() -> None:
    keys = two_keys()
    first = hold(keys)
    first.failed(ErrorClass.RATE_LIMIT, 60.0, NOW)
    first.hear((), NOW)
    assert hold(keys, now=NOW + 31).name == "b"


def test_what_was_sent_since_is_taken_off() -> None:
    key = Key(0, KeyLimits())
    key.hear((LimitLeft("requests", "calls", 2, 10, 30.0),), NOW)
    assert (key.headroom(NOW), key.ready_at(None, NOW)) == (200, 0.0)
    key.hold(SMALL.id, 10, NOW)
    assert (key.headroom(NOW), key.ready_at(None, NOW)) == (100, 0.0)
    key.hold(SMALL.id, 10, NOW)
    assert (key.headroom(NOW), key.ready_at(None, NOW)) == (0, NOW + 30)
    assert (key.headroom(NOW + 31), key.ready_at(None, NOW + 31)) == (None, 0.0)


def test_few_tokens_are_too_few_for_a_large_request_only() -> None:
    key = Key(0, KeyLimits())
    key.hear((LimitLeft("tokens", "tokens", 900, 10_000, 30.0),), NOW)
    assert key.ready_at(None, NOW, 800) == 0.0
    assert key.ready_at(None, NOW, 1000) == NOW + 30
    # A bound is far above what is used: with more than a tenth left it decides nothing.
    key.hear((LimitLeft("tokens", "tokens", 1100, 10_000, 30.0),), NOW)
    assert key.ready_at(None, NOW, 5000) == 0.0


def test_the_least_headroom_of_all_limits_counts() -> None:
    keys = Keys({"vendor": (KeyLimits(None, calls_a_minute=10),)}, [SMALL])
    first = hold(keys)
    assert headroom_of(keys) == 900
    first.hear(
        (
            LimitLeft("requests", "calls", 200, 500, 30.0),
            LimitLeft("tokens", "tokens", 50, 1000, 30.0),
        ),
        NOW,
    )
    assert headroom_of(keys) == 50
    [row] = keys.report_keys(NOW)
    assert row["headroom"] == 50
    assert row["told"] == [
        {"limit": "requests", "left": 200, "of": 500},
        {"limit": "tokens", "left": 50, "of": 1000},
    ]
    assert row["used_up_until"] is None
    assert headroom_of(keys, NOW + 61) == 1000
