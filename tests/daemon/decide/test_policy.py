"""Which policy a call falls under, and what it says once everything inherited is filled in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import Policies, Policy, PolicyMistake, plan_call
from routerd.domain import Caller
from routerd.models.schema import FAIL, ModelClass, Shortcut
from routerd.settings import BALANCE, PolicySettings
from tests.daemon.decide.known import (
    NOBODY,
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


def policies(**settings: dict[str, Any]) -> Policies:
    return Policies({name: PolicySettings(**item) for name, item in settings.items()})


# --- inheritance ---------------------------------------------------------------------------------


def test_without_any_policy_the_defaults_hold_for_everybody() -> None:
    for caller in (NOBODY, Caller("acme", "core", "bot")):
        assert policies().of(caller) == Policy()
    assert Policy().balance == BALANCE


def test_what_a_policy_does_not_say_is_as_in_the_one_it_inherits_from() -> None:
    made = policies(
        default={"region": "eu", "near_cap": "same", "models": ["m"]},
        team={"inherits": "base", "teams": ["core"], "region": "us"},
        base={"moving_aliases": True, "balance": ["price"], "models": ["n", "o"]},
    )
    team = made.of(Caller(team="core"))
    assert (team.name, team.region, team.near_cap) == ("team", "us", "same")
    assert (team.moving_aliases, team.balance) == (True, ("price",))
    # A list is one setting: it takes the place of the inherited one.
    assert team.models == frozenset({"n", "o"})
    assert made.by_name["base"].region == "eu"
    assert made.of(NOBODY).moving_aliases is False


def test_who_may_ask_for_what_nothing_bounds_is_inherited_and_can_be_taken_back() -> None:
    made = policies(
        acme={"tenants": ["acme"], "raw_beyond_hold": True},
        research={"inherits": "acme", "tenants": ["acme"], "teams": ["research"]},
        bot={"inherits": "research", "agents": ["bot"], "raw_beyond_hold": False},
    )
    may = [
        made.of(caller).raw_beyond_hold
        for caller in (
            NOBODY,
            Caller("acme"),
            Caller("acme", "research"),
            Caller("acme", "research", "bot"),
        )
    ]
    assert may == [False, True, True, False]


def test_an_empty_list_is_said_and_not_inherited() -> None:
    made = policies(
        default={"private_reaches": ["lan"], "without": ["m"]},
        strict={"tenants": ["acme"], "private_reaches": [], "without": []},
    )
    strict = made.of(Caller("acme"))
    assert (strict.private_reaches, strict.without) == (frozenset(), frozenset())


def test_who_a_policy_is_for_is_not_inherited() -> None:
    made = policies(base={"tenants": ["acme"]}, other={"inherits": "base", "region": "eu"})
    assert made.of(Caller("acme")).name == "base"
    assert made.of(Caller("beta")).name == "default"


def test_each_shortcut_of_its_own_is_inherited_by_itself() -> None:
    made = policies(
        default={"shortcuts": {"smart": "a", "fast": "b"}},
        acme={"tenants": ["acme"], "shortcuts": {"smart": "c", "own": "d"}},
    )
    assert made.of(NOBODY).shortcuts == {"smart": "a", "fast": "b"}
    assert made.of(Caller("acme")).shortcuts == {"smart": "c", "fast": "b", "own": "d"}


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        (
            {"a": {"inherits": "nobody"}},
            "policies.a.inherits",
            "'nobody' is no policy; known: default, a",
        ),
        (
            {"a": {"inherits": "b"}, "b": {"inherits": "c"}},
            "policies.b.inherits",
            "'c' is no policy; known: default, a, b",
        ),
        ({"a": {"inherits": "a"}}, "policies.a.inherits", "goes in a circle: a > a"),
        (
            {"a": {"inherits": "b"}, "b": {"inherits": "c"}, "c": {"inherits": "b"}},
            "policies.a.inherits",
            "goes in a circle: a > b > c > b",
        ),
        ({"default": {"inherits": "a"}, "a": {}}, "policies.default.inherits", "from nobody"),
        ({"default": {"teams": ["x"]}}, "policies.default", "expected no members"),
        (
            {"a": {"tenants": ["x", "y"]}, "b": {"tenants": ["y"]}},
            "policies.b",
            "is for calls of 'a' too",
        ),
        (
            {
                "a": {"tenants": ["x"], "teams": ["t"]},
                "b": {"tenants": ["x"], "teams": ["u", "t"]},
            },
            "policies.b",
            "is for calls of 'a' too",
        ),
    ],
)
def test_a_contradiction_names_its_setting(
    settings: dict[str, Any], key: str, expected: str
) -> None:
    with pytest.raises(PolicyMistake) as caught:
        policies(**settings)
    assert caught.value.key == key
    assert expected in caught.value.expected


# --- whose policy --------------------------------------------------------------------------------


def test_an_agents_goes_before_a_teams_and_a_teams_before_a_tenants() -> None:
    made = policies(
        tenant={"tenants": ["acme"]},
        team={"teams": ["core"]},
        agent={"agents": ["bot"]},
        both={"tenants": ["acme"], "teams": ["core"]},
    )
    for caller, name in (
        (Caller("acme", "core", "bot"), "agent"),
        (Caller("acme", "core"), "both"),
        (Caller("beta", "core"), "team"),
        (Caller("acme"), "tenant"),
        (Caller("beta"), "default"),
        (Caller("acme", "other", "other"), "tenant"),
    ):
        assert made.of(caller).name == name
        assert made.of(caller).name == name  # also when it was looked up before


def test_teams_of_two_tenants_may_be_called_alike() -> None:
    made = policies(
        a={"tenants": ["acme"], "teams": ["core"]}, b={"tenants": ["beta"], "teams": ["core"]}
    )
    assert made.of(Caller("acme", "core")).name == "a"
    assert made.of(Caller("beta", "core")).name == "b"
    assert made.of(Caller("gamma", "core")).name == "default"


members = st.lists(st.sampled_from(["x", "y"]), unique=True)
names = st.sampled_from([None, "x", "y"])


@given(
    st.lists(st.tuples(members, members, members), max_size=4),
    st.builds(Caller, tenant=names, team=names, agent=names),
)
def test_a_policy_is_that_of_its_members_whatever_the_order(
    drawn: list[tuple[list[str], list[str], list[str]]], caller: Caller
) -> None:
    settings = {
        f"p{number}": {"tenants": tenants, "teams": teams, "agents": agents}
        for number, (tenants, teams, agents) in enumerate(drawn)
    }
    try:
        made = policies(**settings)
    except PolicyMistake:
        with pytest.raises(PolicyMistake):
            policies(**dict(reversed(settings.items())))
        return
    name = made.of(caller).name
    assert policies(**dict(reversed(settings.items()))).of(caller).name == name
    if name == "default":
        return
    own = settings[name]
    for kind, value in (
        ("tenants", caller.tenant),
        ("teams", caller.team),
        ("agents", caller.agent),
    ):
        assert not own[kind] or value in own[kind]


# --- what it does --------------------------------------------------------------------------------

KNOWN = directory(
    [provider("p"), provider("q")],
    [model("a"), model("b"), model("c", model_class="flagship")],
    [deployment("p", "a"), deployment("q", "a"), deployment("q", "b"), deployment("p", "c")],
    [
        ModelClass(name="fast", description="", candidates=("a", "b"), degraded=FAIL),
        ModelClass(name="flagship", description="", candidates=("c",), degraded="fast"),
    ],
    [Shortcut(name="smart", description="", model_class="flagship")],
)


@pytest.mark.parametrize(
    ("policy", "routes"),
    [
        ({}, ["p/c", "q/a", "p/a"]),
        ({"classes": ["flagship"]}, ["p/c"]),
        ({"models": ["b"]}, ["q/b"]),
        ({"classes": ["flagship"], "models": ["b"]}, ["p/c", "q/b"]),
        ({"classes": [], "models": []}, []),
        ({"without": ["c"]}, ["p/a", "q/a", "q/b"]),
        ({"without": ["p"]}, ["q/a", "q/b"]),
        ({"without": ["q/a"]}, ["p/c", "q/b", "p/a"]),
    ],
)
def test_a_policy_allows_and_leaves_out(policy: dict[str, Any], routes: list[str]) -> None:
    plan = plan_for(KNOWN, "smart", policies={"default": PolicySettings(**policy)})
    assert route_ids(plan) == routes
    assert all(code == "policy" for _, code in reasons(plan) if code != "beyond_three")
    assert len(reasons(plan)) + len(routes) == 4


def test_a_copy_is_under_the_policy_of_its_call_and_goes_where_its_shadow_says() -> None:
    own = PolicySettings(tenants=["acme"], shortcuts={"smart": "fast"}, without=["q"])
    made = book(KNOWN, policies={"acme": own})
    copied = structs.replace(PLAIN, policy="acme")
    plan = plan_call(made, "smart", copied, NOBODY, NOW)
    assert (plan.policy, plan.serves, route_ids(plan)) == ("acme", "smart", ["p/c"])
    # Where there is no such policy any more, that of its own names holds.
    gone = structs.replace(PLAIN, policy="of yesterday")
    assert plan_call(made, "smart", gone, NOBODY, NOW).policy == "default"


def test_a_shortcut_of_ones_own_is_for_its_policy_alone() -> None:
    own = PolicySettings(tenants=["acme"], shortcuts={"smart": "fast", "ours": "b"})
    made = book(KNOWN, policies={"acme": own})
    plan = plan_call(made, "smart", PLAIN, Caller("acme"), NOW)
    assert route_ids(plan) == ["p/a", "q/a", "q/b"]
    assert (plan.target, plan.serves, plan.policy) == ("smart", "fast", "acme")
    assert plan.rule == "policy acme: fast for smart, class fast"
    assert route_ids(plan_call(made, "ours", PLAIN, Caller("acme"), NOW)) == ["q/b"]
    assert route_ids(plan_call(made, "smart", PLAIN, Caller("beta"), NOW))[0] == "p/c"
