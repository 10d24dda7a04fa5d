"""Whether what a real daemon did on a bad day is what was predicted.

Rules of this file: pure. An outage is noticed by traffic, and what the daemon measured may put
equals in another order; the plan is made again with just that, and with nothing else that the
daemon said. A provider that it takes for down and that is not is no excuse.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, structs

from routerd.decide import make_plan
from routerd.domain import Route, Snapshot
from routerd.errors import CallRefused
from routerd.evaluate.drill import Outcome, surviving
from routerd.evaluate.scenarios import Scenario
from routerd.evaluate.world import World, told

__all__ = ["Answered", "Seen", "Verdict", "judged", "not_run"]

Verdict = Literal["agrees", "disagrees", "not run"]
MEASURED: Final = ("latency_ms", "in_flight", "headroom")


class Answered(Struct, frozen=True):
    """What came of a real call: who answered, or with which `code` it failed.

    `snapshot` is what the daemon knew when it decided, None where it decided nothing.
    """

    deployment: str | None
    degraded: str | None = None
    code: str = ""
    decision_id: str = ""
    snapshot: Snapshot | None = None


class Seen(Struct, frozen=True):
    """One call of a rehearsal beside its prediction; `why` says what is different, or not run."""

    target: str
    scenario: str
    verdict: Verdict
    predicted: str | None = None
    answered: str | None = None
    why: str = ""


def not_run(outcome: Outcome, why: str) -> Seen:
    """Return what is said of a prediction that was put to no test."""
    return Seen(outcome.target, outcome.scenario, "not run", outcome.deployment, why=why)


def judged(world: World, target: str, scenario: Scenario, answered: Answered) -> Seen:
    """Compare a call with the prediction for the moment at which it came."""
    predicted = _expected(world, target, scenario, answered, measured=False)
    seen = Seen(
        target,
        scenario.name,
        "agrees",
        predicted.deployment if predicted is not None else None,
        answered.deployment,
    )
    if _is_alike(predicted, answered):
        return seen
    moved = _expected(world, target, scenario, answered, measured=True)
    if _is_alike(moved, answered):
        return structs.replace(seen, why="what was measured put equals in another order")
    return structs.replace(seen, verdict="disagrees", why=_difference(predicted, answered))


def _expected(
    world: World, target: str, scenario: Scenario, answered: Answered, *, measured: bool
) -> Route | None:
    """Return the route that answers, knowing no more of the outage than the daemon did."""
    try:
        choice, features = world.ask(target, scenario, answered.decision_id)
    except CallRefused:
        return None
    knew = answered.snapshot if answered.snapshot is not None else Snapshot(world.now)
    snapshot = structs.replace(
        world.snapshot(scenario, world.book.candidates(choice).deployments),
        unhealthy={
            name: told(scenario)
            for name in knew.unhealthy
            if _provider(world, name) in scenario.struck
        },
    )
    if measured:
        more = {name: getattr(knew, name) for name in MEASURED}
        snapshot = structs.replace(snapshot, **more)
    return surviving(make_plan(world.book, choice, features, snapshot).routes, scenario)


def _provider(world: World, name: str) -> str:
    """Return the provider that is meant by its own name, or by that of one of its deployments."""
    deployment = world.book.directory.deployments.get(name)
    return name if deployment is None else deployment.provider


def _is_alike(route: Route | None, answered: Answered) -> bool:
    if route is None or answered.deployment is None:
        return route is None and answered.deployment is None
    is_degraded = (route.degraded is not None, answered.degraded is not None)
    return route.deployment == answered.deployment and is_degraded[0] == is_degraded[1]


def _difference(route: Route | None, answered: Answered) -> str:
    predicted = "a failure" if route is None else route.deployment
    if answered.deployment is None:
        return f"predicted was {predicted}, and it failed with {answered.code}"
    if route is not None and route.deployment == answered.deployment:
        return f"predicted was {_degraded(route.degraded)}, and it was " + _degraded(
            answered.degraded
        )
    return f"predicted was {predicted}, and {answered.deployment} answered"


def _degraded(reason: str | None) -> str:
    return "not degraded" if reason is None else f"degraded ({reason})"
