"""How a provider is, in the words of `routerd status`."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.cli.health_state import health_text

HEALTH = [
    {"provider": "west", "endpoint": "a:443", "state": "passing"},
    {"provider": "west", "endpoint": "b:443", "state": "backing_off"},
    {"provider": "east", "endpoint": "c:443", "state": "passing"},
    {"provider": "north", "endpoint": "d:443", "state": "tripped"},
]


def report(*trips: tuple[str, str]) -> dict[str, Any]:
    return {
        "health": HEALTH,
        "trips": [{"kind": kind, "name": name} for kind, name in trips],
    }


@pytest.mark.parametrize(
    ("provider", "text"),
    [("east", "passing"), ("north", "tripped"), ("west", "1 of 2 passing"), ("south", "-")],
)
def test_a_provider_is_as_its_endpoints_are(provider: str, text: str) -> None:
    assert health_text(report(), provider) == text


@pytest.mark.parametrize("trip", [("provider", "east"), ("endpoint", "c:443")])
def test_who_was_tripped_by_hand_is_not_said_to_pass(trip: tuple[str, str]) -> None:
    assert health_text(report(trip), "east") == "tripped by hand"
    assert health_text(report(trip), "north") == "tripped"


def test_one_endpoint_of_two_may_be_tripped_by_hand() -> None:
    assert health_text(report(("endpoint", "a:443")), "west") == "0 of 2 passing"


def test_a_deployment_or_model_is_not_its_provider() -> None:
    assert health_text(report(("deployment", "east/m"), ("model", "m")), "east") == "passing"
