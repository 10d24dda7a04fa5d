"""The directory as rows for a person to read.

Rules of this file: text only, in the order of the directory; nothing is decided or left out here.
An empty cell means: not known.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from routerd.models.browse import Filter, Pair, browse
from routerd.models.directory import Directory
from routerd.models.pricing import format_dollars
from routerd.models.schema import DIMENSIONS, Defaults, Deployment, Model, Shortcut

__all__ = ["ModelRow", "ShortcutRow", "model_rows", "shortcut_rows"]


class ModelRow(Struct, frozen=True):
    """One deployment of a model; a model that nothing serves has one row without a deployment.

    `input_price` and `output_price` are dollars per million tokens. `scores` are in the order of
    DIMENSIONS.
    """

    model: str
    model_class: str
    kind: str
    pinned: str
    vendor: str
    deployment: str
    provider: str
    boundary: str
    region: str
    context_window: str
    input_price: str
    output_price: str
    scores: tuple[str, ...]
    retires_on: str
    replacement: str


class ShortcutRow(Struct, frozen=True):
    """One shortcut: what it is for, who serves it in order, and what it sets."""

    name: str
    description: str
    serves: str
    models: tuple[str, ...]
    defaults: str
    boundary: str
    degraded: str


def model_rows(directory: Directory, pairs: Iterable[Pair] | None = None) -> list[ModelRow]:
    """List models with each of their deployments: all, or those that were found."""
    found = browse(directory, Filter()) if pairs is None else pairs
    return [_model_row(model, deployment) for model, deployment in found]


def shortcut_rows(directory: Directory) -> list[ShortcutRow]:
    """List every shortcut; `models` are those that something serves."""
    rows = []
    for shortcut in directory.shortcuts.values():
        resolution = directory.resolve(shortcut.name)
        rows.append(
            ShortcutRow(
                name=shortcut.name,
                description=shortcut.description,
                serves=_serves(shortcut),
                models=tuple(dict.fromkeys(item.model for item in resolution.candidates)),
                defaults=_defaults(shortcut.defaults),
                boundary=shortcut.boundary or "",
                degraded=" > ".join(step.model_class for step in resolution.degraded) or "fail",
            )
        )
    return rows


def _serves(shortcut: Shortcut) -> str:
    if shortcut.model_class is not None:
        return f"class {shortcut.model_class}"
    if shortcut.choose is not None:
        return f"chosen from {', '.join(shortcut.choose.classes)}"
    if shortcut.by_complexity is not None:
        return f"by complexity: {', '.join(msgspec.structs.astuple(shortcut.by_complexity))}"
    return f"alias of {shortcut.alias_of}" if shortcut.alias_of is not None else "own list"


def _model_row(model: Model, deployment: Deployment | None) -> ModelRow:
    price = deployment.price if deployment is not None else None
    window = deployment.context_window if deployment is not None else model.context_window
    retires_on = deployment.retires_on if deployment is not None else model.retires_on
    scores = (getattr(model.scores, name) for name in DIMENSIONS)
    return ModelRow(
        model=model.id,
        model_class=deployment.model_class if deployment is not None else model.model_class,
        kind=model.kind,
        pinned=model.pinned,
        vendor=model.vendor,
        deployment=deployment.id if deployment is not None else "",
        provider=deployment.provider if deployment is not None else "",
        boundary=deployment.boundary if deployment is not None else "",
        region=(deployment.region or "") if deployment is not None else "",
        context_window=str(window) if window is not None else "",
        input_price=_dollars(price.input if price is not None else None),
        output_price=_dollars(price.output if price is not None else None),
        scores=tuple(f"{score.value:.1f}" if score is not None else "" for score in scores),
        retires_on=retires_on.isoformat() if retires_on is not None else "",
        replacement=model.replacement or "",
    )


def _dollars(nanodollars: int | None) -> str:
    return format_dollars(nanodollars) if nanodollars is not None else ""


def _defaults(defaults: Defaults) -> str:
    values = ((name, getattr(defaults, name)) for name in Defaults.__struct_fields__)
    return ", ".join(f"{name}={value}" for name, value in values if value is not None)
