"""Which arm of an experiment a call is in, and which shadows copy it: by lot.

Rules of this file: pure. A lot is drawn from names, never from a generator, so that whoever is to
stay with an arm does, after a restart and on another machine too.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from routerd.domain import Caller, Features
from routerd.settings import Arm, Experiment, Shadow

__all__ = ["arm_of", "lot", "shadows_of"]


def lot(*names: str) -> float:
    """Return a number from 0 to below 1 that depends on the names alone, evenly spread."""
    digest = blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # 53 bits are what a float holds: more would round up to 1.
    return (int.from_bytes(digest) >> 11) / 2**53


def arm_of(
    name: str, experiment: Experiment, features: Features, caller: Caller
) -> tuple[str, Arm] | None:
    """Return the arm a call is in, with its name; None where no arm has any weight."""
    who = {
        "tenant": caller.tenant,
        "user": caller.user,
        "session": features.session,
        "call": None,
    }[experiment.sticky]
    total = sum(arm.weight for arm in experiment.arms.values())
    if not total:
        return None
    # A user is one of a tenant: two tenants may call their users alike.
    of = caller.tenant or "" if experiment.sticky != "tenant" else ""
    named = ("by", of, who) if who is not None else ("call", caller.decision_id)
    mark = lot("experiment", name, *named) * total
    for arm_name, arm in experiment.arms.items():
        mark -= arm.weight
        if mark < 0:
            return arm_name, arm
    return None


def shadows_of(shadows: Mapping[str, Shadow], caller: Caller) -> tuple[str, ...]:
    """Return the shadows that copy a call."""
    return tuple(
        name
        for name, shadow in shadows.items()
        if lot("shadow", name, caller.decision_id) * 100 < shadow.percent
    )
