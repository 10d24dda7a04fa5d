"""What a rule for choosing leaves out is in the plan, and who is not here moves nobody."""

from __future__ import annotations

from typing import Any

from routerd.domain import BudgetRoom, Capabilities, Features, Snapshot
from routerd.models.directory import Directory
from routerd.models.pricing import Price
from routerd.models.schema import FAIL, Choice, ModelClass, Score, Scores, Shortcut
from routerd.settings import PolicySettings
from tests.daemon.decide.known import (
    DOLLAR,
    NOW,
    TODAY,
    deployment,
    directory,
    model,
    plan_for,
    provider,
    reasons,
    route_ids,
)

TOOLS = Capabilities(tools=True)
CODING = Choice(classes=("fast",), weights={"coding": 1}, needs=("tools",))


def coding(value: float) -> Scores:
    score = Score(value=value, benchmark="b", version="1", confidence=1, method="direct")
    return Scores(coding=score)


def price(dollars: int) -> Price:
    return Price(source="test", input=dollars * DOLLAR, output=dollars * DOLLAR)


def known(*names: str, degraded: str = FAIL, choice: Choice = CODING, **more: Any) -> Directory:
    """Three models, each at a provider of its own; `c` cannot call tools."""
    able = {"a": TOOLS, "b": TOOLS, "c": Capabilities()}
    scores = {"a": 90.0, "b": 50.0, "c": 99.0}
    return directory(
        [provider(f"p{name}") for name in able],
        [
            model(name, capabilities=can, scores=coding(scores[name]), **more)
            for name, can in able.items()
        ],
        [deployment(f"p{name}", name, price=price(1)) for name in able],
        [
            ModelClass(name="fast", description="", candidates=tuple(able), degraded=FAIL),
            ModelClass(name="rest", description="", candidates=names, degraded=FAIL),
        ],
        [Shortcut(name="job", description="", choose=choice, degraded=degraded)],
    )


def test_who_was_left_out_is_dropped_with_what_was_compared() -> None:
    plan = plan_for(known(), "job")
    assert route_ids(plan) == ["pa/a", "pb/b"]
    assert [(item.deployment, item.code, item.detail) for item in plan.dropped] == [
        ("pc/c", "lacks_capability", "the choice needs tools; it has no tools")
    ]


def test_who_was_left_out_may_stand_in_and_is_then_not_dropped() -> None:
    plan = plan_for(known("c", degraded="rest"), "job")
    assert route_ids(plan) == ["pa/a", "pb/b", "pc/c"]
    assert plan.routes[2].degraded == "class rest in place of job"
    assert plan.dropped == ()


def test_who_was_left_out_and_may_not_stand_in_has_the_reason_for_that() -> None:
    plan = plan_for(known("c", degraded="rest"), "job", Features(100, tools=1))
    assert route_ids(plan) == ["pa/a", "pb/b"]
    assert reasons(plan) == [("pc/c", "no_tools")]
    away = plan_for(known("c", degraded="rest"), "job", providers=("pa",))
    assert reasons(away) == [
        ("pb/b", "provider_not_configured"),
        ("pc/c", "provider_not_configured"),
    ]


def test_each_is_named_once_where_money_is_short_or_gone() -> None:
    wanted = Features(100, input_tokens_bound=100, max_output_tokens=100)
    stands_in = known("c", degraded="rest")
    short = plan_for(stands_in, "job", wanted, Snapshot(NOW.now, rooms=(room(85),)))
    assert (route_ids(short), reasons(short)) == (["pa/a", "pb/b", "pc/c"], [])
    refusing = {"default": PolicySettings(at_cap="refuse")}
    gone = Snapshot(NOW.now, rooms=(room(100),))
    assert reasons(plan_for(stands_in, "job", wanted, gone, policies=refusing)) == [
        ("pa/a", "budget"),
        ("pb/b", "budget"),
        ("pc/c", "budget"),
    ]


def room(dollars: int) -> BudgetRoom:
    """A cap of a hundred dollars of which so many are spent."""
    spent, limit, soft = (part * DOLLAR for part in (dollars, 100, 80))
    return BudgetRoom("all", "all calls", "nanodollars", limit, spent, 0, soft, NOW.now + 60)


def test_a_retired_model_is_replaced_at_its_place_by_one_that_was_left_out() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 1}, least={"coding": 60})
    models = [
        model("a", scores=coding(90), retires_on=TODAY, replacement="b"),
        model("b", scores=coding(50)),
        model("z", scores=coding(70)),
    ]
    made = directory(
        [provider(f"p{item.id}") for item in models],
        models,
        [deployment(f"p{item.id}", item.id, price=price(1)) for item in models],
        [ModelClass(name="fast", description="", candidates=("a", "b", "z"), degraded=FAIL)],
        [Shortcut(name="job", description="", choose=choice, degraded=FAIL)],
    )
    plan = plan_for(made, "job")
    assert route_ids(plan) == ["pb/b", "pz/z"]
    assert plan.routes[0].code == "replacement"
    assert reasons(plan) == [("pa/a", "retired")]


def test_a_deployment_that_nobody_can_call_moves_its_model_nowhere() -> None:
    """The cheap copy of `a` puts it first, but only where that copy may serve."""
    choice = Choice(classes=("fast",), weights={"coding": 1}, price_weight=10)
    made = directory(
        [provider("cheap"), provider("dear"), provider("other")],
        [model("a", scores=coding(80)), model("b", scores=coding(70))],
        [
            deployment("cheap", "a", price=price(1)),
            deployment("dear", "a", price=price(16)),
            deployment("other", "b", price=price(2)),
        ],
        [ModelClass(name="fast", description="", candidates=("a", "b"), degraded=FAIL)],
        [Shortcut(name="job", description="", choose=choice, degraded=FAIL)],
    )
    # At a second provider first, so `a` is put twice and `b` between.
    assert route_ids(plan_for(made, "job"))[0] == "cheap/a"
    assert route_ids(plan_for(made, "job", providers=("dear", "other"))) == ["other/b", "dear/a"]
    without = {"default": PolicySettings(without=["cheap"])}
    assert route_ids(plan_for(made, "job", policies=without)) == ["other/b", "dear/a"]
