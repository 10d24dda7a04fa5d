"""Where a day, a month and a rolling window begin and end, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.budget.windows import Window, parse_window, read_zone

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # the clocks change at midnight
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # a day was left out
)
TIMES = st.floats(datetime(2008, 1, 1, tzinfo=UTC).timestamp(), 4_000_000_000)


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=read_zone(zone)).timestamp()


@given(
    TIMES,
    st.sampled_from(ZONES),
    st.sampled_from(["day", "month"]),
    st.sampled_from([0, 1, 90, 17 * 60, 1439]),
)
def test_windows_follow_each_other_without_gap_or_overlap(
    now: float, zone: str, kind: str, begins: int
) -> None:
    window = Window(
        "day" if kind == "day" else "month", read_zone(zone), 0, begins if kind == "day" else 0
    )
    span = window.span(now)
    assert span.start <= now < span.until == span.leaves
    assert window.span(span.start) == window.span(span.until - 0.5) == span
    assert window.span(span.until).start == span.until
    assert window.span(span.start - 0.5).until == span.start
    assert window.earliest(now) == span.start


@given(TIMES, st.sampled_from(["1m", "5m", "1h", "24h", "7d", "30d"]), st.floats(0, 1))
def test_what_happens_counts_for_the_whole_of_a_rolling_window(
    now: float, text: str, share: float
) -> None:
    window = parse_window(text)
    span = window.span(now)
    assert span.start <= now < span.until
    # It never leaves too early, and at most one step too late.
    assert now + window.seconds <= span.leaves <= now + window.seconds + max(1, window.seconds / 60)
    later = now + share * window.seconds
    assert window.earliest(later) <= now


@pytest.mark.parametrize(
    ("text", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-11-21T09:00", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-29T00:00", "2026-03-30T00:00"),
        ("month", "UTC", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("month", "America/New_York", "2026-02-28T23:00", "2026-02-01T00:00", "2026-03-01T00:00"),
    ],
)
def test_the_edges_are_those_of_the_zone(
    text: str, zone: str, now: str, start: str, end: str
) -> None:
    span = parse_window(text, read_zone(zone)).span(moment(now, zone))
    assert (span.start, span.until) == (moment(start, zone), moment(end, zone))


def test_a_day_on_which_the_clocks_change_is_shorter_or_longer() -> None:
    window = parse_window("day", read_zone("Europe/Berlin"))
    hours = {
        date: (span.until - span.start) / 3600
        for date in ("2026-03-28", "2026-03-29", "2026-10-25")
        for span in [window.span(moment(f"{date}T12:00", "Europe/Berlin"))]
    }
    assert hours == {"2026-03-28": 24, "2026-03-29": 23, "2026-10-25": 25}


@pytest.mark.parametrize("text", ["day", "month", "1m", "90m", "1h", "24h", "7d"])
def test_a_window_is_written_as_it_was_read(text: str) -> None:
    assert parse_window(str(parse_window(text))) == parse_window(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_zone_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no known time zone"):
        read_zone(name)
