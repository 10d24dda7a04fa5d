"""Why nothing may serve a call, in one sentence for the caller.

Rules of this file: pure; it reads a plan without routes and adds nothing to what that found.
"""

from __future__ import annotations

from routerd.decide.money import MONEY, blocking_room
from routerd.decide.reasons import INCAPABLE, NOT_HERE
from routerd.domain import Plan, Snapshot
from routerd.models.rooms import facts_of
from routerd_proto.errors import ErrorInfo, error_info

__all__ = ["refusal"]


def refusal(plan: Plan, snapshot: Snapshot) -> ErrorInfo:
    """Say why nothing may serve a call: the reasons against the candidates, most frequent first.

    Where all that is here lacks what the call needs, the request is at fault; where money is what
    the others lack, the fullest of the budgets at fault is told, and when it has room again.
    """
    codes: dict[str, list[str]] = {}
    for item in plan.dropped:
        codes.setdefault(item.code, []).append(f"{item.deployment} ({item.detail})")
    ranked = sorted(codes.items(), key=lambda entry: -len(entry[1]))
    reasons = "; ".join(
        f"{code}: {', '.join(items[:3])}{', ...' if len(items) > 3 else ''}"
        for code, items in ranked
    )
    here = codes.keys() - NOT_HERE
    room = blocking_room(snapshot, plan.dropped)
    if room is not None and here & MONEY:
        return error_info(
            "budget_exceeded",
            f"no budget has room for this call: {'; '.join(codes['budget'][:3])}",
            retry_after=max(0.0, room.resets_at - snapshot.now),
            details=facts_of(room) | {"codes": {code: len(items) for code, items in ranked}},
        )
    return error_info(
        "invalid_request" if here and here <= INCAPABLE else "no_candidates",
        f"nothing may serve {plan.target!r}: {reasons or 'it has no deployments here'}",
        details={"codes": {code: len(items) for code, items in ranked}},
    )
