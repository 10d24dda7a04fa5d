"""Directory and policies as one book: what a name stands for, for this call, before it is planned.

Rules of this file: pure. A book never changes; another directory or policy is another book. What it
works out once it keeps, for as long as it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from msgspec import Struct, structs

from routerd.classify.rules import Rules
from routerd.classify.words import WordRules
from routerd.decide.candidates import Prepared
from routerd.decide.experiments import arm_of, lot, shadows_of
from routerd.decide.judging import Terrain
from routerd.decide.order import settled
from routerd.decide.policy import Policies, Policy
from routerd.decide.preparing import prepare
from routerd.decide.resolving import resolve
from routerd.decide.usual import usual_plan
from routerd.domain import Boundary, Caller, Complexity, Features, Kind, Sensitivity, Snapshot
from routerd.models.directory import BOUNDARIES, Directory, Resolution
from routerd.models.lineup import Lineup
from routerd.models.schema import Defaults, Deployment
from routerd.settings import (
    Budget,
    Budgeting,
    Caching,
    Experiment,
    PolicySettings,
    Rule,
    Shadow,
    Timeouts,
)

__all__ = ["Book", "Choice", "PolicyDocument"]

# What `auto` takes a call for that no rule says anything of.
UNSAID: Final[Complexity] = "medium"
SECONDS_A_DAY: Final = 86_400
# More targets with more policies than anybody has; beyond it everything is worked out anew.
MOST_PREPARED: Final = 20_000


class PolicyDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that calls are decided by besides the directory, as it is kept with their records.

    `rules` are the user's, then those that come with routerd. `providers` are those that can be
    called, `contracted` the vendors that may see internal calls. Budgets, cache and timeouts decide
    nothing here; they tell a reader what else held.
    """

    providers: tuple[str, ...]
    contracted: tuple[str, ...] = ()
    budgeting: Budgeting = Budgeting()
    rules: dict[str, Rule] = {}
    policies: dict[str, PolicySettings] = {}
    experiments: dict[str, Experiment] = {}
    shadows: dict[str, Shadow] = {}
    budgets: dict[str, Budget] = {}
    default_budgets: tuple[str, ...] = ()
    cache: Caching = Caching()
    timeouts: Timeouts = Timeouts()


class Kept(Struct, frozen=True, eq=False):
    """Candidates that were prepared, from one midnight up to another, in seconds since 1970."""

    since: int
    until: int
    prepared: Prepared


class Choice(Struct, frozen=True, eq=False):
    """What a call asks for, once rules, policy and experiments have spoken.

    `target` is what was asked for, `serves` the name that stands in for it, `rule` says why. `draw`
    is the call's lot, 0 to 1. `resolution` is what the name stands for. `boundary` is the nearest
    that any name on the way set, asked for or not: what is renamed keeps what it promised. A copy
    is a shadow's. `prepared` is the book's own, for calls that meet the same choice.
    """

    target: str
    serves: str
    rule: str
    policy: Policy
    complexity: Complexity | None
    arm: str | None
    shadows: tuple[str, ...]
    defaults: Defaults
    resolution: Resolution
    draw: float
    boundary: Boundary | None = None
    is_copy: bool = False
    prepared: dict[tuple[Sensitivity, Kind], Kept] = {}


class Book:
    """Directory and policies, prepared; PolicyMistake where the policies contradict themselves."""

    def __init__(self, directory: Directory, document: PolicyDocument) -> None:
        self.directory = directory.prepared()
        self.document = document
        self.budgeting = document.budgeting
        self.words = WordRules(document.rules)
        self.policies = Policies(document.policies)
        self._rules = Rules(document.rules)
        self._providers = frozenset(document.providers)
        self._contracted = frozenset(document.contracted)
        self._experiments = {
            item.target: (name, item) for name, item in document.experiments.items()
        }
        self._shadows: dict[str, dict[str, Shadow]] = {}
        for name, item in document.shadows.items():
            self._shadows.setdefault(item.target, {})[name] = item
        self._chosen: dict[tuple[str, str, str | None, bool], Choice] = {}
        self._lineups: dict[str, Lineup] = {}
        self._prepared: dict[tuple[Any, ...], Kept] = {}

    def choose(self, target: str, features: Features, caller: Caller) -> Choice:
        """Say who is to serve a call; CallRefused where no such name exists."""
        of, hit, is_copy = features.policy, None, False
        if of is None:
            policy = self.policies.of(caller)
            hit = self._rules.first(target, features, caller)
        else:
            # A shadow says whom its copies go to, whoever is copied: no rule.
            policy = self.policies.by_name.get(of) or self.policies.of(caller)
            is_copy = True
        key = (target, policy.name, hit and hit[0], is_copy)
        choice = self._chosen.get(key)
        if choice is None:
            way = _Way(self, target)
            choice = self._choose(way, policy, hit, features, caller, is_copy=is_copy)
            if not (way.is_of_this_call or self._shadows or "weights" in policy.balance):
                if len(self._chosen) >= MOST_PREPARED:
                    self._chosen.clear()
                self._chosen[key] = choice
        return choice

    def _choose(
        self,
        way: _Way,
        policy: Policy,
        hit: tuple[str, Rule] | None,
        features: Features,
        caller: Caller,
        *,
        is_copy: bool,
    ) -> Choice:
        target = way.target
        if not is_copy:
            self._rename(way, policy, hit, features, caller)
        resolution = resolve(self.directory, way.name)
        # Twice where an experiment leads back to a name that goes by it.
        while resolution.by_complexity:
            complexity = way.complexity or self._complexity(way, features, caller)
            way.because.append(f"{way.name} takes it for {complexity}")
            way.complexity = complexity
            way.own = _joined(way.own, resolution.defaults)
            way.go_to(resolution.by_complexity[complexity])
            if way.arm is None and not is_copy:
                self._experiment(way, features, caller)
            resolution = resolve(self.directory, way.name)
        if way.arm is not None:
            way.because.append(f"experiment {way.arm}")
        way.because.append(f"{resolution.kind} {resolution.name}")
        if is_copy:
            # What it is to be compared with, or nothing.
            resolution = structs.replace(resolution, backups=(), degraded=())
        return Choice(
            target,
            way.name,
            way.because[0] if len(way.because) == 1 else ", ".join(way.because),
            policy,
            way.complexity,
            way.arm,
            self._copies(target, way.name, caller) if self._shadows and not is_copy else (),
            _joined(way.own, resolution.defaults),
            resolution,
            lot("call", caller.decision_id) if "weights" in policy.balance else 0.0,
            way.boundary,
            is_copy,
        )

    def _rename(
        self,
        way: _Way,
        policy: Policy,
        hit: tuple[str, Rule] | None,
        features: Features,
        caller: Caller,
    ) -> None:
        """Let policy, rules and experiments say who serves in the place of what was asked for."""
        target = way.name
        if target in policy.shortcuts:
            way.go_to(policy.shortcuts[target])
            way.because.append(f"policy {policy.name}: {way.name} for {target}")
        if hit is not None:
            rule_name, rule = hit
            way.because.append(f"rule {rule_name}")
            way.complexity = rule.complexity
            if rule.use is not None:
                # What a name means for a tenant, it means in a rule too.
                way.go_to(policy.shortcuts.get(rule.use, rule.use))
        self._experiment(way, features, caller)

    def _complexity(self, way: _Way, features: Features, caller: Caller) -> Complexity:
        """Say what a call is taken for where nothing that led here said so."""
        if way.name != way.target:
            way.is_of_this_call = True
            hit = self._rules.first(way.name, features, caller)
            if hit is not None and hit[1].complexity is not None:
                way.because.append(f"rule {hit[0]}")
                return hit[1].complexity
        return UNSAID

    def prepared(self, choice: Choice, features: Features, snapshot: Snapshot) -> Prepared:
        """Return the candidates of a choice, sorted as far as the call does not matter."""
        kept = choice.prepared.get((features.sensitivity, features.kind))
        if kept is not None and not snapshot.gone and kept.since <= snapshot.now < kept.until:
            return kept.prepared
        return self._prepared_for(choice, features, snapshot)

    def _prepared_for(self, choice: Choice, features: Features, snapshot: Snapshot) -> Prepared:
        """Return the same for calls that met another choice, or deployments that are gone."""
        policy = choice.policy.name
        rest = (
            choice.resolution.name,
            features.sensitivity,
            features.kind,
            choice.boundary,
            choice.is_copy,
            tuple(snapshot.gone.items()) if snapshot.gone else (),
        )
        # There may be a policy for each tenant: those that choose alike have the same candidates,
        # unless a reason names the policy.
        alike = ("", self.policies.chooses_as[policy], *rest)
        for key in (alike, (policy, *rest)):
            kept = self._prepared.get(key)
            if kept is not None and kept.since <= snapshot.now < kept.until:
                break
        else:
            if len(self._prepared) >= MOST_PREPARED:
                self._prepared.clear()
            day = int(snapshot.now) // SECONDS_A_DAY
            prepared = self._prepare(choice, features, snapshot, _date(day))
            until = prepared.until
            kept = Kept(
                day * SECONDS_A_DAY,
                NEVER if until is None else (until.toordinal() - EPOCH) * SECONDS_A_DAY,
                prepared,
            )
            self._prepared[(policy, *rest) if prepared.names_policy else alike] = kept
        if not snapshot.gone:
            choice.prepared[features.sensitivity, features.kind] = kept
        return kept.prepared

    def candidates(self, choice: Choice) -> Lineup:
        """Return every deployment that a plan for a choice may look at, once each."""
        name = choice.resolution.name
        found = self._lineups.get(name)
        if found is None:
            found = self._lineups[name] = Lineup.of(self._find_candidates(choice.resolution))
        return found

    def _find_candidates(self, resolution: Resolution) -> Iterable[Deployment]:
        found = {item.id: item for item in (*resolution.candidates, *resolution.backups)}
        for step in resolution.degraded:
            found |= {item.id: item for item in step.candidates}
        models = {item.model for item in found.values()}
        for model in tuple(models):
            replacement = self.directory.models[model].replacement
            # A replacement may have one too.
            while replacement is not None and replacement not in models:
                models.add(replacement)
                found |= {item.id: item for item in self.directory.deployments_of(replacement)}
                replacement = self.directory.models[replacement].replacement
        return found.values()

    def _prepare(
        self, choice: Choice, features: Features, snapshot: Snapshot, day: date
    ) -> Prepared:
        prepared = prepare(
            choice.resolution,
            Terrain(
                self.directory,
                self._providers,
                self._contracted,
                choice.policy,
                features.sensitivity,
                features.kind,
                day,
                snapshot.gone,
                choice.boundary,
            ),
        )
        groups = tuple(settled(group, choice.policy) for group in prepared.groups)
        return structs.replace(
            prepared,
            groups=groups,
            usual=usual_plan(prepared.resolution, groups, choice.policy),
            near_cap=tuple(settled(group, choice.policy) for group in prepared.near_cap),
        )

    def _experiment(self, way: _Way, features: Features, caller: Caller) -> None:
        """Put the call into an arm, if its target has an experiment."""
        if way.name not in self._experiments:
            return
        way.is_of_this_call = True
        experiment, settings = self._experiments[way.name]
        found = arm_of(experiment, settings, features, caller)
        if found is None:
            return
        arm_name, arm = found
        own = Defaults(
            max_output_tokens=arm.max_output_tokens,
            temperature=arm.temperature,
            reasoning=arm.reasoning,
        )
        way.arm, way.own = f"{experiment}/{arm_name}", _joined(way.own, own)
        if arm.use is not None:
            way.go_to(arm.use)

    def _copies(self, target: str, name: str, caller: Caller) -> tuple[str, ...]:
        asked: Mapping[str, Shadow] = {
            **self._shadows.get(target, {}),
            **self._shadows.get(name, {}),
        }
        return shadows_of(asked, caller)


class _Way:
    """The names that lead from what was asked for to what serves, and what they set.

    `is_of_this_call`: target, policy and the rule met do not settle it for the next call.
    """

    def __init__(self, book: Book, target: str) -> None:
        self.target = self.name = target
        self.because: list[str] = []
        self.boundary: Boundary | None = None
        self.complexity: Complexity | None = None
        self.arm: str | None = None
        self.is_of_this_call = False
        self.own = NOTHING
        self._directory = book.directory
        self._keep_near(target)

    def go_to(self, name: str) -> None:
        """Let another name serve; what text may reach is never farther for it."""
        self.name = name
        self._keep_near(name)

    def _keep_near(self, name: str) -> None:
        limit = self._directory.boundary_of(name)
        if limit is not None:
            before = self.boundary or limit
            self.boundary = min(before, limit, key=BOUNDARIES.index)


NOTHING: Final = Defaults()
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
NEVER: Final = 2**62


def _date(days: int) -> date:
    """Return the day that is so many after the first of 1970."""
    return date.fromordinal(days + EPOCH)


def _joined(first: Defaults, others: Defaults) -> Defaults:
    """Return defaults that are the others' where the first say nothing."""
    if first is NOTHING or others is NOTHING:
        return others if first is NOTHING else first
    missing = {
        name: getattr(others, name)
        for name in Defaults.__struct_fields__
        if getattr(first, name) is None
    }
    return structs.replace(first, **missing)
