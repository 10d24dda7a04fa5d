"""The plan that most calls meet, worked out once: for a system in which nothing moves anybody.

Rules of this file: pure. It walks the groups of a target as a plan does, for a call that everybody
may serve and that everybody has the money for. Whether that holds for a call is `plan`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from routerd.decide.balancing import State
from routerd.decide.candidates import Group, Placed, Usual
from routerd.decide.order import Line
from routerd.decide.policy import Policy
from routerd.domain import MAX_ROUTES, Dropped, Features, Snapshot
from routerd.models.directory import Resolution

__all__ = ["NAMED", "usual_plan"]

# What asks for one model: where that cannot do it, what stands in for it may not be asked.
NAMED: Final = ("model", "deployment")


def usual_plan(resolution: Resolution, groups: Sequence[Group], policy: Policy) -> Usual | None:
    """Return who is taken of the settled groups of a target, and what is said of all others.

    None where that depends on more than whether anything moves.
    """
    if policy.prefer == "latency" or "weights" in policy.balance:
        return None  # something always moves
    state = State(Features(0), Snapshot(0.0), policy, 0.0)
    first: list[Placed] = []
    dropped: list[Dropped] = []
    used: set[str] = set()
    walked: list[Group] = []
    for group in groups:
        if len(first) == MAX_ROUTES:
            if len(used) > 1:
                break  # nobody falls back further than this
            return None  # the next one has its say
        if walked and not first and resolution.kind in NAMED:
            return None  # it depends on why
        walked.append(group)
        dropped = [item for item in dropped if item.deployment not in group.again]
        dropped += group.dropped
        line = Line(structs.replace(group, has_equals=False), state)
        for item in line.turns(used):
            used.add(item.candidate.provider)
            first.append(item)
            if len(first) == MAX_ROUTES:
                break
        dropped += line.beyond()
    if not first:
        return None
    all_can = walked[0].all_can
    for group in walked:
        all_can &= group.all_can
    return Usual(
        tuple(first),
        tuple(dropped),
        any(group.has_equals for group in walked),
        all_can,
        min(group.least_input for group in walked),
        min(group.least_window for group in walked),
    )
