"""Finding models in a directory: filters, and orders to look at them in.

Rules of this file: pure, over a directory as it is; it decides nothing about calls. What is not
known matches no filter that asks for it, and comes last in every order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, get_args

from msgspec import Struct

from routerd.domain import Boundary
from routerd.models.directory import Directory
from routerd.models.ranking import blended
from routerd.models.schema import DIMENSIONS, Capability, Deployment, Kind, Model

__all__ = ["SORTS", "Filter", "Pair", "browse", "named"]

# A model, and one of its deployments; None where nothing serves it.
Pair = tuple[Model, Deployment | None]
CAPABILITIES: Final[tuple[str, ...]] = get_args(Capability)


class Filter(Struct, frozen=True, kw_only=True):
    """What to keep; None and nothing keep everything. `needs` are capabilities."""

    model_class: str | None = None
    provider: str | None = None
    vendor: str | None = None
    kind: Kind | None = None
    boundary: Boundary | None = None
    needs: tuple[str, ...] = ()


def _price(pair: Pair) -> float | None:
    price = pair[1].price if pair[1] is not None else None
    if price is not None and price.output is None:
        return price.input
    return blended(price)


def _window(pair: Pair) -> float | None:
    model, deployment = pair
    window = (deployment or model).context_window
    return -window if window is not None else None


def _output(pair: Pair) -> float | None:
    model, deployment = pair
    most = (deployment or model).max_output_tokens or (deployment or model).context_window
    return -most if most is not None else None


def _speed(pair: Pair) -> float | None:
    speed = pair[1].speed if pair[1] is not None else None
    figure = speed.output_tokens_per_second if speed is not None else None
    return -figure if figure is not None else None


def _first_token(pair: Pair) -> float | None:
    speed = pair[1].speed if pair[1] is not None else None
    return speed.first_token_seconds if speed is not None else None


def _retires(pair: Pair) -> float | None:
    ends = (pair[1] or pair[0]).retires_on
    return ends.toordinal() if ends is not None else None


def _score(dimension: str) -> Callable[[Pair], float | None]:
    def value(pair: Pair) -> float | None:
        score = getattr(pair[0].scores, dimension)
        return -score.value if score is not None else None

    return value


# The smallest first: what is better when it is more is negative.
SORTS: Final[dict[str, Callable[[Pair], float | None]]] = {
    "price": _price,
    "window": _window,
    "output": _output,
    "speed": _speed,
    "first_token": _first_token,
    "retires": _retires,
    **{f"score:{name}": _score(name) for name in DIMENSIONS},
}


def browse(directory: Directory, wanted: Filter, sort: str | None = None) -> list[Pair]:
    """Return the pairs that fit, in the order of the directory or of one of SORTS."""
    pairs: list[Pair] = []
    for model in directory.models.values():
        deployments: tuple[Deployment | None, ...] = directory.deployments_of(model.id) or (None,)
        pairs += [(model, item) for item in deployments if _fits(directory, wanted, model, item)]
    if sort is None:
        return pairs
    key = SORTS[sort]
    return sorted(pairs, key=lambda pair: _last_if_unknown(key(pair)))


def named(directory: Directory, name: str) -> Pair | None:
    """Return the model or the deployment of a name; of a model its first deployment."""
    if name in directory.deployments:
        deployment = directory.deployments[name]
        return directory.models[deployment.model], deployment
    model = directory.models.get(name)
    if model is None:
        return None
    deployments = directory.deployments_of(name)
    return model, deployments[0] if deployments else None


def _fits(
    directory: Directory, wanted: Filter, model: Model, deployment: Deployment | None
) -> bool:
    found = deployment.model_class if deployment is not None else model.model_class
    if wanted.model_class is not None and found != wanted.model_class:
        listed = directory.classes.get(wanted.model_class)
        if listed is None or model.id not in listed.candidates:
            return False
    can = (deployment or model).capabilities
    return (
        wanted.provider in (None, deployment.provider if deployment is not None else "")
        and wanted.boundary in (None, deployment.boundary if deployment is not None else "")
        and wanted.vendor in (None, model.vendor)
        and wanted.kind in (None, model.kind)
        and all(getattr(can, name) for name in wanted.needs)
    )


def _last_if_unknown(value: float | None) -> tuple[bool, float]:
    return value is None, value if value is not None else 0.0
