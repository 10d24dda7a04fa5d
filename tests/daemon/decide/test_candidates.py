"""What is settled of candidates before a call comes: retired, moving, too far, another kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from routerd.decide import Book, PolicyDocument, plan_call
from routerd.domain import Boundary, Features, Plan, Snapshot
from routerd.models.directory import Directory
from routerd.models.schema import FAIL, DeploymentEntry, Model, ModelClass, Shortcut
from routerd.settings import PolicySettings
from tests.daemon.decide.known import (
    NOBODY,
    NOW,
    PLAIN,
    TODAY,
    book,
    deployment,
    directory,
    model,
    plan_for,
    provider,
    reasons,
    route_ids,
    small,
)

TOMORROW = TODAY + timedelta(1)
JOB = Shortcut(name="job", description="", candidates=("a", "z"), degraded=FAIL)


def made(*models: Model, where: list[DeploymentEntry] | None = None) -> Directory:
    """Models of one provider each, and a shortcut to the first and the last."""
    hosts = [f"p{item.id}" for item in models]
    return directory(
        [provider(name) for name in hosts],
        list(models),
        where or [deployment(host, item.id) for host, item in zip(hosts, models, strict=True)],
        shortcuts=[structs.replace(JOB, candidates=(models[0].id, models[-1].id))],
    )


def told(plan: Plan) -> list[tuple[str, str | None, str, str]]:
    return [(item.deployment, item.degraded, item.code, item.detail) for item in plan.routes]


# --- retired and gone ----------------------------------------------------------------------------


def test_what_has_ended_gives_its_place_to_its_replacement_and_says_so() -> None:
    known = made(model("a", retires_on=TODAY, replacement="b"), model("b"), model("z"))
    text = "a ended on 2026-11-20: b in its place"
    plan = plan_for(known, "job")
    assert told(plan) == [("pb/b", None, "replacement", text), ("pz/z", None, "order", "")]
    assert reasons(plan) == [("pa/a", "retired")]
    # Who asked for the model by its name is told in the answer too.
    assert told(plan_for(known, "a")) == [("pb/b", text, "replacement", text)]


def test_until_its_last_day_a_model_serves_itself() -> None:
    known = made(model("a", retires_on=TOMORROW, replacement="b"), model("b"))
    made_book = book(known)
    midnight = datetime.combine(TOMORROW, datetime.min.time(), UTC).timestamp()
    before, after = (
        plan_call(made_book, "a", PLAIN, NOBODY, Snapshot(now)) for now in (midnight - 1, midnight)
    )
    assert (route_ids(before), route_ids(after)) == (["pa/a"], ["pb/b"])
    # And back again: what was prepared for a later day does not count for an earlier one.
    assert plan_call(made_book, "a", PLAIN, NOBODY, Snapshot(midnight - 1)) == before


def test_what_its_provider_does_not_have_any_more_redirects_like_what_is_retired() -> None:
    known = made(model("a", replacement="b"), model("b"))
    gone = structs.replace(NOW, gone={"pa/a": "its provider does not have it: 404"})
    plan = plan_for(known, "a", snapshot=gone)
    text = "a its provider does not have it: 404: b in its place"
    assert told(plan) == [("pb/b", text, "replacement", text)]
    assert [(item.code, item.detail) for item in plan.dropped] == [
        ("gone", "its provider does not have it: 404")
    ]


def test_gone_is_of_one_moment_and_not_kept() -> None:
    known = made(model("a", replacement="b"), model("b"))
    made_book = book(known)
    for gone, routes in (({}, ["pa/a"]), ({"pa/a": "404"}, ["pb/b"]), ({}, ["pa/a"])):
        snapshot = structs.replace(NOW, gone=gone)
        assert route_ids(plan_call(made_book, "a", PLAIN, NOBODY, snapshot)) == routes


def test_one_deployment_may_be_gone_and_another_of_the_model_serve() -> None:
    where = [deployment("pa", "a"), deployment("pb", "a")]
    known = made(model("a"), model("b"), where=where)
    plan = plan_for(known, "a", snapshot=structs.replace(NOW, gone={"pa/a": "404"}))
    assert told(plan) == [("pb/a", None, "order", "")]


def test_a_replacement_that_has_ended_too_leads_to_its_own() -> None:
    known = made(
        model("a", retires_on=TODAY, replacement="b"),
        model("b", retires_on=TODAY - timedelta(5), replacement="c"),
        model("c"),
    )
    plan = plan_for(known, "a")
    assert [(item.deployment, item.code) for item in plan.routes] == [("pc/c", "replacement")]
    assert plan.routes[0].detail.endswith(": c in its place")
    assert reasons(plan) == [("pa/a", "retired"), ("pb/b", "retired")]


def test_a_circle_of_replacements_has_an_end() -> None:
    known = made(
        model("a", retires_on=TODAY, replacement="b"), model("b", retires_on=TODAY, replacement="a")
    )
    plan = plan_for(known, "a")
    assert plan.routes == ()
    assert reasons(plan) == [("pa/a", "retired"), ("pb/b", "retired")]


def test_a_replacement_that_may_not_serve_says_why() -> None:
    known = made(model("a", retires_on=TODAY, replacement="b"), model("b"))
    plan = plan_for(known, "a", policies={"default": PolicySettings(without=["b"])})
    assert reasons(plan) == [("pa/a", "retired"), ("pb/b", "policy")]


def test_a_replacement_is_not_looked_at_twice() -> None:
    known = made(
        model("a", retires_on=TODAY, replacement="z"), model("b", replacement="z"), model("z")
    )
    plan = plan_for(known, "job")
    assert route_ids(plan) == ["pz/z"]
    assert reasons(plan) == [("pa/a", "retired")]


@pytest.mark.parametrize("target", ["a", "job", "flagship"])
def test_the_state_of_every_possible_candidate_is_asked_for(target: str) -> None:
    """Also of replacements of replacements, and of what stands in for a degraded class."""
    known = directory(
        [provider("p")],
        [
            model("a", backup="d", replacement="b", retires_on=TODAY),
            model("b", replacement="c", retires_on=TODAY),
            model("c"),
            model("d", retires_on=TODAY, replacement="e"),
            model("e"),
        ],
        [deployment("p", name) for name in "abcde"],
        [
            ModelClass(name="flagship", description="", candidates=("a",), degraded="fast"),
            ModelClass(name="fast", description="", candidates=("d",), degraded=FAIL),
        ],
        [Shortcut(name="job", description="", candidates=("a",), degraded="fast")],
    )
    made_book = book(known)
    asked = list(made_book.candidates(made_book.choose(target, PLAIN, NOBODY)).names)
    assert sorted(asked) == [f"p/{name}" for name in "abcde"]
    plan = plan_call(made_book, target, PLAIN, NOBODY, NOW)
    assert route_ids(plan) == ["p/c", "p/e"]


# --- moving aliases ------------------------------------------------------------------------------


def test_a_moving_alias_serves_only_where_the_policy_lets_it() -> None:
    known = made(model("a", pinned="moving"), model("z"))
    plan = plan_for(known, "job")
    assert route_ids(plan) == ["pz/z"]
    assert [(item.code, item.detail) for item in plan.dropped] == [
        (
            "moving_alias",
            (
                "its vendor may put other weights behind this id; "
                "policies.default.moving_aliases = true allows it"
            ),
        )
    ]
    allowed = {"default": PolicySettings(moving_aliases=True)}
    assert route_ids(plan_for(known, "job", policies=allowed)) == ["pa/a", "pz/z"]


# --- boundaries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("boundary", "policy", "served"),
    [
        ("machine", {}, True),
        ("own-network", {}, False),
        ("own-network", {"private_reaches": ["p"]}, True),
        ("own-network", {"private_reaches": ["other"]}, False),
        ("vendor", {}, False),
        # `routerd check` refuses this; a plan does not trust it either.
        ("vendor", {"private_reaches": ["p"]}, False),
    ],
)
def test_a_private_call_reaches_this_machine_and_what_the_policy_names(
    boundary: Boundary, policy: dict[str, Any], *, served: bool
) -> None:
    wanted = Features(1, sensitivity="private")
    plan = plan_for(
        small(boundary), features=wanted, policies={"default": PolicySettings(**policy)}
    )
    assert bool(plan.routes) is served
    assert [item.code for item in plan.dropped] == ([] if served else ["boundary"])


@pytest.mark.parametrize(
    ("boundary", "contracted", "served"),
    [
        ("machine", (), True),
        ("own-network", (), True),
        ("vendor", ("other",), False),
        ("vendor", ("p",), True),
    ],
)
def test_an_internal_call_reaches_vendors_with_a_contract(
    boundary: Boundary, contracted: tuple[str, ...], *, served: bool
) -> None:
    plan = plan_for(
        small(boundary), features=Features(1, sensitivity="internal"), contracted=contracted
    )
    assert bool(plan.routes) is served


def test_a_contract_is_none_for_private_calls() -> None:
    plan = plan_for(small(), features=Features(1, sensitivity="private"), contracted=("p",))
    assert plan.dropped[0].detail == "its text goes to vendor, this call's at most to machine"


def test_a_replacement_stays_inside_the_boundary() -> None:
    known = directory(
        [provider("here", "machine"), provider("far")],
        [model("a", retires_on=TODAY, replacement="b"), model("b")],
        [deployment("here", "a"), deployment("far", "b")],
    )
    plan = plan_for(known, "a", Features(1, sensitivity="private"))
    assert reasons(plan) == [("here/a", "retired"), ("far/b", "boundary")]


# --- kinds ---------------------------------------------------------------------------------------


def test_an_embedding_model_never_serves_chat() -> None:
    known = made(model("a", kind="embedding"), model("z"))
    plan = plan_for(known, "job")
    assert route_ids(plan) == ["pz/z"]
    assert [(item.code, item.detail) for item in plan.dropped] == [
        ("no_chat", "it does embedding, the call asks for chat")
    ]
    assert route_ids(plan_for(known, "a")) == []
    assert route_ids(plan_for(known, "a", Features(1, kind="embedding"))) == ["pa/a"]
    assert reasons(plan_for(known, "z", Features(1, kind="embedding"))) == [
        ("pz/z", "no_embedding")
    ]


# --- regions -------------------------------------------------------------------------------------


def test_a_call_or_its_policy_may_ask_for_a_region() -> None:
    known = directory(
        [provider("p"), provider("q"), provider("r")],
        [model("a")],
        [
            deployment("p", "a", region="us-east-1"),
            deployment("q", "a", region="eu-west-1"),
            deployment("r", "a"),
        ],
    )
    policies = {"default": PolicySettings(region="eu")}
    plan = plan_for(known, "a", policies=policies)
    assert route_ids(plan) == ["q/a"]
    assert [item.detail for item in plan.dropped] == [
        "it is in us-east-1, the call asks for eu",
        "it is in no known region, the call asks for eu",
    ]
    assert route_ids(plan_for(known, "a", Features(1, region="us"), policies=policies)) == ["p/a"]
    assert route_ids(plan_for(known, "a", Features(1, region="eu-west"))) == ["q/a"]
    assert route_ids(plan_for(known, "a", Features(1, region="eu-wes"))) == []


# --- what is kept --------------------------------------------------------------------------------


def test_what_is_prepared_for_one_call_is_not_for_another() -> None:
    """One book, asked in turn under two policies and for two sensitivities."""
    known = directory(
        [provider("here", "machine"), provider("far")],
        [model("a")],
        [deployment("far", "a"), deployment("here", "a")],
    )
    made_book = Book(
        known,
        PolicyDocument(
            providers=("here", "far"),
            policies={"acme": PolicySettings(tenants=["acme"], without=["far"])},
        ),
    )
    acme = structs.replace(NOBODY, tenant="acme")
    private = Features(1, sensitivity="private")
    for _ in range(2):
        assert route_ids(plan_call(made_book, "a", PLAIN, NOBODY, NOW)) == ["here/a", "far/a"]
        assert route_ids(plan_call(made_book, "a", PLAIN, acme, NOW)) == ["here/a"]
        assert reasons(plan_call(made_book, "a", private, NOBODY, NOW)) == [("far/a", "boundary")]
