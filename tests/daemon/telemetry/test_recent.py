"""The last so many numbers, and their percentiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.telemetry.recent import Recent


def test_of_none_there_is_nothing_to_say() -> None:
    nothing = {"count": 0, "p50_us": None, "p99_us": None, "max_us": None}
    assert Recent(3).report() == nothing


@pytest.mark.parametrize(
    ("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (101, 51, 100), (1000, 500, 990)]
)
def test_a_percentile_is_the_least_that_so_many_are_not_above(
    count: int, p50: int, p99: int
) -> None:
    recent = Recent(1000)
    for number in range(count, 0, -1):
        recent.add(number)
    assert recent.report() == {"count": count, "p50_us": p50, "p99_us": p99, "max_us": count}


@given(st.lists(st.integers(0, 2**62)), st.integers(1, 20))
def test_only_the_last_ones_count(numbers: list[int], size: int) -> None:
    recent = Recent(size)
    for number in numbers:
        recent.add(number)
    report, last = recent.report(), sorted(numbers[-size:])
    assert report["count"] == len(last)
    assert report["max_us"] == (last[-1] if last else None)
    for name, percent in (("p50_us", 50), ("p99_us", 99)):
        found = report[name]
        if found is None:
            assert not last
            continue
        assert found in last
        assert sum(number <= found for number in last) * 100 >= len(last) * percent
        assert sum(number < found for number in last) * 100 < len(last) * percent
