"""What the drill predicts: who serves on every bad day, by the plan that a call would get."""

from __future__ import annotations

from itertools import combinations

import pytest
from msgspec import structs

from routerd.domain import Latency
from routerd.evaluate.drill import Drill, Outcome, rehearse
from routerd.settings import Budget, PolicySettings, Timeouts
from routerd_proto.frames import CallOptions
from tests.daemon.decide.shortcuts import book as shipped
from tests.daemon.evaluate.towns import town

MONTH = {"month": Budget(window="month", dollars=100)}
WEST_ALONE = ["healthy", "down:west", "slow:west", "limited:west", "limited_unsaid:west", "private"]


def drill() -> Drill:
    return rehearse(town(budgets=MONTH))


def outcome(made: Drill, target: str, scenario: str) -> Outcome:
    return made.outcomes[target, scenario]


def test_every_shortcut_has_an_outcome_on_every_day() -> None:
    made = drill()
    names = [scenario.name for scenario in made.scenarios]
    singles = [f"down:{name}" for name in ("east", "home", "north", "west")]
    pairs = [
        f"down:{'+'.join(pair)}" for pair in combinations(("east", "home", "north", "west"), 2)
    ]
    others = [
        f"{trouble}:{name}"
        for trouble in ("slow", "limited", "limited_unsaid")
        for name in ("east", "home", "north", "west")
    ]
    assert names == ["healthy", *singles, *pairs, *others, "budget_85", "budget_cap", "private"]
    assert made.shortcuts == made.targets == ("smart", "many", "alone", "near")
    assert list(made.outcomes) == [(target, name) for name in names for target in made.targets]


def test_a_backup_serves_for_who_is_down_and_is_not_degraded() -> None:
    made = drill()
    assert outcome(made, "smart", "healthy") == Outcome(
        "smart",
        "healthy",
        "west/big",
        backups=("east/grand", "north/small"),
        at_once="west/big",
    )
    down = outcome(made, "smart", "down:west")
    assert (down.deployment, down.degraded, down.at_once) == ("east/grand", None, "east/grand")
    assert not down.is_degraded


def test_with_two_down_the_degraded_path_serves_and_says_so() -> None:
    down = outcome(drill(), "smart", "down:east+west")
    assert (down.deployment, down.at_once) == ("north/small", "north/small")
    assert down.degraded == "class modest in place of smart"
    assert down.is_degraded
    assert not down.fails


def test_what_nobody_else_serves_fails_with_the_reason() -> None:
    down = outcome(drill(), "alone", "down:west")
    assert down.fails
    assert not down.fails_at_once
    assert down.reason == "down (1)"
    assert down.detail.startswith("no_candidates: nothing may serve 'alone': unhealthy: west/big")


def test_a_plan_whose_providers_are_all_down_fails_until_the_outage_is_noticed() -> None:
    down = outcome(drill(), "many", "down:north+west")
    assert down.deployment == "home/tiny"
    assert down.at_once is None
    assert down.fails_at_once
    assert outcome(drill(), "many", "down:east").at_once == "west/one"
    # Of three routes at one provider the last is kept for another.
    assert outcome(drill(), "many", "down:west").at_once == "north/small"


def test_a_backup_serves_for_who_is_slow_after_a_wait() -> None:
    slow = outcome(drill(), "smart", "slow:west")
    assert (slow.deployment, slow.at_once, slow.degraded) == ("east/grand", "east/grand", None)
    assert slow.waits == Timeouts().first_content
    # Nobody waits for whom nobody asks.
    assert outcome(drill(), "smart", "slow:east").waits == 0.0
    # Two routes at who is slow are waited for one after the other, before the third is asked.
    twice = outcome(drill(), "many", "slow:west")
    assert (twice.at_once, twice.waits) == ("north/small", 2 * Timeouts().first_content)
    assert outcome(drill(), "smart", "down:west").waits == 0.0


def test_waiting_for_who_is_slow_may_take_all_the_time_there_is() -> None:
    limits = Timeouts(first_content=20.0, total=40.0)
    made = rehearse(structs.replace(town(), limits=lambda _latency: limits))
    many = outcome(made, "many", "slow:west")
    assert (many.deployment, many.at_once, many.fails_at_once) == ("north/small", None, True)
    assert many.is_out_of_time
    assert many.at_once_reason == "the time of a call is over before one that answers is asked"
    smart = outcome(made, "smart", "slow:west")
    assert (smart.at_once, smart.waits, smart.is_out_of_time) == ("east/grand", 20.0, False)


@pytest.mark.parametrize("latency", ["interactive", "batch"])
def test_how_long_a_call_waits_goes_by_its_own_latency_target(latency: Latency) -> None:
    def limits(wanted: Latency | None) -> Timeouts:
        return Timeouts(first_content=7.0 if wanted == latency else 1.0)

    world = town(options=CallOptions(latency=latency))
    made = rehearse(structs.replace(world, limits=limits))
    assert outcome(made, "smart", "slow:west").waits == 7.0


@pytest.mark.parametrize("scenario", ["limited", "limited_unsaid"])
def test_who_is_at_its_rate_limit_is_left_at_once(scenario: str) -> None:
    made = drill()
    limited = outcome(made, "smart", f"{scenario}:west")
    assert (limited.deployment, limited.at_once, limited.waits) == ("east/grand", "east/grand", 0)
    alone = outcome(made, "alone", f"{scenario}:west")
    assert (alone.fails, alone.reason) == (True, "at its rate limit (1)")
    assert outcome(made, "many", f"{scenario}:west").at_once == "north/small"


def test_only_a_rate_limit_that_names_a_time_does() -> None:
    named = {item.name: item.retry_after for item in drill().scenarios if item.limited}
    assert (named["limited:west"], named["limited_unsaid:west"]) == (60.0, None)


def test_money_at_85_percent_lets_what_is_cheaper_serve_and_at_the_cap_what_is_free() -> None:
    made = drill()
    nearly = outcome(made, "smart", "budget_85")
    assert nearly.deployment == "north/small"
    assert nearly.degraded == (
        "month (all calls) has spent $85.00 of $100.00: class modest in place of smart"
    )
    assert outcome(made, "smart", "budget_cap").deployment == "home/tiny"
    alone = outcome(made, "alone", "budget_cap")
    assert (alone.fails, alone.reason) == (True, "no money left (1)")
    assert outcome(made, "near", "budget_cap").deployment == "home/tiny"


def test_without_a_cap_in_dollars_no_budget_is_rehearsed() -> None:
    made = rehearse(town(budgets={"calls": Budget(calls=1000)}))
    assert not any(scenario.percent for scenario in made.scenarios)
    of_acme = {"acme": Budget(tenant="acme", dollars=1)}
    made = rehearse(town(budgets=of_acme))
    assert not any(scenario.percent for scenario in made.scenarios)
    made = rehearse(town(budgets=of_acme, options=CallOptions(tenant="acme")))
    assert [item.percent for item in made.scenarios if item.percent] == [85, 100]


def test_a_private_call_stays_at_home_or_fails() -> None:
    made = drill()
    assert outcome(made, "smart", "private").deployment == "home/tiny"
    assert outcome(made, "near", "private").deployment == "home/tiny"
    assert outcome(made, "alone", "private").reason == "beyond the boundary (1)"


def test_who_is_not_configured_is_no_reason_and_no_scenario() -> None:
    made = rehearse(town(providers=("west",)))
    assert [item.name for item in made.scenarios] == WEST_ALONE
    assert outcome(made, "near", "healthy").reason == "no provider here serves it"


def test_a_provider_that_is_named_twice_is_one() -> None:
    made = rehearse(town(providers=("west", "west")))
    assert [item.name for item in made.scenarios] == WEST_ALONE


def test_one_target_or_one_scenario_can_be_taken_out() -> None:
    made = drill()
    part = made.only("smart", None)
    assert (part.targets, part.scenarios) == (("smart",), made.scenarios)
    part = made.only(None, "private")
    assert part.targets == made.targets
    assert [item.name for item in part.scenarios] == ["private"]


def test_the_policy_of_who_calls_is_rehearsed() -> None:
    policies = {
        "acme": PolicySettings(tenants=["acme"], without=["west"], shortcuts={"own": "near"})
    }
    made = rehearse(town(policies=policies, options=CallOptions(tenant="acme")), ["own"])
    assert outcome(made, "smart", "healthy").deployment == "east/grand"
    assert outcome(made, "own", "healthy").deployment == "home/tiny"
    # To everybody else that name means nothing.
    assert outcome(rehearse(town(policies=policies), ["own"]), "own", "healthy").reason == (
        "unknown_target"
    )


def test_a_name_that_is_no_shortcut_can_be_rehearsed_too() -> None:
    made = rehearse(town(), ["modest", "smart"])
    assert made.targets == (*made.shortcuts, "modest")
    assert outcome(made, "modest", "down:north").deployment == "home/tiny"


def test_the_shipped_shortcuts_are_asked_for_what_they_do() -> None:
    world = structs.replace(town(), book=shipped())
    made = rehearse(world)
    assert {made.kinds["embed"], made.kinds["rerank"], made.kinds["smart"]} == {
        "embedding",
        "rerank",
        "chat",
    }
    healthy = {name: made.outcomes[name, "healthy"] for name in made.shortcuts}
    assert not [name for name, item in healthy.items() if item.fails]
    # A question to who sees comes with a picture, so that only who sees may answer it.
    assert world.ask("vision", made.scenarios[0])[1].images == 1
    assert world.ask("smart", made.scenarios[0])[1].images == 0
