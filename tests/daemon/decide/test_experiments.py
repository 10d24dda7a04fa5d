"""Who is in which arm of an experiment, for how long, and which calls are copied."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import Book, Choice, plan_call
from routerd.decide.experiments import arm_of, lot, shadows_of
from routerd.domain import Caller, Features
from routerd.models.schema import FAIL, ByComplexity, Defaults, ModelClass, Shortcut
from routerd.settings import Arm, Experiment, PolicySettings, Rule, Shadow
from tests.daemon.decide.known import (
    NOBODY,
    NOW,
    PLAIN,
    book,
    deployment,
    directory,
    model,
    provider,
    route_ids,
)

MANY = 10_000
KNOWN = directory(
    [provider("p"), provider("q")],
    [model("old"), model("new"), model("small")],
    [deployment("p", "old"), deployment("q", "new"), deployment("q", "small")],
    [ModelClass(name="fast", description="", candidates=("small",), degraded=FAIL)],
    [
        Shortcut(
            name="smart",
            description="",
            candidates=("old",),
            degraded=FAIL,
            defaults=Defaults(max_output_tokens=500, temperature=0.5),
        ),
        Shortcut(
            name="auto",
            description="",
            by_complexity=ByComplexity(simple="fast", medium="smart", complex="old"),
        ),
    ],
)


def trial(sticky: Any = "user", target: str = "smart", **arms: int | Arm) -> Experiment:
    return Experiment(
        target=target,
        sticky=sticky,
        arms={name: arm if isinstance(arm, Arm) else Arm(weight=arm) for name, arm in arms.items()},
    )


def arm(experiment: Experiment, features: Features = PLAIN, **caller: Any) -> str | None:
    found = arm_of("trial", experiment, features, Caller(**caller))
    return None if found is None else found[0]


def call(number: int) -> dict[str, Any]:
    return {"decision_id": f"{number:032x}"}


# --- the lot -------------------------------------------------------------------------------------


@given(st.lists(st.text(), min_size=1))
def test_a_lot_is_from_zero_to_below_one_and_always_the_same(names: list[str]) -> None:
    assert 0 <= lot(*names) < 1
    assert lot(*names) == lot(*names)


def test_a_lot_is_the_same_after_a_restart_and_on_another_machine() -> None:
    # Written down once: whoever changes how lots are drawn moves every user to another arm.
    assert [round(lot("experiment", "x", name), 6) for name in "ab"] == [0.992906, 0.227592]


@pytest.mark.parametrize(
    "who",
    [
        lambda number: {"user": f"u{number}"},
        lambda number: {"tenant": "acme", "user": f"u{number}"},
        call,
    ],
)
def test_shares_are_as_the_weights_say(who: Any) -> None:
    experiment = trial(a=70, b=20, c=10, d=0)
    shares = Counter(arm(experiment, **who(number)) for number in range(MANY))
    assert shares.keys() == {"a", "b", "c"}
    for name, share in (("a", 0.7), ("b", 0.2), ("c", 0.1)):
        # Five standard deviations.
        assert abs(shares[name] / MANY - share) < 5 * (share * (1 - share) / MANY) ** 0.5


def test_two_experiments_draw_independently() -> None:
    half = trial(a=1, b=1)
    both: Counter[tuple[str, ...]] = Counter()
    for number in range(MANY):
        caller = Caller(user=f"u{number}")
        found = [arm_of(name, half, PLAIN, caller) for name in ("one", "other")]
        both[tuple(item[0] for item in found if item is not None)] += 1
    assert len(both) == 4
    assert all(abs(count / MANY - 0.25) < 0.025 for count in both.values())


@given(st.integers(0, 10**9))
def test_an_arm_of_no_weight_at_the_end_changes_nobody(number: int) -> None:
    names: dict[str, Any] = {"user": f"u{number}"}
    assert arm(trial(a=1, b=3), **names) == arm(trial(a=1, b=3, c=0), **names)


@given(st.integers(0, 10**9), st.integers(0, 100))
def test_who_is_in_the_first_arm_stays_while_it_grows(number: int, more: int) -> None:
    names: dict[str, Any] = {"user": f"u{number}"}
    if arm(trial(new=10, old=90), **names) == "new":
        assert arm(trial(new=10 + min(more, 90), old=90 - min(more, 90)), **names) == "new"


# --- who stays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sticky", "names", "same"),
    [
        ("tenant", {"tenant": "acme"}, True),
        ("user", {"user": "ann"}, True),
        ("user", {"tenant": "acme", "user": "ann"}, True),
        ("session", {"session": "s"}, True),
        ("call", {"tenant": "acme", "user": "ann", "session": "s"}, False),
        # Who names none is for itself.
        ("tenant", {"user": "ann"}, False),
        ("user", {"tenant": "acme", "session": "s"}, False),
        ("session", {"tenant": "acme", "user": "ann"}, False),
    ],
)
def test_who_stays_with_an_arm(sticky: str, names: dict[str, Any], *, same: bool) -> None:
    features = structs.replace(PLAIN, session=names.pop("session", None))
    experiment = trial(sticky, a=1, b=1)
    arms = {arm(experiment, features, **names, **call(number)) for number in range(200)}
    assert len(arms) == (1 if same else 2)


@pytest.mark.parametrize("sticky", ["user", "session"])
def test_users_and_sessions_of_two_tenants_may_be_called_alike(sticky: str) -> None:
    experiment = trial(sticky, a=1, b=1)
    features = structs.replace(PLAIN, session="s")
    arms = {arm(experiment, features, tenant=f"t{number}", user="ann") for number in range(100)}
    assert arms == {"a", "b"}


def test_a_tenant_stays_whoever_of_it_calls() -> None:
    experiment = trial("tenant", a=1, b=1)
    arms = {arm(experiment, tenant="acme", user=f"u{number}") for number in range(100)}
    assert len(arms) == 1


def test_without_any_weight_there_is_no_arm() -> None:
    assert arm(trial(a=0, b=0)) is None
    assert arm(trial()) is None


# --- on the plan ---------------------------------------------------------------------------------


def made_with(experiment: Experiment, **more: Any) -> Book:
    return book(KNOWN, experiments={"trial": experiment}, **more)


def choice(made: Book, target: str = "smart", features: Features = PLAIN) -> Choice:
    return made.choose(target, features, NOBODY)


def test_the_arm_is_on_the_plan_and_serves() -> None:
    made = made_with(trial(b=Arm(weight=1, use="new")))
    plan = plan_call(made, "smart", PLAIN, NOBODY, NOW)
    assert (plan.target, plan.serves, plan.arm) == ("smart", "new", "trial/b")
    assert route_ids(plan) == ["q/new"]
    assert plan.rule == "experiment trial/b, model new"
    assert plan_call(made, "old", PLAIN, NOBODY, NOW).arm is None


def test_an_arm_sets_what_neither_the_call_nor_it_says_otherwise() -> None:
    own = Arm(weight=1, max_output_tokens=90, reasoning="low")
    made = choice(made_with(trial(b=own)))
    assert made.defaults == Defaults(max_output_tokens=90, temperature=0.5, reasoning="low")
    plan = plan_call(made_with(trial(b=own)), "smart", PLAIN, NOBODY, NOW)
    assert (plan.serves, plan.arm) == ("smart", "trial/b")


def test_a_policys_own_shortcut_takes_part_under_the_name_that_serves() -> None:
    policy = PolicySettings(shortcuts={"ours": "smart"})
    made = made_with(trial(b=Arm(weight=1, use="new")), policies={"default": policy})
    assert choice(made, "ours").arm == "trial/b"


def test_auto_and_then_the_experiment_on_what_it_leads_to() -> None:
    made = choice(made_with(trial(b=Arm(weight=1, use="new"))), "auto")
    assert (made.serves, made.arm, made.complexity) == ("new", "trial/b", "medium")
    assert made.rule == "auto takes it for medium, experiment trial/b, model new"


def test_an_experiment_on_auto_itself() -> None:
    away = choice(made_with(trial(target="auto", b=Arm(weight=1, use="new"))), "auto")
    assert (away.serves, away.complexity, away.arm) == ("new", None, "trial/b")
    stays = choice(made_with(trial(target="auto", b=Arm(weight=1, temperature=1.0))), "auto")
    assert (stays.serves, stays.complexity, stays.arm) == ("smart", "medium", "trial/b")
    assert stays.defaults == Defaults(max_output_tokens=500, temperature=1.0)


def test_an_arm_that_leads_back_to_auto_finds_an_end() -> None:
    made = made_with(trial(b=Arm(weight=1, use="auto")))
    assert choice(made, "auto").serves == "smart"
    plan = plan_call(made, "auto", PLAIN, NOBODY, NOW)
    assert route_ids(plan) == ["p/old"]


@pytest.mark.parametrize("way", ["policy", "rule", "experiment"])
def test_rules_say_how_hard_a_call_is_whatever_led_it_to_auto(way: str) -> None:
    rules = {"odd": Rule(targets=["auto"], flags=["odd"], complexity="simple")}
    ways: dict[str, dict[str, Any]] = {
        "policy": {"policies": {"default": PolicySettings(shortcuts={"ours": "auto"})}},
        "rule": {"rules": {"ours": Rule(targets=["ours"], use="auto"), **rules}},
        "experiment": {"experiments": {"trial": trial(target="old", a=Arm(weight=1, use="auto"))}},
    }
    made = book(KNOWN, **{"rules": rules, **ways[way]})
    target = "old" if way == "experiment" else "ours"
    found = choice(made, target, structs.replace(PLAIN, flags=("odd",)))
    assert (found.complexity, found.serves) == ("simple", "fast")
    assert "rule odd" in found.rule
    assert choice(made, target).complexity == "medium"


# --- shadows -------------------------------------------------------------------------------------


def shadow(percent: float, target: str = "smart") -> Shadow:
    return Shadow(target=target, use="new", percent=percent, daily_dollars="1")


def test_a_share_of_calls_is_copied() -> None:
    shadows = {"tenth": shadow(10), "all": shadow(100)}
    copies = Counter(
        name for number in range(MANY) for name in shadows_of(shadows, Caller(**call(number)))
    )
    assert copies["all"] == MANY
    assert abs(copies["tenth"] / MANY - 0.1) < 0.015


def test_a_call_is_copied_by_what_was_asked_and_by_what_serves() -> None:
    shadows = {"one": shadow(100), "two": shadow(100, "auto"), "three": shadow(100, "old")}
    made = book(KNOWN, shadows=shadows)
    assert set(choice(made, "auto").shadows) == {"one", "two"}
    assert set(choice(made, "smart").shadows) == {"one"}
    assert plan_call(made, "old", PLAIN, NOBODY, NOW).shadows == ("three",)


def test_a_copy_is_not_copied() -> None:
    made = book(KNOWN, shadows={"one": shadow(100)})
    copied = structs.replace(PLAIN, policy="default")
    assert made.choose("smart", copied, Caller(feature="shadow:one")).shadows == ()
    assert made.choose("smart", PLAIN, Caller(feature="other")).shadows == ("one",)
