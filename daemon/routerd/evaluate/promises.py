"""What was promised of bad days, and where a drill found it broken.

Rules of this file: pure. A promise is what the configuration declares; without one, what classes
declare of themselves is held against the drill, and told as a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from routerd.evaluate.drill import Drill, Outcome
from routerd.evaluate.scenarios import HEALTHY
from routerd.models.directory import Directory
from routerd.settings import Promise

__all__ = ["Breach", "breaches_of", "unmet_expectations"]


class Breach(Struct, frozen=True):
    """Where a promise does not hold, or an expectation: `promise` is its name, empty for none."""

    promise: str
    scenario: str
    target: str
    reason: str


def breaches_of(promises: Mapping[str, Promise], drill: Drill) -> list[Breach]:
    """Return every breach of a declared promise, in the order of the file."""
    found = []
    for name, promise in promises.items():
        targets = promise.shortcuts or drill.shortcuts
        found += [
            Breach(name, scenario, target, reason)
            for target in targets
            for scenario, reason in _broken(promise, target, drill)
        ]
    return found


def _broken(promise: Promise, target: str, drill: Drill) -> Iterator[tuple[str, str]]:
    healthy = drill.outcomes[target, HEALTHY.name]
    if healthy.fails:
        # Whatever else is wrong, it is wrong for this.
        yield HEALTHY.name, f"fails: {healthy.reason}"
        return
    rehearsed = {scenario.hardship for scenario, _ in drill.of(target)}
    if "two_providers" in promise.survives and "two_providers" not in rehearsed:
        yield "two_providers", "there are no two providers, so that one failure is already too many"
    for scenario, outcome in drill.of(target):
        if scenario.hardship in promise.survives:
            reason = _breach(outcome, may_degrade=promise.degraded)
            if reason is not None:
                yield scenario.name, reason


def _breach(outcome: Outcome, *, may_degrade: bool) -> str | None:
    """Return why an outcome breaks a promise, None if it does not."""
    if outcome.fails:
        return f"fails: {outcome.reason}"
    if outcome.fails_at_once:
        return f"fails until the outage is noticed: {outcome.at_once_reason}"
    if outcome.is_degraded and not may_degrade:
        return f"degraded: {outcome.degraded or outcome.degraded_at_once}"
    return None


def unmet_expectations(drill: Drill, directory: Directory) -> list[Breach]:
    """Return where a declared degraded path does not help although somebody could serve.

    That is what may be expected without a promise: who declares a path other than "fail" is served
    with one provider down, wherever more than one of the configured ones can serve.
    """
    found = []
    for target in drill.shortcuts:
        if not directory.resolve(target).degraded or drill.outcomes[target, HEALTHY.name].fails:
            continue
        for scenario, outcome in drill.of(target):
            reason = _breach(outcome, may_degrade=True)
            if scenario.hardship == "one_provider" and reason and not outcome.fails:
                found.append(Breach("", scenario.name, target, reason))
    return found
