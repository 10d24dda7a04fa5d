"""The drill: who would serve every shortcut on every bad day, by the plan that calls are served by.

Rules of this file: pure. A plan for a call is made twice: once knowing who is in trouble, which is
what holds from the moment that it is noticed, and once not knowing it, which is what the calls
until then go through. What fails in either fails somebody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from msgspec import Struct, structs

from routerd.decide import make_plan, refusal
from routerd.decide.reasons import NOT_HERE
from routerd.domain import Features, Plan, Route
from routerd.errors import CallRefused
from routerd.evaluate.scenarios import HEALTHY, Scenario, scenarios_for
from routerd.evaluate.world import World

__all__ = ["Drill", "Outcome", "predict", "rehearse", "surviving"]

# What kept the candidates from serving, in words for a table.
WORDS: Final = {
    "boundary": "beyond the boundary",
    "budget": "no money left",
    "unknown_price": "price unknown under a cap",
    "policy": "not in the policy",
    "moving_alias": "moving alias",
    "other_vectors": "other vectors",
    "free_tier": "free tier used up",
}

OUT_OF_TIME: Final = "the time of a call is over before one that answers is asked"


class Outcome(Struct, frozen=True):
    """What comes of calls to a target on a bad day.

    `deployment` serves once the day is known to be one, `degraded` says why it is not what was
    asked for, `backups` stand behind it; None: calls fail, for the `reason`. `at_once` serves the
    calls that come before the outage is noticed, None where those fail, for the reason
    `at_once_reason`; `degraded_at_once` is for these, and `waits` the seconds that they spend on
    who is slow. `detail` is the whole refusal.
    """

    target: str
    scenario: str
    deployment: str | None
    degraded: str | None = None
    backups: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""
    at_once: str | None = None
    degraded_at_once: str | None = None
    at_once_reason: str = ""
    waits: float = 0.0

    @property
    def fails(self) -> bool:
        """Say whether calls fail, however long the day has been one."""
        return self.deployment is None

    @property
    def fails_at_once(self) -> bool:
        """Say whether calls fail until the outage is noticed, and not any more from then on."""
        return self.deployment is not None and self.at_once is None

    @property
    def is_out_of_time(self) -> bool:
        """Say whether they fail then because they waited too long for who is slow."""
        return self.fails_at_once and self.at_once_reason == OUT_OF_TIME

    @property
    def is_degraded(self) -> bool:
        """Say whether some calls get an answer that is not what was asked for."""
        return self.degraded is not None or self.degraded_at_once is not None


class Drill(Struct, frozen=True):
    """Every outcome, by target and by scenario; `shortcuts` are most of the targets.

    `kinds` says what kind of calls a target serves.
    """

    targets: tuple[str, ...]
    shortcuts: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    outcomes: dict[tuple[str, str], Outcome]
    kinds: dict[str, str]

    def only(self, target: str | None, scenario: str | None) -> Drill:
        """Return the part of it that is about one target, or one scenario; None: about any."""
        return structs.replace(
            self,
            targets=tuple(item for item in self.targets if target in (None, item)),
            scenarios=tuple(item for item in self.scenarios if scenario in (None, item.name)),
        )

    def of(self, target: str) -> list[tuple[Scenario, Outcome]]:
        """Return what comes of calls to a target, scenario by scenario."""
        return [(item, self.outcomes[target, item.name]) for item in self.scenarios]


def rehearse(world: World, more_targets: Iterable[str] = ()) -> Drill:
    """Predict every scenario for every shortcut, and for `more_targets`."""
    shortcuts = tuple(world.book.directory.shortcuts)
    targets = tuple(dict.fromkeys((*shortcuts, *more_targets)))
    scenarios = scenarios_for(world.book.document.providers, has_caps=world.has_caps)
    outcomes = {
        (target, scenario.name): predict(world, target, scenario)
        for scenario in scenarios
        for target in targets
    }
    kinds = {name: _kind(world, name) for name in targets}
    return Drill(targets, shortcuts, scenarios, outcomes, kinds)


def predict(world: World, target: str, scenario: Scenario) -> Outcome:
    """Say what comes of calls to a target on a bad day."""
    try:
        choice, features = world.ask(target, scenario)
    except CallRefused as refused:
        why = refused.info.message
        return Outcome(target, scenario.name, None, reason=refused.info.code, detail=why)
    snapshot = world.snapshot(scenario, world.book.candidates(choice).deployments)
    plan = make_plan(world.book, choice, features, snapshot)
    if not plan.routes:
        info = refusal(plan, snapshot)
        detail = f"{info.code}: {info.message}"
        reason = _reason(plan, scenario)
        return Outcome(target, scenario.name, None, reason=reason, detail=detail)
    first, *others = plan.routes
    at_once: Route | None = first
    why, waits = "", 0.0
    if scenario.struck:
        unaware = world.snapshot(HEALTHY, world.book.candidates(choice).deployments)
        routes = make_plan(world.book, choice, features, unaware).routes
        at_once = surviving(routes, scenario)
        waits = _waits(world, features, routes, scenario)
        if at_once is None:
            why = f"every route of the plan is {scenario.trouble}"
        elif waits >= world.limits(features.latency).total:
            at_once, why = None, OUT_OF_TIME
    return Outcome(
        target,
        scenario.name,
        first.deployment,
        first.degraded,
        tuple(route.deployment for route in others),
        at_once=at_once.deployment if at_once is not None else None,
        degraded_at_once=at_once.degraded if at_once is not None else None,
        at_once_reason=why,
        waits=waits,
    )


def surviving(routes: Sequence[Route], scenario: Scenario) -> Route | None:
    """Return the first route of a plan whose provider is in no trouble."""
    return next((route for route in routes if route.provider not in scenario.struck), None)


def _waits(world: World, features: Features, routes: Sequence[Route], scenario: Scenario) -> float:
    """Return how long a call waits for who is slow before it asks one that answers."""
    limits = world.limits(features.latency)
    # A chat is taken for a stream; of vectors and rankings nothing comes before all of it does.
    each = limits.first_content if features.kind == "chat" else limits.whole_answer
    waited = takewhile(lambda route: route.provider in scenario.struck, routes)
    return sum(each for route in waited if route.provider in scenario.slow)


def _kind(world: World, target: str) -> str:
    try:
        return world.ask(target, HEALTHY)[1].kind
    except CallRefused:
        return "chat"


def _reason(plan: Plan, scenario: Scenario) -> str:
    """Say what kept the candidates that are here from serving, the most frequent first."""
    counts = Counter(item.code for item in plan.dropped if item.code not in NOT_HERE)
    if not counts:
        return "no provider here serves it"
    words = WORDS | {"unhealthy": scenario.trouble}
    return ", ".join(f"{words.get(code, code)} ({count})" for code, count in counts.most_common())
