"""What is tripped by hand: by which name, and kept as JSON."""

from __future__ import annotations

import msgspec
import pytest

from routerd.health.trips import Kind, Place, Trip, Trips, UnknownName

PLACES = (
    Place("openai/gpt", "gpt", "openai", "api.openai.com:443"),
    Place("twin/twin", "twin", "twin", "twin:443"),
)


def trips() -> Trips:
    made = Trips()
    made.replace(PLACES)
    return made


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("openai", "provider"),
        ("api.openai.com:443", "endpoint"),
        ("openai/gpt", "deployment"),
        ("gpt", "model"),
    ],
)
def test_a_name_says_what_it_is_of(name: str, kind: Kind) -> None:
    assert trips().kind_of(name) == kind
    assert trips().kind_of(name, kind) == kind


def test_a_name_of_two_things_needs_the_kind() -> None:
    with pytest.raises(UnknownName, match=r"a provider and model: say which with --kind"):
        trips().kind_of("twin")
    assert trips().kind_of("twin", "model") == "model"


def test_a_name_of_nothing_lists_near_matches() -> None:
    with pytest.raises(UnknownName, match=r"called 'opena'; did you mean openai"):
        trips().kind_of("opena")
    with pytest.raises(UnknownName, match=r"no model here is called 'openai'"):
        trips().kind_of("openai", "model")


def test_what_was_tripped_and_is_not_there_any_more_can_be_reset() -> None:
    made = trips()
    made.trip(Trip("model", "old", "", 1.0))
    assert made.kind_of("old") == "model"
    assert made.lift("model", "old")
    assert not made.lift("model", "old")


def test_they_are_read_as_they_were_written() -> None:
    made = trips()
    made.trip(Trip("model", "gpt", "later", 2.0))
    made.trip(Trip("provider", "openai", "first", 1.0))
    other = Trips()
    other.read(made.encoded())
    assert [trip.name for trip in other.all()] == ["openai", "gpt"]
    with pytest.raises(msgspec.DecodeError):
        other.read(b'[{"kind": "everything"}]')
