"""What a name promised about its text holds for whatever takes its place."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from routerd.domain import Caller, Features
from routerd.models.directory import Directory
from routerd.models.schema import ByComplexity, ModelClass, Shortcut
from routerd.settings import Arm, Experiment, PolicySettings, Rule
from tests.daemon.decide.known import (
    NOW,
    PLAIN,
    book,
    deployment,
    directory,
    model,
    plan_for,
    provider,
    reasons,
    route_ids,
)

ACME = Caller("acme")


def known() -> Directory:
    """A server on this machine and a vendor; `private` and `near` keep their text here."""
    return directory(
        [provider("here", "machine"), provider("v")],
        [model("local"), model("far")],
        [deployment("here", "local"), deployment("v", "far")],
        [
            ModelClass(name="fast", description="", candidates=("far",), degraded="own"),
            ModelClass(name="own", description="", candidates=("local",), degraded="fail"),
        ],
        [
            Shortcut(name="smart", description="", model_class="fast"),
            Shortcut(name="private", description="", model_class="own", boundary="machine"),
            Shortcut(
                name="near",
                description="",
                by_complexity=ByComplexity(simple="smart", medium="smart", complex="smart"),
                boundary="machine",
            ),
        ],
    )


NEAR = ("private", "here/local")
RENAMED: list[dict[str, Any]] = [
    {"rules": {"r": Rule(targets=["private", "here/local"], use="smart")}},
    {
        "policies": {
            "default": PolicySettings(shortcuts={"private": "smart", "here/local": "smart"})
        }
    },
    {
        "experiments": {
            "e": Experiment(target="private", arms={"a": Arm(weight=1, use="smart")}),
            "f": Experiment(target="here/local", arms={"a": Arm(weight=1, use="smart")}),
        }
    },
]


@pytest.mark.parametrize("renamed", RENAMED)
@pytest.mark.parametrize("asked", NEAR)
def test_no_other_name_takes_text_farther(renamed: dict[str, Any], asked: str) -> None:
    plan = plan_for(known(), asked, **renamed)
    assert plan.serves == "smart"
    assert route_ids(plan) == ["here/local"]
    assert reasons(plan) == [("v/far", "boundary")]
    assert book(known(), **renamed).choose(asked, PLAIN, ACME).boundary == "machine"


def test_a_shortcut_that_goes_by_complexity_keeps_its_boundary() -> None:
    assert route_ids(plan_for(known(), "near")) == ["here/local"]
    assert route_ids(plan_for(known(), "smart")) == ["v/far", "here/local"]


def test_a_name_that_says_nothing_leaves_it_to_the_next() -> None:
    rules = {"r": Rule(targets=["smart"], use="private")}
    assert route_ids(plan_for(known(), "smart", rules=rules)) == ["here/local"]


def test_what_a_name_means_for_a_tenant_it_means_in_a_rule() -> None:
    rules = {"r": Rule(flags=["x"], use="smart")}
    policies = {"p": PolicySettings(tenants=["acme"], shortcuts={"smart": "private"})}
    made = book(known(), rules=rules, policies=policies)
    flagged = structs.replace(PLAIN, flags=("x",))
    assert made.choose("fast", flagged, ACME).serves == "private"
    assert made.choose("fast", flagged, Caller()).serves == "smart"


def test_a_private_call_is_no_better_off_with_another_name() -> None:
    private = Features(10, sensitivity="private")
    for target in ("smart", "fast", "far", "near", "private"):
        assert "v/far" not in route_ids(plan_for(known(), target, private, NOW))
