"""What traffic shows of deployments: counters that end at zero, and estimates that expire."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Attempt, Features, Record
from routerd.errors import ErrorClass
from routerd.health.traffic import (
    GONE_SECONDS,
    LATENCY_SECONDS,
    MOST_SESSIONS,
    SESSION_SECONDS,
    Seen,
    Traffic,
)

NOW = 1_800_000_000.0
NAMES = ("p/m", "q/m")


def attempt(name: str = "p/m", milliseconds: int | None = None, **more: Any) -> Attempt:
    """Return an attempt that began 10 ms into its call."""
    first = None if milliseconds is None else 10_000 + milliseconds * 1000
    return Attempt(
        deployment=name,
        model="m",
        provider="p",
        server="s",
        reason="first",
        started_us=10_000,
        first_content_us=first,
        **{"streamed": True} | more,
    )


def record(*attempts: Attempt, session: str | None = None, **more: Any) -> Record:
    known: dict[str, Any] = {"stream": True, "tenant": None, "deployment": "p/m"}
    return Record(
        decision_id="0" * 32,
        call_id="c",
        received_at_ns=0,
        target="t",
        features=Features(1, session=session),
        attempts=list(attempts),
        **known | more,
    )


def seen(traffic: Traffic, now: float = NOW, session: str | None = None, **who: Any) -> Seen:
    named = None if session is None else (who.get("tenant"), who.get("target", "t"), session)
    return traffic.seen(NAMES, named, now)


# --- in flight -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES))))
def test_in_flight_is_what_has_begun_and_not_ended(steps: list[tuple[bool, str]]) -> None:
    traffic, open_ones = Traffic(), Counter[str]()
    for begins, name in steps:
        if begins:
            traffic.begin(name)
            open_ones[name] += 1
        elif open_ones[name]:
            traffic.end(name)
            open_ones[name] -= 1
        assert seen(traffic).in_flight == {key: n for key, n in open_ones.items() if n}
    for name in open_ones.elements():
        traffic.end(name)
    assert seen(traffic).in_flight == {}


def test_what_never_began_does_not_end() -> None:
    traffic = Traffic()
    with pytest.raises(KeyError):
        traffic.end("p/m")
    traffic.begin("p/m")
    traffic.end("p/m")
    with pytest.raises(KeyError):
        traffic.end("p/m")
    assert seen(traffic).in_flight == {}


# --- latency -------------------------------------------------------------------------------------


def test_the_first_measurement_is_the_estimate_and_later_ones_move_it() -> None:
    traffic = Traffic()
    traffic.learn(record(attempt(milliseconds=100)), NOW)
    assert seen(traffic).latency_ms == {"p/m": 100}
    traffic.learn(record(attempt(milliseconds=200)), NOW)
    assert seen(traffic).latency_ms == {"p/m": 120}


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=30))
def test_an_estimate_lies_between_what_was_measured(measured: list[int]) -> None:
    traffic = Traffic()
    for number, milliseconds in enumerate(measured):
        traffic.learn(record(attempt(milliseconds=milliseconds)), NOW + number)
    estimate = seen(traffic, NOW + len(measured)).latency_ms["p/m"]
    assert min(measured) <= estimate <= max(measured)


def test_an_estimate_expires_and_does_not_weigh_on_the_next() -> None:
    traffic = Traffic()
    traffic.learn(record(attempt(milliseconds=9_000)), NOW)
    assert seen(traffic, NOW + LATENCY_SECONDS - 1).latency_ms == {"p/m": 9_000}
    late = NOW + LATENCY_SECONDS
    assert seen(traffic, late).latency_ms == {}
    traffic.learn(record(attempt(milliseconds=100)), late)
    assert seen(traffic, late).latency_ms == {"p/m": 100}


@pytest.mark.parametrize(
    "learned", [record(attempt(milliseconds=100, streamed=False)), record(attempt()), record()]
)
def test_what_says_nothing_of_the_time_to_the_first_content(learned: Record) -> None:
    traffic = Traffic()
    traffic.learn(learned, NOW)
    assert seen(traffic).latency_ms == {}


def test_every_attempt_of_a_call_counts_for_its_own_deployment() -> None:
    traffic = Traffic()
    traffic.learn(record(attempt(milliseconds=100), attempt("q/m", 300)), NOW)
    traffic.learn(record(attempt("r/m", 1)), NOW)
    # Only what was asked about is told.
    assert seen(traffic).latency_ms == {"p/m": 100, "q/m": 300}


# --- gone ----------------------------------------------------------------------------------------


def gone(name: str = "p/m") -> Attempt:
    return attempt(name, error_class=ErrorClass.NOT_FOUND, status=404, error_code="model_not_found")


def test_what_its_provider_does_not_have_is_gone_for_a_while() -> None:
    traffic = Traffic()
    traffic.learn(record(gone(), attempt("q/m", 5)), NOW)
    told = {"p/m": "its provider does not have it: 404 model_not_found"}
    assert seen(traffic, NOW + GONE_SECONDS - 1).gone == told
    assert seen(traffic, NOW + GONE_SECONDS).gone == {}


def test_another_fault_is_not_gone() -> None:
    traffic = Traffic()
    traffic.learn(record(attempt(error_class=ErrorClass.RATE_LIMIT, status=429)), NOW)
    assert seen(traffic).gone == {}


def test_an_answer_says_that_it_is_back() -> None:
    traffic = Traffic()
    traffic.learn(record(gone()), NOW)
    traffic.learn(record(attempt(milliseconds=5)), NOW + 1)
    assert seen(traffic, NOW + 2).gone == {}


# --- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_session_is_where_it_was_answered_last(*, stream: bool) -> None:
    """Also where nothing else is known yet: an answer that is not streamed shows no latency."""
    traffic = Traffic()
    traffic.learn(record(attempt(milliseconds=5, streamed=stream), session="s"), NOW)
    assert seen(traffic, session="s").session_on == "p/m"
    traffic.learn(record(attempt("q/m", 5), session="s", deployment="q/m"), NOW)
    assert seen(traffic, session="s").session_on == "q/m"
    assert seen(traffic, session="other").session_on is None
    assert seen(traffic).session_on is None


def test_sessions_of_two_tenants_may_be_called_alike() -> None:
    traffic = Traffic()
    traffic.learn(record(session="s", tenant="acme"), NOW)
    assert seen(traffic, session="s", tenant="acme").session_on == "p/m"
    assert seen(traffic, session="s", tenant="beta").session_on is None
    assert seen(traffic, session="s").session_on is None


@pytest.mark.parametrize("learned", [{"deployment": ""}, {"cached": True}])
def test_a_call_that_nobody_answered_moves_no_session(learned: dict[str, Any]) -> None:
    traffic = Traffic()
    traffic.learn(record(attempt(milliseconds=5), session="s", **learned), NOW)
    assert seen(traffic, session="s").session_on is None


def test_a_session_expires() -> None:
    traffic = Traffic()
    traffic.learn(record(session="s"), NOW)
    assert seen(traffic, NOW + SESSION_SECONDS - 1, "s").session_on == "p/m"
    assert seen(traffic, NOW + SESSION_SECONDS, "s").session_on is None


def test_sessions_are_bounded_and_those_unused_longest_go_first() -> None:
    traffic = Traffic()
    for number in range(MOST_SESSIONS):
        traffic.learn(record(session=f"s{number}"), NOW)
    traffic.learn(record(session="s0"), NOW)
    traffic.learn(record(session="one more"), NOW)
    for name, place in (("s0", "p/m"), ("s1", None), ("s2", "p/m"), ("one more", "p/m")):
        assert seen(traffic, session=name).session_on == place


def test_of_nothing_nothing_is_seen() -> None:
    assert seen(Traffic(), session="s") == Seen()
