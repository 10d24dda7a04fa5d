"""The groups of a target: its candidates sorted into those that may serve and those that may not.

Rules of this file: pure, and worked out once for each target, policy, sensitivity and day. Who may
serve stands in the order in which a plan takes them; who may not has the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import structs

from routerd.decide.candidates import NO_LIMIT, Group, Placed, Prepared
from routerd.decide.judging import Judge, Terrain
from routerd.decide.reasons import CAN
from routerd.domain import Dropped
from routerd.models.directory import Resolution
from routerd.models.schema import Deployment

__all__ = ["prepare"]


def prepare(resolution: Resolution, terrain: Terrain) -> Prepared:
    """Sort the candidates of a target into those that may serve and those that may not."""
    judge = Judge(resolution, terrain)
    groups: list[Group] = []
    for deployments, degraded in _steps(resolution):
        kept, dropped = judge.group(deployments, degraded)
        if not groups and resolution.places:
            kept = judge.in_order(kept)
        if terrain.kind == "embedding":
            kept = _of_one_space(kept, dropped, judge.first_model(deployments))
        if terrain.policy.prefer == "price":
            kept.sort(key=lambda item: item.candidate.price)
        if groups:
            groups.append(_group(kept, dropped, again=_again(kept, dropped, resolution)))
        else:
            dropped += judge.left_out()
            groups.append(_group(kept, dropped, is_asked=True))
    return Prepared(resolution, tuple(groups), _near_cap(groups), judge.until)


def _again(
    kept: Iterable[Placed], dropped: Iterable[Dropped], resolution: Resolution
) -> frozenset[str]:
    """Return those of a step that the rule for choosing left out of what was asked for."""
    names = {item.candidate.id for item in kept} | {item.deployment for item in dropped}
    return frozenset(item.deployment for item in resolution.left_out if item.deployment in names)


def _of_one_space(kept: list[Placed], dropped: list[Dropped], model: str | None) -> list[Placed]:
    """Keep one model alone: vectors of another cannot be compared with those of an index."""
    for item in kept:
        if item.candidate.model != model:
            why = f"its vectors cannot be compared with those of {model}"
            dropped.append(Dropped(item.candidate.id, "other_vectors", why))
    return [item for item in kept if item.candidate.model == model]


def _near_cap(groups: list[Group]) -> tuple[Group, ...]:
    """Split what stands in by whether it costs less than the first of what was asked for."""
    asked, *others = groups
    if not asked.candidates:
        return tuple(groups)
    price = asked.candidates[0].candidate.price
    # All of them are judged then, and what stands in comes before what was asked for.
    later = {name for group in others for name in group.again}
    asked = structs.replace(
        asked, dropped=tuple(item for item in asked.dropped if item.deployment not in later)
    )
    cheaper, dearer = [], []
    for group in others:
        less = [item for item in group.candidates if item.candidate.price < price]
        more = [item for item in group.candidates if item.candidate.price >= price]
        cheaper.append(_group(less, group.dropped))
        dearer.append(_group(more, ()))
    return (*cheaper, asked, *dearer)


def _steps(resolution: Resolution) -> Iterator[tuple[tuple[Deployment, ...], str | None]]:
    """Yield what may serve, in order of preference, each with why it is not what was asked for."""
    yield resolution.candidates, None
    if resolution.backups:
        yield resolution.backups, f"backup of {resolution.name}"
    for step in resolution.degraded:
        yield step.candidates, f"class {step.model_class} in place of {resolution.name}"


def _group(
    kept: Sequence[Placed],
    dropped: Sequence[Dropped],
    *,
    is_asked: bool = False,
    again: frozenset[str] = frozenset(),
) -> Group:
    models = [item.candidate.model for item in kept]
    all_can = sum(CAN.values())
    for item in kept:
        all_can &= item.candidate.can
    return Group(
        tuple(kept),
        tuple(dropped),
        len(set(models)) < len(models),
        is_asked,
        all_can,
        min((item.candidate.most_input for item in kept), default=NO_LIMIT),
        min((item.candidate.window for item in kept), default=NO_LIMIT),
        again,
    )
