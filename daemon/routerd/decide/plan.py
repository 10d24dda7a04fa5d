"""The decision: a pure function from what a call needs and what there is to a Plan.

Rules of this file: no await, no clock, no text of the call. Every candidate that may not serve is
in the plan with a code and the numbers compared. Candidates keep the order the directory gives
them, except that the second route goes to another provider where one may serve, since that is
what a backup is for. The same inputs give the same plan, for a live call as for an explanation.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from typing import Final

from routerd.decide.reasons import INCAPABLE, NOT_HERE, reason_against
from routerd.domain import MAX_ROUTES, Boundary, Dropped, Features, Plan, Route, Snapshot
from routerd.errors import CallRefused
from routerd.models.directory import BOUNDARIES, Directory, Resolution, UnknownTarget
from routerd.models.schema import Deployment
from routerd_proto.errors import ErrorInfo, error_info
from routerd_proto.frames import Sensitivity

__all__ = ["make_plan", "refusal", "resolve"]

# How far the text of a call may go. A private call stays on this machine.
FARTHEST: Final[dict[Sensitivity, Boundary]] = {
    "public": "vendor",
    "internal": "own-network",
    "private": "machine",
}
BEYOND_THREE: Final = "beyond_three"


def resolve(directory: Directory, target: str) -> Resolution:
    """Return what a name stands for; CallRefused lists near matches of an unknown one."""
    try:
        return directory.resolve(target)
    except UnknownTarget as unknown:
        hint = f"; did you mean {', '.join(unknown.near)}?" if unknown.near else ""
        raise CallRefused(
            error_info(
                "unknown_target",
                f"there is no shortcut, class or model {unknown.target!r}{hint}",
                details={"near_matches": list(unknown.near)},
            )
        ) from None


def make_plan(
    resolution: Resolution,
    providers: Container[str],
    features: Features,
    snapshot: Snapshot,
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
        for deployment in candidates:
            if deployment.id in seen:
                continue
            seen.add(deployment.id)
            reason = reason_against(deployment, allowed, providers, features, today)
            if reason is None:
                kept.append(deployment)
            else:
                dropped.append(reason)
        chosen = _spread(kept, routes)
        routes += [Route(item.id, item.model, item.provider, degraded) for item in chosen]
        dropped += [
            Dropped(item.id, BEYOND_THREE, f"a plan has at most {MAX_ROUTES} routes")
            for item in kept
            if item not in chosen
        ]
    return Plan(
        target=resolution.name,
        rule=f"{resolution.kind} {resolution.name}",
        model_class=resolution.model_class,
        routes=tuple(routes),
        dropped=tuple(dropped),
    )


def _asks_too_much(resolution: Resolution, dropped: list[Dropped]) -> bool:
    """Say whether a model asked for by name cannot do what is asked: no backup's to answer for."""
    named = resolution.kind in ("model", "deployment")
    return named and bool(dropped) and all(item.code in INCAPABLE for item in dropped)


def refusal(plan: Plan) -> ErrorInfo:
    """Say why nothing may serve a call: the reasons against the candidates, most frequent first.

    Where all that is here lacks what the call needs, the request is at fault.
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


def _spread(kept: list[Deployment], routes: list[Route]) -> list[Deployment]:
    """Take what there is room for, preferring providers that no route uses yet."""
    used = {route.provider for route in routes}
    chosen: list[Deployment] = []
    rest = list(kept)
    while rest and len(routes) + len(chosen) < MAX_ROUTES:
        fresh = (item for item in rest if item.provider not in used)
        pick = rest[0] if not chosen and not routes else next(fresh, rest[0])
        rest.remove(pick)
        chosen.append(pick)
        used.add(pick.provider)
    return chosen
