"""When a provider is left alone, and how it comes back: as a machine, and by example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import structs

from routerd.domain import Attempt
from routerd.errors import ErrorClass, Failure
from routerd.health.breakers import FAULTS, NOTHING, Breakers
from routerd.health.trips import Place, Trip
from routerd.settings import Health
from routerd.telemetry.events import Event, event_name
from tests.daemon.decide.known import deployment as known_deployment
from tests.daemon.decide.known import directory, model, provider

LIMITS = Health(
    failures_in_a_row=3, failure_percent=50, failure_volume=10, window_seconds=60, retest_seconds=10
)
PLACES = (
    Place("a/m", "m", "a", "eu.a:443"),
    Place("a/n", "n", "a", "eu.a:443"),
    Place("b/m", "m", "b", "b:443"),
)
TWO_REGIONS = (Place("a/m", "m", "a", "eu.a:443"), Place("a/us", "m", "a", "us.a:443"))
KNOWN = directory(
    [provider("a"), provider("b")],
    [model("m"), model("n")],
    [known_deployment("a", "m"), known_deployment("a", "n"), known_deployment("b", "m")],
)
ALL = tuple(KNOWN.deployments.values())


def attempt(place: Place, error_class: str | None = None) -> Attempt:
    return Attempt(
        deployment=place.deployment,
        model=place.model,
        provider=place.provider,
        server=place.server,
        reason="first",
        started_us=0,
        error_class=error_class,
    )


def failure(error_class: ErrorClass, **more: Any) -> Failure:
    return Failure(error_class, "words of the provider", **more)


class House:
    """Breakers, what they told, and a clock."""

    def __init__(self, places: Iterable[Place] = PLACES, limits: Health = LIMITS) -> None:
        self.told: list[Event] = []
        self.tests = 0
        self.now = 1000.0
        self.breakers = Breakers(limits, self.told.append)
        self.breakers.replace(places, limits)
        self.breakers.on_trip = self.note_test

    def note_test(self) -> None:
        self.tests += 1

    def fail(self, place: Place, kind: ErrorClass = ErrorClass.SERVER_ERROR, **more: Any) -> None:
        self.end(place, failure(kind, **more))

    def end(
        self, place: Place, failed: Failure | None = None, began_at: float | None = None
    ) -> None:
        ended = attempt(place, None if failed is None else str(failed.error_class))
        self.breakers.begin(ended, self.now if began_at is None else began_at)
        self.breakers.end(ended, failed, self.now if began_at is None else began_at, self.now)

    def names(self) -> list[str]:
        return [event_name(event) for event in self.told]

    def avoided(self) -> dict[str, str]:
        return self.breakers.unwell(ALL, self.now).why

    def state(self, server: str = "eu.a:443") -> str:
        rows = self.breakers.report(self.now)
        return str(next(row["state"] for row in rows if row["endpoint"] == server))


A, AN, B = PLACES


# --- by example ----------------------------------------------------------------------------------


def test_nothing_is_known_of_anybody_at_first() -> None:
    house = House()
    assert house.breakers.unwell(ALL, house.now) is NOTHING
    assert house.breakers.refuses("a/m", house.now, forced=False) is None
    assert house.breakers.next_due() is None


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_three_failures_in_a_row_trip_a_provider_for_all_its_models(kind: ErrorClass) -> None:
    house = House()
    house.fail(A, kind)
    house.fail(AN, kind)
    house.now += 120  # a back-off is over, two failures are not forgotten
    assert house.avoided() == {}
    house.fail(A, kind, status=500, phase="headers")
    because = f"3 failures in a row, the last: {kind} 500 in phase headers"
    assert house.avoided() == {"a": because}
    assert house.breakers.refuses("a/n", house.now, forced=False) == because
    assert house.breakers.refuses("a/n", house.now, forced=True) is None
    assert house.breakers.refuses("b/m", house.now, forced=False) is None
    assert (house.names(), house.tests) == (["provider_tripped"], 2)


@pytest.mark.parametrize("kind", sorted(set(ErrorClass) - FAULTS))
def test_what_is_the_callers_or_a_keys_doing_never_counts(kind: ErrorClass) -> None:
    house = House()
    for _ in range(100):
        house.fail(A, kind, retry_after=100.0)
    assert (house.avoided(), house.names(), house.state()) == ({}, [], "passing")


def test_a_callers_own_hurry_is_nobodys_fault() -> None:
    house = House()
    for _ in range(10):
        house.fail(A, ErrorClass.TIMEOUT, phase="deadline", is_evidence=False)
    assert house.avoided() == {}


def test_an_answer_between_failures_begins_the_row_anew() -> None:
    house = House()
    for _ in range(3):
        house.fail(A)
        house.fail(A)
        house.end(A)
    assert house.avoided() == {}


def test_a_share_of_failures_trips_though_some_answer() -> None:
    house = House()
    for _ in range(4):
        house.fail(A)
        house.end(A)
    assert house.names() == []
    house.fail(A)
    house.fail(A)  # ten of them, six failed
    assert house.avoided() == {"a": "6 of 10 requests failed, the last: server_error"}
    assert house.names() == ["provider_tripped"]


def test_old_failures_are_no_share() -> None:
    house = House()
    for _ in range(20):
        house.fail(A)
        house.end(A)
        house.now += 20
    assert house.names() == []


def test_an_overloaded_provider_is_avoided_for_a_moment_and_not_refused() -> None:
    house = House()
    house.fail(A, ErrorClass.OVERLOADED)
    assert house.avoided() == {"a": "it is overloaded and backs off"}
    assert house.state() == "backing_off"
    assert house.breakers.refuses("a/m", house.now, forced=False) is None  # its second attempt goes
    house.now += 1.01
    assert house.avoided() == {}


def test_a_provider_that_names_a_time_is_avoided_until_then() -> None:
    house = House()
    house.fail(A, ErrorClass.OVERLOADED, retry_after=30.0)
    house.now += 29
    assert house.breakers.unwell(ALL, house.now).seconds == {"a": 1.0}
    house.now += 1.01
    assert house.avoided() == {}


def last_resorts(house: House) -> tuple[str, ...]:
    return house.breakers.unwell(ALL, house.now).last_resorts


def test_who_named_no_time_may_be_a_last_resort() -> None:
    house = House()
    house.fail(A, ErrorClass.OVERLOADED, retry_after=1.5)
    assert last_resorts(house) == ()
    assert house.breakers.named_wait("a/m", house.now) == 1.5
    house.fail(A, ErrorClass.OVERLOADED)
    assert last_resorts(house) == ()
    # Its own reckoning reaches further, and what the provider named is over.
    house.now += 1.6
    assert last_resorts(house) == ("a",)
    assert house.breakers.named_wait("a/m", house.now) == 0.0
    house.fail(A, ErrorClass.OVERLOADED)
    assert house.state() == "tripped"
    assert last_resorts(house) == ()


def test_of_two_regions_only_the_one_that_backs_off_is_a_last_resort() -> None:
    known = directory(
        [provider("a")],
        [model("m"), model("us")],
        [known_deployment("a", "m"), known_deployment("a", "us")],
    )
    house = House(TWO_REGIONS)
    for _ in range(3):
        house.fail(TWO_REGIONS[0])
    house.fail(TWO_REGIONS[1], ErrorClass.OVERLOADED)
    unwell = house.breakers.unwell(known.deployments.values(), house.now)
    assert set(unwell.why) == {"a/m", "a/us"}
    assert unwell.last_resorts == ("a/us",)


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 10.0), (4.0, 4.0)])
def test_a_limit_behind_the_provider_rests_one_deployment(
    retry_after: float | None, seconds: float
) -> None:
    """An aggregator's upstream is busy: its key and its other models are not."""
    house = House()
    house.fail(A, ErrorClass.RATE_LIMIT, is_of_key=False, retry_after=retry_after)
    assert house.state() == "passing"
    unwell = house.breakers.unwell(ALL, house.now)
    assert unwell.seconds == {"a/m": seconds}
    assert unwell.last_resorts == (() if retry_after else ("a/m",))
    assert house.breakers.named_wait("a/m", house.now) == (retry_after or 0.0)
    house.now += seconds
    assert house.breakers.unwell(ALL, house.now) is NOTHING
    house.fail(A, ErrorClass.RATE_LIMIT, is_of_key=False)
    house.breakers.reset([A])
    assert house.breakers.unwell(ALL, house.now) is NOTHING


def trip(house: House, place: Place = A, **more: Any) -> None:
    for _ in range(3):
        house.fail(place, **more)
    assert house.state(place.server) == "tripped"


def test_it_is_tested_after_ten_seconds_and_closed_by_an_answer_alone() -> None:
    house = House()
    trip(house)
    assert house.breakers.next_due() == house.now + 10
    assert house.breakers.begin_tests(house.now + 9.9) == []
    house.now += 10
    assert house.breakers.begin_tests(house.now) == [("a", "eu.a:443")]
    house.breakers.tested(("a", "eu.a:443"), answers=True)
    assert (house.state(), house.avoided(), house.breakers.begin_tests(house.now)) == (
        "probing",
        {},
        [],
    )
    house.breakers.begin(attempt(A), house.now)
    # One call tries it; the others go elsewhere meanwhile.
    assert set(house.avoided()) == {"a"}
    assert house.breakers.refuses("a/m", house.now, forced=False) is not None
    house.breakers.end(attempt(A), None, house.now, house.now + 1)
    house.now += 1
    assert (house.state(), house.avoided()) == ("passing", {})
    assert house.names() == ["provider_tripped", "provider_recovered"]


def test_a_test_that_fails_and_a_trial_that_fails_wait_again() -> None:
    house = House()
    trip(house)
    house.now += 10
    assert house.breakers.begin_tests(house.now) == [("a", "eu.a:443")]
    house.now += 4
    house.breakers.tested(("a", "eu.a:443"), answers=False)
    # From one test's beginning to the next one's.
    assert house.breakers.next_due() == house.now + 6
    house.now += 6
    house.breakers.tested(("a", "eu.a:443"), answers=True)
    house.fail(A)
    assert (house.state(), house.breakers.next_due()) == ("tripped", house.now + 10)
    assert house.names() == ["provider_tripped"]  # it is still the same outage


@pytest.mark.parametrize("kind", [ErrorClass.BAD_REQUEST, ErrorClass.CANCELLED])
def test_a_trial_that_shows_nothing_leaves_it_to_the_next_call(kind: ErrorClass) -> None:
    house = House()
    trip(house)
    house.now += 10
    house.breakers.tested(("a", "eu.a:443"), answers=True)
    house.fail(A, kind)
    assert (house.state(), house.avoided()) == ("probing", {})


def test_a_trial_that_does_not_end_keeps_the_next_one_ten_seconds() -> None:
    house = House()
    trip(house)
    house.now += 10
    house.breakers.tested(("a", "eu.a:443"), answers=True)
    house.breakers.begin(attempt(A), house.now)
    house.now += 9
    assert set(house.avoided()) == {"a"}
    house.now += 1
    assert house.avoided() == {}


def test_of_two_times_the_later_holds() -> None:
    house = House()
    trip(house, kind=ErrorClass.OVERLOADED, retry_after=60.0)
    assert house.breakers.next_due() == house.now + 60
    house.end(A, failure(ErrorClass.OVERLOADED, retry_after=5.0), began_at=house.now - 1)
    assert house.breakers.next_due() == house.now + 60
    house.end(A, failure(ErrorClass.OVERLOADED, retry_after=90.0), began_at=house.now - 1)
    assert house.breakers.next_due() == house.now + 90


def test_its_own_reckoning_never_keeps_a_test_waiting() -> None:
    limits = structs.replace(LIMITS, failures_in_a_row=5, failure_volume=100)
    house = House(limits=limits)
    for _ in range(5):
        house.fail(A, ErrorClass.OVERLOADED)
    assert house.state() == "tripped"
    assert house.breakers.next_due() == house.now + 10


def test_an_answer_to_what_was_asked_before_takes_no_named_time_back() -> None:
    house = House()
    before = house.now
    house.now += 5
    house.fail(A, ErrorClass.OVERLOADED, retry_after=60.0)
    house.now += 1
    house.end(A, began_at=before)
    assert set(house.avoided()) == {"a"}
    assert house.breakers.named_wait("a/m", house.now) == 59.0
    house.end(A)
    assert house.avoided() == {}


def test_what_began_before_it_recovered_does_not_trip_it_again() -> None:
    house = House()
    before = house.now
    trip(house)
    house.now += 10
    house.breakers.tested(("a", "eu.a:443"), answers=True)
    house.end(A)
    for _ in range(20):
        house.end(A, failure(ErrorClass.TIMEOUT), began_at=before)
    assert (house.state(), house.avoided()) == ("passing", {})
    trip(house)


def hurry(house: House, began_at: float | None = None) -> None:
    hasty = failure(ErrorClass.TIMEOUT, is_evidence=False, is_hint=True)
    house.end(A, hasty, began_at=began_at)


def test_a_row_of_hasty_callers_who_heard_nothing_trips_it_in_the_end() -> None:
    house = House()
    for _ in range(8):
        hurry(house)
    assert house.state() == "passing"
    house.end(A)  # one answer, and they were only in a hurry
    for _ in range(8):
        hurry(house)
    assert house.state() == "passing"
    hurry(house)
    assert house.state() == "tripped"


def test_one_request_in_ten_seconds_goes_to_who_asked_for_none() -> None:
    house = House()
    assert house.breakers.may_force("a/m", house.now)
    house.now += 9.9
    assert not house.breakers.may_force("a/m", house.now)
    assert not house.breakers.may_force("a/n", house.now)  # the same address
    assert house.breakers.may_force("b/m", house.now)
    house.now += 0.2
    assert house.breakers.may_force("a/n", house.now)


def test_an_answer_to_what_was_asked_before_closes_nothing() -> None:
    house = House()
    before = house.now
    house.now += 5
    trip(house)
    house.end(A, began_at=before)
    assert house.state() == "tripped"


def test_the_last_resort_that_answers_closes_it() -> None:
    house = House()
    trip(house)
    house.now += 2
    house.end(A)
    assert (house.state(), house.names()[-1]) == ("passing", "provider_recovered")


def test_one_region_of_two_is_left_alone_by_itself() -> None:
    house = House(TWO_REGIONS)
    europe, america = TWO_REGIONS
    trip(house, europe)
    assert house.names() == ["endpoint_tripped"]
    candidates = [structs.replace(ALL[0], id=place.deployment) for place in TWO_REGIONS]
    assert set(house.breakers.unwell(candidates, house.now).why) == {"a/m"}
    trip(house, america)
    assert house.names() == ["endpoint_tripped", "provider_tripped"]
    assert set(house.breakers.unwell(candidates, house.now).why) == {"a"}
    house.end(europe)
    assert house.names()[-1] == "provider_recovered"
    house.end(america)
    assert house.names()[-1] == "endpoint_recovered"


# --- probes --------------------------------------------------------------------------------------


def probe(house: House, *, answers: bool) -> None:
    house.now += 60
    house.breakers.probed(("a", "eu.a:443"), house.now, answers=answers, every_seconds=60)


def test_three_probes_in_a_row_trip_what_nobody_uses() -> None:
    house = House()
    probe(house, answers=False)
    probe(house, answers=False)
    probe(house, answers=True)
    for _ in range(3):
        assert house.avoided() == {}
        probe(house, answers=False)
    assert house.avoided() == {"a": "3 probes in a row failed, and nothing else is sent"}


def test_a_probe_never_overrides_what_calls_show() -> None:
    house = House()
    for _ in range(10):
        probe(house, answers=False)
        house.now += 30
        house.end(A)
        house.now -= 30
    assert house.avoided() == {}
    house.fail(A)
    house.fail(A)
    probe(house, answers=True)
    house.fail(A)
    assert house.state() == "tripped"


# --- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "avoided"),
    [
        ("provider", "a", {"a"}),
        ("endpoint", "eu.a:443", {"a/m", "a/n"}),
        ("deployment", "a/n", {"a/n"}),
        ("model", "m", {"a/m", "b/m"}),
    ],
)
def test_what_is_tripped_by_hand_is_not_even_the_last_resort(
    kind: Any, name: str, avoided: set[str]
) -> None:
    house = House()
    trips = house.breakers.trips
    assert trips.kind_of(name) == kind
    trips.trip(Trip(kind, name, "incident", 1.0))
    unwell = house.breakers.unwell(ALL, house.now)
    assert set(unwell.why) == avoided
    assert unwell.seconds == {}
    for place in PLACES:
        is_tripped = bool({place.provider, place.deployment} & avoided)
        why = house.breakers.refuses(place.deployment, house.now, forced=True)
        assert why == (f"{kind} tripped by hand: incident" if is_tripped else None)
    trips.lift(kind, name)
    assert house.breakers.unwell(ALL, house.now) is NOTHING


def test_a_reset_forgets_what_was_seen() -> None:
    house = House()
    trip(house)
    house.breakers.reset([A])
    assert (house.avoided(), house.state(), house.breakers.next_due()) == ({}, "passing", None)
    house.fail(A)
    house.fail(A)
    assert house.avoided() == {}


def test_a_reload_keeps_what_is_known_of_an_address() -> None:
    house = House()
    trip(house)
    house.breakers.replace([*PLACES[1:], Place("c/m", "m", "c", "c:443")], LIMITS)
    assert house.state() == "tripped"
    house.breakers.replace([Place("a/m", "m", "a", "new.a:443")], LIMITS)
    assert house.avoided() == {}
    assert house.breakers.begin_tests(house.now + 100) == []


# --- as a machine --------------------------------------------------------------------------------

ENDS = st.sampled_from(
    [
        None,
        ErrorClass.SERVER_ERROR,
        ErrorClass.OVERLOADED,
        ErrorClass.TIMEOUT,
        ErrorClass.CANCELLED,
        ErrorClass.BAD_REQUEST,
        ErrorClass.CONTENT_POLICY,
    ]
)


class BreakerMachine(RuleBasedStateMachine):
    """Calls that come when they may, tests that are made when they are due."""

    @initialize()
    def begin(self) -> None:
        self.house = House()
        self.running: list[tuple[Attempt, float]] = []
        self.began_trial_at: float | None = None
        self.named_until = 0.0
        # What still holds of it, as long as no answer to a later request came.
        self.holds_until = 0.0
        self.failed_at = self.passed_at = 0.0
        self.last_state = "passing"
        self.last_until = 0.0

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.house.now += seconds

    @rule()
    def send(self) -> None:
        house = self.house
        if house.breakers.refuses("a/m", house.now, forced=False) is not None:
            assert house.state() in ("tripped", "probing")
            return
        if house.state() == "probing":
            # Never two trials within the time that one is given.
            last = self.began_trial_at
            assert last is None or house.now - last >= LIMITS.retest_seconds
            self.began_trial_at = house.now
        one = attempt(A)
        house.breakers.begin(one, house.now)
        self.running.append((one, house.now))

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        kind=ENDS,
        retry_after=st.sampled_from([None, None, 2.0, 25.0]),
    )
    def end(self, data: st.DataObject, kind: ErrorClass | None, retry_after: float | None) -> None:
        house = self.house
        index = data.draw(st.integers(0, len(self.running) - 1))
        one, began_at = self.running.pop(index)
        before, since = house.state(), self.since()
        failed = None
        if kind is not None:
            failed = failure(kind, retry_after=retry_after if kind in FAULTS else None)
            one.error_class = str(kind)
        house.breakers.end(one, failed, began_at, house.now)
        after = house.state()
        if kind in FAULTS:
            self.note_failure(before, began_at, retry_after)
        elif kind is None:
            self.note_answer(before, began_at)
        if kind is not None and kind not in FAULTS:
            assert after == before  # it showed nothing
        if before in ("tripped", "probing") and after in ("passing", "backing_off"):
            assert kind is None
            assert began_at >= since
        if before == "probing" and (after != "probing" or kind not in (None, *FAULTS)):
            self.began_trial_at = None

    def note_failure(self, before: str, began_at: float, retry_after: float | None) -> None:
        if before in ("passing", "backing_off") and began_at < self.passed_at:
            assert self.house.state() == before  # it belongs to the bad time before
            return
        self.failed_at = self.house.now
        if retry_after is not None:
            self.named_until = max(self.named_until, self.house.now + retry_after)
            self.holds_until = max(self.holds_until, self.house.now + retry_after)

    def note_answer(self, before: str, began_at: float) -> None:
        if before in ("tripped", "probing"):
            if self.house.state() == "passing":
                self.passed_at, self.holds_until = self.house.now, 0.0
        elif began_at >= self.failed_at:
            self.holds_until = 0.0

    @rule(answers=st.booleans())
    def test_what_is_due(self, answers: bool) -> None:
        house = self.house
        for server in house.breakers.begin_tests(house.now):
            house.breakers.tested(server, answers=answers)
            assert house.state() == ("probing" if answers else "tripped")
            if answers:
                self.began_trial_at = None

    def since(self) -> float:
        return self.house.breakers._endpoints["a", "eu.a:443"].since

    @invariant()
    def a_test_is_never_further_off_than_named(self) -> None:
        if not hasattr(self, "house"):
            return
        due, state = self.house.breakers.next_due(), self.house.state()
        assert (due is not None) == (state == "tripped")
        if due is not None:
            latest = max(self.house.now + LIMITS.retest_seconds, self.named_until)
            assert due <= latest
            if self.last_state == "tripped":
                assert due >= self.last_until  # of two times the later holds
        self.last_state, self.last_until = state, due or 0.0

    @invariant()
    def what_is_avoided_says_why(self) -> None:
        if not hasattr(self, "house"):
            return
        unwell = self.house.breakers.unwell(ALL, self.house.now)
        assert set(unwell.why) == set(unwell.seconds) <= {"a"}
        assert all(unwell.why.values())
        if self.house.now < self.holds_until and self.house.state() != "probing":
            assert "a" in unwell.why
        if self.house.state() == "tripped":
            assert "a" in unwell.why

    def teardown(self) -> None:
        """Whatever happened, one that is well again has its calls back within thirty seconds."""
        if not hasattr(self, "house"):
            return
        house = self.house
        house.now = max(house.now, self.named_until)
        end = house.now + 30
        while house.state() != "passing" and house.now <= end:
            for server in house.breakers.begin_tests(house.now):
                house.breakers.tested(server, answers=True)
            if house.breakers.refuses("a/m", house.now, forced=False) is None:
                house.end(A)
            house.now += 1
        assert house.state() == "passing"


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = hypothesis_settings(max_examples=150, stateful_step_count=40)
