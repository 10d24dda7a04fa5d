"""The decision: a pure function from what a call needs and what there is to a Plan.

Rules of this file: no await, no clock, no text of the call. Every candidate that may not serve is
in the plan with a code and the numbers compared. Candidates keep the order the directory gives
them, with two exceptions: of the deployments of one model those with a free tier left come first,
and the second route goes to another provider where one may serve, since that is what a backup is
for. The same inputs give the same plan, for a live call as for an explanation.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from routerd.decide.money import MONEY, Terms, blocking_room, terms_for
from routerd.decide.reasons import INCAPABLE, NOT_HERE, reason_against
from routerd.domain import MAX_ROUTES, Boundary, Dropped, Features, Plan, Route, Snapshot
from routerd.models.directory import BOUNDARIES, Resolution
from routerd.models.rooms import facts_of
from routerd.models.schema import Deployment
from routerd.settings import Budgeting
from routerd_proto.errors import ErrorInfo, error_info
from routerd_proto.frames import Sensitivity

__all__ = ["candidates_of", "make_plan", "refusal"]

# How far the text of a call may go. A private call stays on this machine.
FARTHEST: Final[dict[Sensitivity, Boundary]] = {
    "public": "vendor",
    "internal": "own-network",
    "private": "machine",
}
BEYOND_THREE: Final = "beyond_three"
NO_POLICY: Final = Budgeting()


def candidates_of(resolution: Resolution) -> Iterator[Deployment]:
    """Yield every deployment that a plan may look at."""
    for candidates, _ in _groups(resolution):
        yield from candidates


def make_plan(
    resolution: Resolution,
    providers: Container[str],
    features: Features,
    snapshot: Snapshot,
    policy: Budgeting = NO_POLICY,
) -> Plan:
    """Choose at most three routes. `providers` are those that can be called at all.

    A route that is not of what was asked for says so in `degraded`. What would only be fallen back
    to beyond the third route is not looked at, and so not among the dropped.
    """
    allowed = _allowed(features.sensitivity, resolution.boundary)
    today = datetime.fromtimestamp(snapshot.now, UTC).date()
    routes: list[Route] = []
    dropped: list[Dropped] = []
    seen: set[str] = set()
    for candidates, degraded in _groups(resolution):
        if len(routes) == MAX_ROUTES or (not routes and _asks_too_much(resolution, dropped)):
            break  # nobody falls back further than this
        kept: list[Deployment] = []
        for deployment in _free_first(candidates, features, snapshot):
            if deployment.id in seen:
                continue
            seen.add(deployment.id)
            reason = reason_against(deployment, allowed, providers, features, today)
            if reason is None:
                kept.append(deployment)
            else:
                dropped.append(reason)
        chosen, refused = _spread(
            kept, routes, lambda item: terms_for(item, features, snapshot, policy)
        )
        routes += [_route(item, terms, degraded) for item, terms in chosen]
        dropped += refused
        settled = {item.id for item, _ in chosen} | {item.deployment for item in refused}
        dropped += [
            Dropped(item.id, BEYOND_THREE, f"a plan has at most {MAX_ROUTES} routes")
            for item in kept
            if item.id not in settled
        ]
    return Plan(
        target=resolution.name,
        rule=f"{resolution.kind} {resolution.name}",
        model_class=resolution.model_class,
        routes=tuple(routes),
        dropped=tuple(dropped),
        nearly_spent=tuple(
            dict.fromkeys(room.budget for room in snapshot.rooms if 0 < room.soft <= room.spent)
        ),
    )


def _route(deployment: Deployment, terms: Terms, degraded: str | None) -> Route:
    return Route(
        deployment.id,
        deployment.model,
        deployment.provider,
        degraded,
        terms.bound_nanodollars,
        terms.bound_tokens,
        terms.max_output_tokens,
        terms.lowered_by,
        terms.free,
        terms.surcharge,
    )


def _free_first(
    candidates: tuple[Deployment, ...], features: Features, snapshot: Snapshot
) -> tuple[Deployment, ...]:
    """Within the deployments of one model, put those first whose free tier is not used up."""
    if not snapshot.free:
        return candidates
    free = {
        quota.deployment
        for quota in snapshot.free
        if (quota.calls_left is None or quota.calls_left > 0)
        and (quota.tokens_left is None or quota.tokens_left > features.input_tokens)
    }
    return tuple(
        item
        for _, same_model in groupby(candidates, key=lambda item: item.model)
        for item in sorted(same_model, key=lambda item: item.id not in free)
    )


def _asks_too_much(resolution: Resolution, dropped: list[Dropped]) -> bool:
    """Say whether a model asked for by name cannot do what is asked: no backup's to answer for."""
    named = resolution.kind in ("model", "deployment")
    return named and bool(dropped) and all(item.code in INCAPABLE for item in dropped)


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


def _groups(resolution: Resolution) -> list[tuple[tuple[Deployment, ...], str | None]]:
    """List what may serve, in order of preference, each with why it is not what was asked for."""
    groups: list[tuple[tuple[Deployment, ...], str | None]] = [(resolution.candidates, None)]
    if resolution.backups:
        groups.append((resolution.backups, f"backup of {resolution.name}"))
    groups += [
        (step.candidates, f"class {step.model_class} in place of {resolution.name}")
        for step in resolution.degraded
    ]
    return groups


def _allowed(sensitivity: Sensitivity, limit: Boundary | None) -> tuple[Boundary, ...]:
    """Return the boundaries a call's text may reach, the farthest last."""
    farthest = FARTHEST[sensitivity]
    if limit is not None:
        farthest = min(farthest, limit, key=BOUNDARIES.index)
    return BOUNDARIES[: BOUNDARIES.index(farthest) + 1]


def _spread(
    kept: list[Deployment],
    routes: list[Route],
    terms_of: Callable[[Deployment], Terms | Dropped],
) -> tuple[list[tuple[Deployment, Terms]], list[Dropped]]:
    """Take what there is room for, preferring providers that no route uses yet.

    Money is looked at last, and only for those that would be taken; returns them with their terms,
    and those that no budget lets serve.
    """
    used = {route.provider for route in routes}
    chosen: list[tuple[Deployment, Terms]] = []
    refused: list[Dropped] = []
    rest = list(kept)
    while rest and len(routes) + len(chosen) < MAX_ROUTES:
        fresh = (item for item in rest if item.provider not in used)
        pick = rest[0] if not chosen and not routes else next(fresh, rest[0])
        rest.remove(pick)
        terms = terms_of(pick)
        if isinstance(terms, Dropped):
            refused.append(terms)
        else:
            chosen.append((pick, terms))
            used.add(pick.provider)
    return chosen, refused
