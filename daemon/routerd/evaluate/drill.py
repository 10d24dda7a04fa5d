"""The drill: who would serve every shortcut on every bad day, by the plan that calls are served by.

Rules of this file: pure. A plan for a call is made twice: once knowing who is down, which is what
holds from the moment that the outage is noticed, and once not knowing it, which is what the calls
until then go through. What fails in either fails somebody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from routerd.decide import make_plan, refusal
from routerd.decide.reasons import NOT_HERE
from routerd.domain import Plan, Route
from routerd.errors import CallRefused
from routerd.evaluate.scenarios import HEALTHY, Scenario, scenarios_for
from routerd.evaluate.world import World

__all__ = ["Drill", "Outcome", "predict", "rehearse", "surviving"]

# What kept the candidates from serving, in words for a table.
WORDS: Final = {
    "unhealthy": "down",
    "boundary": "beyond the boundary",
    "budget": "no money left",
    "unknown_price": "price unknown under a cap",
    "policy": "not in the policy",
    "moving_alias": "moving alias",
    "other_vectors": "other vectors",
    "free_tier": "free tier used up",
}


class Outcome(Struct, frozen=True):
    """What comes of calls to a target on a bad day.

    `deployment` serves once the day is known to be one, `degraded` says why it is not what was
    asked for, `backups` stand behind it; None: calls fail, for the `reason`. `at_once` serves the
    calls that come before the outage is noticed, None where those fail; `degraded_at_once` is for
    these. `detail` is the whole refusal.
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

    @property
    def fails(self) -> bool:
        """Say whether calls fail, however long the day has been one."""
        return self.deployment is None

    @property
    def fails_at_once(self) -> bool:
        """Say whether calls fail until the outage is noticed, and not any more from then on."""
        return self.deployment is not None and self.at_once is None

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
    snapshot = world.snapshot(scenario, world.book.candidates(choice))
    plan = make_plan(world.book, choice, features, snapshot)
    if not plan.routes:
        info = refusal(plan, snapshot)
        detail = f"{info.code}: {info.message}"
        return Outcome(target, scenario.name, None, reason=_reason(plan), detail=detail)
    first, *others = plan.routes
    at_once: Route | None = first
    if scenario.down:
        unaware = world.snapshot(HEALTHY, world.book.candidates(choice))
        at_once = surviving(make_plan(world.book, choice, features, unaware).routes, scenario)
    return Outcome(
        target,
        scenario.name,
        first.deployment,
        first.degraded,
        tuple(route.deployment for route in others),
        at_once=at_once.deployment if at_once is not None else None,
        degraded_at_once=at_once.degraded if at_once is not None else None,
    )


def surviving(routes: Sequence[Route], scenario: Scenario) -> Route | None:
    """Return the first route of a plan whose provider is not down."""
    return next((route for route in routes if route.provider not in scenario.down), None)


def _kind(world: World, target: str) -> str:
    try:
        return world.ask(target, HEALTHY)[1].kind
    except CallRefused:
        return "chat"


def _reason(plan: Plan) -> str:
    """Say what kept the candidates that are here from serving, the most frequent first."""
    counts = Counter(item.code for item in plan.dropped if item.code not in NOT_HERE)
    if not counts:
        return "no provider here serves it"
    return ", ".join(f"{WORDS.get(code, code)} ({count})" for code, count in counts.most_common())
