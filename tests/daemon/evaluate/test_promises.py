"""Which promises a drill finds broken, and what is expected where none is made."""

from __future__ import annotations

from msgspec import structs

from routerd.evaluate.drill import rehearse
from routerd.evaluate.promises import Breach, breaches_of, unmet_expectations
from routerd.settings import HARDSHIPS, Budget, Hardship, Promise
from tests.daemon.evaluate.towns import town

BUDGETS = {"month": Budget(window="month", dollars=100)}
DRILL = rehearse(town(budgets=BUDGETS))
FIRST = "fails until the outage is noticed: every route of the plan is down"


def broken(*survives: Hardship, shortcuts: list[str], degraded: bool = True) -> list[Breach]:
    promise = Promise(survives=list(survives), shortcuts=shortcuts, degraded=degraded)
    return breaches_of({"chat": promise}, DRILL)


def test_a_promise_that_holds_has_no_breach() -> None:
    assert broken(*HARDSHIPS, shortcuts=["smart"]) == []
    assert broken("one_provider", shortcuts=["smart"], degraded=False) == []


def test_a_degraded_answer_breaks_a_promise_that_says_so() -> None:
    found = broken("two_providers", "budget_85", shortcuts=["smart"], degraded=False)
    assert [(item.promise, item.scenario, item.target) for item in found] == [
        ("chat", "down:east+west", "smart"),
        ("chat", "budget_85", "smart"),
    ]
    assert found[0].reason == "degraded: class modest in place of smart"


def test_what_fails_breaks_it_with_scenario_and_reason() -> None:
    assert broken("one_provider", "private", shortcuts=["alone", "smart"]) == [
        Breach("chat", "down:west", "alone", "fails: down (1)"),
        Breach("chat", "private", "alone", "fails: beyond the boundary (1)"),
    ]


def test_what_fails_until_the_outage_is_noticed_breaks_it_too() -> None:
    assert broken("two_providers", shortcuts=["many"]) == [
        Breach("chat", "down:north+west", "many", FIRST)
    ]


def test_a_promise_without_shortcuts_is_for_all_of_them() -> None:
    assert {item.target for item in broken("private", shortcuts=[])} == {"alone"}


def test_what_fails_with_all_well_is_told_once() -> None:
    made = rehearse(town(providers=("west",)))
    promise = Promise(survives=["one_provider", "private"], shortcuts=["near"])
    reason = "fails: no provider here serves it"
    assert breaches_of({"near": promise}, made) == [Breach("near", "healthy", "near", reason)]


def test_where_there_are_no_two_providers_losing_two_is_not_survived() -> None:
    made = rehearse(town(providers=("home",)))
    promise = Promise(survives=["two_providers"], shortcuts=["near"])
    (found,) = breaches_of({"near": promise}, made)
    assert (found.scenario, found.target) == ("two_providers", "near")


def test_without_promises_a_declared_path_has_to_help_with_one_provider_down() -> None:
    directory = town().book.directory
    assert unmet_expectations(DRILL, directory) == []
    place = ("many", "down:west")
    reason = "every route of the plan is down"
    failing = structs.replace(DRILL.outcomes[place], at_once=None, at_once_reason=reason)
    other = structs.replace(DRILL, outcomes={**DRILL.outcomes, place: failing})
    assert unmet_expectations(other, directory) == [Breach("", "down:west", "many", FIRST)]
    # Where only one can serve, nothing else is to be expected.
    assert unmet_expectations(rehearse(town(providers=("west",))), directory) == []
