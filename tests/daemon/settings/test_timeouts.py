"""Which limits hold for a call, by how long its caller would wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.settings import BatchTimeouts, InteractiveTimeouts, Timeouts, timeouts_for

BASE = Timeouts()
NOTHING = InteractiveTimeouts(), BatchTimeouts()


def test_without_a_target_the_base_holds() -> None:
    interactive = InteractiveTimeouts(headers=1.0)
    assert timeouts_for(BASE, interactive, BatchTimeouts(headers=9.0), None) is BASE


def test_who_waits_is_spared_the_longest_waits() -> None:
    made = timeouts_for(BASE, *NOTHING, "interactive")
    assert made == structs.replace(
        BASE, connect=3, headers=15, first_content=15, thinking=120, between_parts=30
    )


def test_who_shortens_the_base_shortens_all() -> None:
    short = Timeouts(headers=1.0, first_content=2.0)
    assert timeouts_for(short, *NOTHING, "interactive").first_content == 2.0
    assert timeouts_for(short, *NOTHING, "batch").first_content == 4.0


def test_a_batch_call_waits_twice_as_long_and_no_longer_in_all() -> None:
    made = timeouts_for(BASE, *NOTHING, "batch")
    assert made == structs.replace(
        BASE, headers=60, first_content=240, thinking=600, between_parts=90, whole_answer=600
    )


@pytest.mark.parametrize(("latency", "seconds"), [(100, 1.0), (2_000, 6.0), (60_000, 15.0)])
def test_milliseconds_bound_the_first_content(latency: int, seconds: float) -> None:
    made = timeouts_for(BASE, *NOTHING, latency)
    assert made.first_content == seconds
    assert made == structs.replace(
        timeouts_for(BASE, *NOTHING, "interactive"), first_content=seconds
    )


@pytest.mark.parametrize("name", InteractiveTimeouts.__struct_fields__)
def test_every_limit_of_a_target_can_be_set(name: str) -> None:
    # Above everything that follows from the base.
    interactive = structs.replace(InteractiveTimeouts(), **{name: 999.0})
    batch = structs.replace(BatchTimeouts(), **{name: 998.0})
    assert getattr(timeouts_for(BASE, interactive, batch, "interactive"), name) == 999.0
    assert getattr(timeouts_for(BASE, interactive, batch, "batch"), name) == 998.0


@given(st.sampled_from(Timeouts.__struct_fields__), st.floats(0.01, 1000))
def test_nobody_who_waits_waits_longer_than_others(name: str, value: float) -> None:
    base = structs.replace(BASE, **{name: value})
    made = timeouts_for(base, *NOTHING, "interactive")
    assert all(getattr(made, field) <= getattr(base, field) for field in base.__struct_fields__)
