"""An alert for too many stand-ins: once, until they are few again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Plan, Record
from routerd.health.degraded import DegradedShares
from routerd.settings import Health
from routerd.telemetry.events import DegradedFalling, DegradedRising, Event

LIMITS = Health(degraded_volume=10, degraded_percent=30, degraded_clear_percent=20)


def record(*, degraded: bool, model_class: str | None = "flagship", **more: object) -> Record:
    made = Record(
        decision_id="0" * 32,
        call_id="c",
        received_at_ns=0,
        target="smart",
        stream=True,
        plan=Plan("smart", "shortcut smart", model_class, ()),
        deployment="p/m",
        degraded="class fast in place of smart" if degraded else None,
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.shares = DegradedShares(LIMITS, self.events.append)

    def hear(self, *degraded: bool, now: float = 0.0) -> None:
        for one in degraded:
            self.shares.learn(record(degraded=one), now)


def test_it_is_raised_once_and_cleared_once() -> None:
    told = Told()
    told.hear(*[False] * 7, True, True)
    assert told.events == []  # nine calls say nothing
    told.hear(True)
    assert told.events == [DegradedRising(model_class="flagship", percent=30.0, calls=10)]
    told.hear(True, True, True)
    told.hear(*[False] * 16)  # six of 29: between the two shares
    assert len(told.events) == 1
    told.hear(*[False] * 2)
    assert len(told.events) == 2
    assert isinstance(told.events[1], DegradedFalling)


def test_a_share_between_the_two_changes_nothing() -> None:
    told = Told()
    told.hear(*[False] * 15, *[True] * 5)
    assert told.events == []


def test_calls_that_have_left_the_window_end_it() -> None:
    told = Told()
    told.hear(*[True] * 10)
    told.shares.look(299.0)
    assert len(told.events) == 1
    told.shares.look(300.0)
    assert told.events[1:] == [DegradedFalling(model_class="flagship", percent=0.0)]
    assert told.shares.report(301.0) == []


def test_only_answers_of_providers_count() -> None:
    told = Told()
    for more in (
        {"deployment": ""},
        {"cached": True},
        {"plan": None},
        {"shadow_of": "1" * 32},
    ):
        for _ in range(20):
            told.shares.learn(record(degraded=True, **more), 0.0)
    assert (told.events, told.shares.report(0.0)) == ([], [])


def test_each_class_counts_by_itself_and_a_shortcut_without_one_by_its_name() -> None:
    told = Told()
    for _ in range(10):
        told.shares.learn(record(degraded=True, model_class=None), 0.0)
        told.shares.learn(record(degraded=False), 0.0)
    assert told.events == [DegradedRising(model_class="smart", percent=100.0, calls=10)]
    assert told.shares.report(0.0) == [
        {"class": "smart", "percent": 100.0, "calls": 10, "alert": True}
    ]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0, 20.0, 200.0]))))
def test_alerts_begin_and_end_in_turn(calls: list[tuple[bool, float]]) -> None:
    told, now = Told(), 0.0
    for degraded, later in calls:
        now += later
        told.hear(degraded, now=now)
        told.shares.look(now)
        kinds = [type(event) for event in told.events]
        assert kinds[::2] == [DegradedRising] * len(kinds[::2])
        assert kinds[1::2] == [DegradedFalling] * len(kinds[1::2])
        assert bool(told.shares.alerts) == (len(kinds) % 2 == 1)
