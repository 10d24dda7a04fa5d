"""Which routes of a search may serve it together: those whose vectors or scores go with each other.

Rules of this file: pure. Scores are put together of one model by one wire: some servers give
probabilities where others of the same model give logits. Vectors differ where one is told what they
are for.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.domain import Dropped, Kind, Route
from routerd.execute.piece import limits_of
from routerd.execute.pieces import cut, fits
from routerd.execute.target import Target
from routerd_proto.search import RerankRequested, SearchRequested

__all__ = ["routes_alike", "why_unlike"]


def routes_alike(
    search: SearchRequested,
    routes: tuple[Route, ...],
    targets: Mapping[str, Target],
    kind: Kind,
) -> tuple[Route, ...]:
    """Return the routes that may serve: those whose vectors or scores go with the first's."""
    model, served = routes[0].model, targets[routes[0].deployment]
    if isinstance(search, RerankRequested):
        pieces = cut(search, limits_of(routes[0], targets, kind))
        return tuple(
            route
            for route in routes
            if (route.model, targets[route.deployment].wire) == (model, served.wire)
            or (len(pieces) == 1 and fits(pieces[0], limits_of(route, targets, kind)))
        )
    told = _tells_purpose(served)
    return tuple(route for route in routes if _tells_purpose(targets[route.deployment]) is told)


def why_unlike(route: Route, first: Route, targets: Mapping[str, Target], kind: Kind) -> Dropped:
    """Return why a route may not stand in for the first, for who asks why it was not tried."""
    if kind == "embedding":
        told, other = first, route
        if _tells_purpose(targets[route.deployment]):
            told, other = route, first
        why = f"{told.deployment} is told what vectors are for, {other.deployment} is not"
        return Dropped(route.deployment, "other_vectors", why)
    if route.model != first.model:
        own, others = route.model, first.model
    else:
        own, others = (f"the wire {targets[one.deployment].wire}" for one in (route, first))
    why = f"it has scores of {own}, and the ranking, in more than one request, those of {others}"
    return Dropped(route.deployment, "other_scores", why)


def _tells_purpose(target: Target) -> bool:
    wire = target.search.get("embedding")
    return wire is not None and wire.limits.tells_purpose
