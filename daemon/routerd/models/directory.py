"""The directory of models, ready to be asked: names in, ordered deployments out.

Rules of this file: a directory is built once and never changes; what adds to it returns another
one. Everything a call needs is prepared at construction, so that resolving a name is one look-up.
It knows neither health nor money nor keys: which of the candidates may serve is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from routerd.domain import Boundary, Kind
from routerd.models.entries import Entries
from routerd.models.local import (
    LOCAL_PRICE,
    ListedLocally,
    ad_hoc_model,
    is_local_chat_model,
    normalise,
    strip_format,
)
from routerd.models.pricing import Price
from routerd.models.schema import (
    Defaults,
    Deployment,
    DeploymentEntry,
    Model,
    ModelClass,
    Provider,
    Shortcut,
)

__all__ = ["BOUNDARIES", "DegradedStep", "Directory", "Resolution", "TargetKind", "UnknownTarget"]

TargetKind = Literal["shortcut", "class", "model", "deployment"]
LONGEST_NAME: Final = 100
# From near to far: text that may go to one of these may go to those before it.
BOUNDARIES: Final[tuple[Boundary, ...]] = ("machine", "own-network", "vendor")


class UnknownTarget(Exception):  # noqa: N818 - it states a fact; the caller is told unknown_target
    """No shortcut, class, model or deployment has this name; `near` are those that resemble it."""

    def __init__(self, target: str, near: tuple[str, ...]) -> None:
        hint = f"; near: {', '.join(near)}" if near else ""
        super().__init__(f"{target!r} is not known{hint}")
        self.target = target
        self.near = near


class DegradedStep(Struct, frozen=True):
    """A class to fall back to, with its deployments in order."""

    model_class: str
    candidates: tuple[Deployment, ...]


class Resolution(Struct, frozen=True):
    """What a name stands for.

    `candidates` are the deployments of what was asked for, in order; empty where nothing serves
    it. `backups` are other models declared to stand in for a named model or deployment.
    `degraded` are the classes to go to, in order, when none of these can serve; empty: fail.
    `boundary` is how far the text may go, None: as far as the call itself allows.
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


class Directory:
    """Every entry by name, and what each name stands for.

    `entries` are taken as consistent (`load_directory` checks them). `listed` are the models that
    local servers listed, by provider.
    """

    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    deployments: Mapping[str, Deployment]
    classes: Mapping[str, ModelClass]
    shortcuts: Mapping[str, Shortcut]

    def __init__(
        self, entries: Entries, listed: Mapping[str, tuple[DeploymentEntry, ...]] | None = None
    ) -> None:
        self._entries = entries
        self._listed = dict(listed or {})
        # A deployment that a file describes is better known than what a server lists.
        found = [
            item
            for items in self._listed.values()
            for item in items
            if item.id not in entries.deployments
        ]
        models = dict(entries.models)
        for item in found:
            if item.model not in models:
                models[item.model] = ad_hoc_model(item.id, item.provider)
        deployments = [
            _complete(item, models[item.model], entries.providers[item.provider], discovered=origin)
            for origin, items in ((False, entries.deployments.values()), (True, found))
            for item in items
        ]
        self.providers = MappingProxyType(entries.providers)
        self.models = MappingProxyType(models)
        self.deployments = MappingProxyType({item.id: item for item in deployments})
        self.classes = MappingProxyType(entries.classes)
        self.shortcuts = MappingProxyType(entries.shortcuts)
        self._serving = self._deployments_by_model()
        self._resolutions = self._resolve_everything()

    def resolve(self, target: str) -> Resolution:
        """Return what a name stands for; UnknownTarget names what resembles it.

        A name is looked for among shortcuts, then classes, models, deployments.
        """
        try:
            return self._resolutions[target]
        except KeyError:
            # Comparing takes time that grows with the length of a stranger's text.
            target = target[:LONGEST_NAME]
            near = tuple(get_close_matches(target, self._resolutions, n=3))
            raise UnknownTarget(target, near) from None

    def deployments_of(self, model: str) -> tuple[Deployment, ...]:
        """Return the deployments of a model, the nearest boundary first; there may be none."""
        return self._serving.get(model, ())

    def with_provider(self, provider: Provider) -> Directory:
        """Return this directory with one provider added or replaced."""
        providers = self._entries.providers | {provider.id: provider}
        return Directory(replace(self._entries, providers=providers), self._listed)

    def with_prices(self, prices: Mapping[str, Price]) -> Directory:
        """Return this directory with other prices for some of the deployments of its files."""
        deployments = {
            name: replace(item, price=prices.get(name, item.price))
            for name, item in self._entries.deployments.items()
        }
        return Directory(replace(self._entries, deployments=deployments), self._listed)

    def document(self) -> bytes:
        """Return all that decisions are made by, as JSON: what two directories share if alike."""
        return msgspec.json.encode((self._entries, self._listed), order="deterministic")

    def with_local_models(
        self, provider: str, listed: Iterable[ListedLocally], *, price: Price = LOCAL_PRICE
    ) -> Directory:
        """Return this directory with the models that a server of yours lists now.

        What the same provider listed before is forgotten. A known name binds to its model; another
        becomes a model of its own without scores. Embedding models, and models that the server
        only forwards to a cloud, are left out. `provider` must be in the directory.
        """
        if provider not in self.providers:
            raise ValueError(f"{provider!r} is no provider of this directory")
        by_name = {
            normalise(name): model
            for model in self._entries.models.values()
            for name in model.local_names
        }
        items = {}
        for entry in listed:
            if entry.id and is_local_chat_model(entry.id, self._entries.listing):
                name = normalise(entry.id)
                model = by_name.get(name) or by_name.get(strip_format(name))
                item = _listed_deployment(provider, entry, model, price)
                items[item.id] = item
        return Directory(self._entries, self._listed | {provider: tuple(items.values())})

    def _deployments_by_model(self) -> dict[str, tuple[Deployment, ...]]:
        serving: dict[str, list[Deployment]] = {}
        for deployment in self.deployments.values():
            serving.setdefault(deployment.model, []).append(deployment)
        return {
            model: tuple(sorted(items, key=lambda item: BOUNDARIES.index(item.boundary)))
            for model, items in serving.items()
        }

    def _resolve_everything(self) -> dict[str, Resolution]:
        # The last to write a name wins: deployments first, shortcuts last.
        resolutions: dict[str, Resolution] = {}
        for deployment in self.deployments.values():
            resolutions[deployment.id] = self._resolve_deployment(deployment)
        for model in self.models.values():
            resolutions[model.id] = self._resolve_model(model)
        for model_class in self.classes.values():
            resolutions[model_class.name] = Resolution(
                "class",
                model_class.name,
                model_class.name,
                self._class_candidates(model_class),
                degraded=self._degraded_path(model_class.degraded),
            )
        for shortcut in self.shortcuts.values():
            resolutions[shortcut.name] = self._resolve_shortcut(shortcut)
        return resolutions

    def _resolve_deployment(self, deployment: Deployment) -> Resolution:
        model = self.models[deployment.model]
        others = [item for item in self.deployments_of(model.id) if item != deployment]
        backups = _distinct((*others, *self._backups(model)))
        return Resolution(
            "deployment", deployment.id, model.model_class, (deployment,), backups=backups
        )

    def _resolve_model(self, model: Model) -> Resolution:
        return Resolution(
            "model",
            model.id,
            model.model_class,
            self.deployments_of(model.id),
            backups=self._backups(model),
        )

    def _resolve_shortcut(self, shortcut: Shortcut) -> Resolution:
        if shortcut.model_class is not None:
            model_class = self.classes[shortcut.model_class]
            candidates = self._class_candidates(model_class)
            degraded = model_class.degraded
        else:
            candidates = self._deployments_of_all(shortcut.candidates)
            degraded = shortcut.degraded or ""
        return Resolution(
            "shortcut",
            shortcut.name,
            shortcut.model_class,
            candidates,
            defaults=shortcut.defaults,
            degraded=self._degraded_path(degraded),
            boundary=shortcut.boundary,
        )

    def _backups(self, model: Model) -> tuple[Deployment, ...]:
        names = [name for name in (model.backup, model.secondary_backup) if name is not None]
        return self._deployments_of_all(names)

    def _class_candidates(self, model_class: ModelClass) -> tuple[Deployment, ...]:
        names = list(model_class.candidates)
        if model_class.local:
            # In the order of the directory, the models nobody described last.
            names += [
                name
                for name in self.models
                if any(item.discovered for item in self.deployments_of(name))
            ]
        return self._deployments_of_all(names)

    def _degraded_path(self, following: str) -> tuple[DegradedStep, ...]:
        path = []
        while following in self.classes:
            model_class = self.classes[following]
            path.append(DegradedStep(model_class.name, self._class_candidates(model_class)))
            following = model_class.degraded
        return tuple(path)

    def _deployments_of_all(self, names: Iterable[str]) -> tuple[Deployment, ...]:
        return _distinct(item for name in names for item in self.deployments_of(name))


def _distinct(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Return each deployment once, where it came first."""
    return tuple({item.id: item for item in deployments}.values())


def _complete(
    entry: DeploymentEntry, model: Model, provider: Provider, *, discovered: bool
) -> Deployment:
    """Fill in what a deployment takes over from its model and its provider."""
    return Deployment(
        id=entry.id,
        model=entry.model,
        provider=entry.provider,
        provider_model=entry.provider_model,
        boundary=provider.boundary,
        capabilities=entry.capabilities or model.capabilities,
        region=entry.region,
        price=entry.price,
        context_window=entry.context_window or model.context_window,
        max_input_tokens=entry.max_input_tokens or model.max_input_tokens,
        max_output_tokens=entry.max_output_tokens or model.max_output_tokens,
        retires_on=entry.retires_on or model.retires_on,
        discovered=discovered,
        pinned=model.pinned,
        model_class=model.model_class,
    )


def _listed_deployment(
    provider: str, entry: ListedLocally, model: Model | None, price: Price
) -> DeploymentEntry:
    """Describe what a server lists, claiming no more than every local server can do."""
    name = f"{provider}/{entry.id}"
    capabilities = None
    if model is not None:
        # Whether a tool can be forced, or an answer begun, is up to the server and its flags.
        capabilities = replace(model.capabilities, forced_tool_choice=False, prefill=False)
    return DeploymentEntry(
        id=name,
        model=model.id if model is not None else name,
        provider=provider,
        provider_model=entry.id,
        price=price,
        context_window=entry.context_window or None,
        capabilities=capabilities,
    )
