"""What the names of a directory stand for: shortcuts, classes, models and deployments.

Rules of this file: everything is worked out once, when the directory is built, so that resolving a
name is one look-up. Entries are taken as consistent (`check.py`). A class of servers of one's own
never leads to a vendor that it does not name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from routerd.domain import Boundary, Dropped
from routerd.models.ranking import Market, Place, rank
from routerd.models.schema import (
    Defaults,
    Deployment,
    Kind,
    Model,
    ModelClass,
    Shortcut,
)

__all__ = ["BOUNDARIES", "DegradedStep", "Resolution", "Resolver", "TargetKind"]

TargetKind = Literal["shortcut", "class", "model", "deployment"]
# From near to far: text that may go to one of these may go to those before it.
BOUNDARIES: Final[tuple[Boundary, ...]] = ("machine", "own-network", "vendor")


class DegradedStep(Struct, frozen=True):
    """A class to fall back to, with its deployments in order."""

    model_class: str
    candidates: tuple[Deployment, ...]


class Resolution(Struct, frozen=True):
    """What a name stands for.

    `candidates` are the deployments of what was asked for, in order; empty where nothing serves
    it. `backups` are other models declared to stand in for a named model or deployment.
    `degraded` are the classes to go to, in order, when none of these can serve; empty: fail.
    `boundary` is how far the text may go, None: as far as the call itself allows. `serves` is the
    kind of call. `ranks` says by deployment why it stands where it does, `places` where that is;
    both are empty where the order was written by a person. `left_out` are the members of the
    classes that a rule for choosing did not take, each with why. With `by_complexity` there are no
    candidates: simple, medium and complex name the targets that stand in. An alias is what it
    stands for, under its own name.
    """

    kind: TargetKind
    name: str
    model_class: str | None
    candidates: tuple[Deployment, ...]
    backups: tuple[Deployment, ...] = ()
    defaults: Defaults = Defaults()
    degraded: tuple[DegradedStep, ...] = ()
    boundary: Boundary | None = None
    serves: Kind = "chat"
    ranks: Mapping[str, str] = {}
    by_complexity: Mapping[str, str] = {}
    places: Mapping[str, Place] = {}
    left_out: tuple[Dropped, ...] = ()


class Resolver:
    """Works out every name of a directory; `serving` are the deployments of each model."""

    def __init__(
        self,
        *,
        models: Mapping[str, Model],
        deployments: Mapping[str, Deployment],
        serving: Mapping[str, tuple[Deployment, ...]],
        classes: Mapping[str, ModelClass],
        shortcuts: Mapping[str, Shortcut],
    ) -> None:
        self._models = models
        self._deployments = deployments
        self._serving = serving
        self._classes = classes
        self._shortcuts = shortcuts
        self._market = Market.of(models, deployments.values())
        self._members = {name: self._class_candidates(item) for name, item in classes.items()}

    def resolve_everything(self) -> dict[str, Resolution]:
        """Return what each name stands for.

        The last to write a name wins: deployments first, shortcuts last.
        """
        resolutions: dict[str, Resolution] = {}
        for deployment in self._deployments.values():
            resolutions[deployment.id] = self._resolve_deployment(deployment)
        for model in self._models.values():
            resolutions[model.id] = self._resolve_model(model)
        for model_class in self._classes.values():
            resolutions[model_class.name] = Resolution(
                "class",
                model_class.name,
                model_class.name,
                self._members[model_class.name],
                degraded=self._degraded_path(model_class.degraded),
                serves=model_class.kind,
            )
        for name, shortcut in self._shortcuts.items():
            if shortcut.alias_of is None:
                resolutions[name] = self._resolve_shortcut(shortcut)
        for name, shortcut in self._shortcuts.items():
            if shortcut.alias_of is not None:
                resolutions[name] = replace(resolutions[shortcut.alias_of], name=name)
        return resolutions

    def _resolve_deployment(self, deployment: Deployment) -> Resolution:
        model = self._models[deployment.model]
        # Who names a server of their own has named a boundary too.
        farthest = BOUNDARIES.index(deployment.boundary)
        others = [
            item
            for item in (*self._serving[model.id], *self._backups(model))
            if item != deployment and BOUNDARIES.index(item.boundary) <= farthest
        ]
        return Resolution(
            "deployment",
            deployment.id,
            deployment.model_class,
            (deployment,),
            backups=_distinct(others),
            serves=model.kind,
        )

    def _resolve_model(self, model: Model) -> Resolution:
        return Resolution(
            "model",
            model.id,
            model.model_class,
            self._serving.get(model.id, ()),
            backups=self._backups(model),
            serves=model.kind,
        )

    def _resolve_shortcut(self, shortcut: Shortcut) -> Resolution:
        candidates: tuple[Deployment, ...] = ()
        ranks: dict[str, str] = {}
        places: dict[str, Place] = {}
        left_out: list[Dropped] = []
        targets: dict[str, str] = {}
        degraded, serves = shortcut.degraded or "", self._serves(shortcut)
        if shortcut.model_class is not None:
            candidates = self._members[shortcut.model_class]
            degraded = self._classes[shortcut.model_class].degraded
        elif shortcut.choose is not None:
            chosen_from = shortcut.choose.classes
            members = _distinct(item for name in chosen_from for item in self._members[name])
            ranked, left_out = rank(shortcut.choose, members, self._market)
            candidates = tuple(item.deployment for item in ranked)
            ranks = {item.deployment.id: item.text for item in ranked}
            places = {item.deployment.id: item.place for item in ranked}
        elif shortcut.by_complexity is not None:
            names = shortcut.by_complexity.__struct_fields__
            targets = {name: getattr(shortcut.by_complexity, name) for name in names}
        else:
            candidates = self._deployments_of_all(shortcut.candidates)
        return Resolution(
            "shortcut",
            shortcut.name,
            shortcut.model_class,
            candidates,
            defaults=shortcut.defaults,
            degraded=self._degraded_path(degraded),
            boundary=shortcut.boundary,
            serves=serves,
            ranks=ranks,
            by_complexity=targets,
            places=places,
            left_out=tuple(left_out),
        )

    def _serves(self, shortcut: Shortcut) -> Kind:
        if shortcut.model_class is not None:
            return self._classes[shortcut.model_class].kind
        if shortcut.choose is not None:
            return self._classes[shortcut.choose.classes[0]].kind
        return self._models[shortcut.candidates[0]].kind if shortcut.candidates else "chat"

    def _backups(self, model: Model) -> tuple[Deployment, ...]:
        names = [name for name in (model.backup, model.secondary_backup) if name is not None]
        return self._deployments_of_all(names)

    def _class_candidates(self, model_class: ModelClass) -> tuple[Deployment, ...]:
        named = self._deployments_of_all(model_class.candidates)
        if not model_class.local:
            return named
        # In the order of the directory, the models nobody described last. The same weights may be
        # at a vendor too, which is not what was asked for.
        at_home = (
            item
            for name, model in self._models.items()
            if model.kind == model_class.kind
            for item in self._serving.get(name, ())
            if item.discovered
        )
        return _distinct((*named, *at_home))

    def _degraded_path(self, following: str) -> tuple[DegradedStep, ...]:
        path = []
        while following in self._classes:
            model_class = self._classes[following]
            path.append(DegradedStep(model_class.name, self._members[model_class.name]))
            following = model_class.degraded
        return tuple(path)

    def _deployments_of_all(self, names: Iterable[str]) -> tuple[Deployment, ...]:
        return _distinct(item for name in names for item in self._serving.get(name, ()))


def _distinct(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Return each deployment once, where it came first."""
    return tuple({item.id: item for item in deployments}.values())
