"""Another model, version or fingerprint behind a pinned id is told once for each."""

from __future__ import annotations

from typing import Any

from routerd.domain import Record
from routerd.health.answering import MOST_NAMES, Answering
from routerd.telemetry.events import Event, OtherModelAnswered
from tests.daemon.health.test_traffic import attempt, record


def of(model: str | None, fingerprint: str | None = None, **more: Any) -> Record:
    return record(attempt(answered_model=model, fingerprint=fingerprint, **more))


def told_of(*records: Record) -> list[tuple[str, str]]:
    events: list[Event] = []
    answering = Answering(events.append)
    for one in records:
        answering.learn(one)
    return [
        (event.before, event.answered) for event in events if isinstance(event, OtherModelAnswered)
    ]


def test_who_answers_first_is_no_news() -> None:
    assert told_of(of("m-2026-01-01"), of("m-2026-01-01")) == []


def test_who_was_not_asked_for_is_told_at_once() -> None:
    note = "another model answered: x-9, asked for was m"
    assert told_of(of("x-9", notes=[note])) == [("m", "x-9")]


def test_another_version_is_told_once() -> None:
    first, second = of("m-2026-01-01"), of("m-2026-02-02")
    assert told_of(first, second, second, first, second) == [("m-2026-01-01", "m-2026-02-02")]


def test_another_fingerprint_is_told_once() -> None:
    told = told_of(of("m", "fp_1"), of("m", "fp_2"), of("m", "fp_1"), of("m", "fp_2"))
    assert told == [("m (fp_1)", "m (fp_2)")]


def test_a_failed_answer_and_one_without_a_name_say_nothing() -> None:
    assert told_of(of("m"), of("x", error_class="server_error"), of(None)) == []


def test_who_makes_up_a_name_for_every_answer_is_told_of_so_often_and_no_more() -> None:
    assert len(told_of(*(of("m", f"fp_{number}") for number in range(100)))) == MOST_NAMES - 1


def test_the_names_are_told_the_latest_last() -> None:
    answering = Answering()
    for name in ("m-1", "m-2", "m-1"):
        answering.learn(of(name))
    assert answering.report() == {"p/m": ["m-2", "m-1"]}
