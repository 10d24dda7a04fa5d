"""The directory of models, ready to be asked: names in, ordered deployments out.

Rules of this file: a directory is built once and never changes; what adds to it returns another
one. Everything a call needs is prepared at construction, so that resolving a name is one look-up.
It knows neither health nor money nor keys: which of the candidates may serve is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from routerd.domain import Boundary
from routerd.models.entries import Entries
from routerd.models.local import (
    LOCAL_PRICE,
    ListedLocally,
    ad_hoc_model,
    is_sent_on,
    kind_of_listed,
    normalise,
    strip_format,
)
from routerd.models.pricing import Price
from routerd.models.prompt import added_tokens
from routerd.models.resolution import DegradedStep, Resolution, Resolver, TargetKind
from routerd.models.schema import (
    Deployment,
    DeploymentEntry,
    Model,
    ModelClass,
    Provider,
    Shortcut,
)

__all__ = ["BOUNDARIES", "DegradedStep", "Directory", "Resolution", "TargetKind", "UnknownTarget"]

LONGEST_NAME: Final = 100
# From near to far: text that may go to one of these may go to those before it.
BOUNDARIES: Final[tuple[Boundary, ...]] = ("machine", "own-network", "vendor")
Document = tuple[Entries, dict[str, tuple[DeploymentEntry, ...]]]
# Made here, while one thread runs: see `ledger.rows`.
_decoder: Final = msgspec.json.Decoder(Document)


class UnknownTarget(Exception):  # noqa: N818 - it states a fact; the caller is told unknown_target
    """No shortcut, class, model or deployment has this name; `near` are those that resemble it."""

    def __init__(self, target: str, near: tuple[str, ...]) -> None:
        hint = f"; near: {', '.join(near)}" if near else ""
        super().__init__(f"{target!r} is not known{hint}")
        self.target = target
        self.near = near


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
        # In the order of the providers: who answered first must not decide who serves.
        self._listed = {
            name: listed[name] for name in entries.providers if listed and name in listed
        }
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
                listed_class = entries.classes.get(item.model_class or "")
                kind = listed_class.kind if listed_class is not None else "chat"
                models[item.model] = ad_hoc_model(item.id, item.provider, kind)
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

    @cached_property
    def _resolutions(self) -> dict[str, Resolution]:
        """What each name stands for; not worked out for a directory that is only built upon."""
        return Resolver(
            models=self.models,
            deployments=self.deployments,
            serving=self._serving,
            classes=self.classes,
            shortcuts=self.shortcuts,
        ).resolve_everything()

    def prepared(self) -> Directory:
        """Return this directory with its names worked out: the first call need not wait for it."""
        _ = self._resolutions
        return self

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

    def boundary_of(self, target: str) -> Boundary | None:
        """Return how far text for a name may go; None where the name says nothing of it.

        Who names a server of their own has named a boundary too.
        """
        resolution = self._resolutions.get(target)
        if resolution is None:
            return None
        if resolution.kind == "deployment":
            own = resolution.candidates[0].boundary
            return None if own == "vendor" else own
        return resolution.boundary

    def deployments_of(self, model: str) -> tuple[Deployment, ...]:
        """Return the deployments of a model, the nearest boundary first; there may be none."""
        return self._serving.get(model, ())

    def with_provider(self, provider: Provider) -> Directory:
        """Return this directory with one provider added or replaced."""
        providers = self._entries.providers | {provider.id: provider}
        return Directory(replace(self._entries, providers=providers), self._listed)

    def sent_on(self, provider: str) -> list[str]:
        """Return the deployments at a server that it only forwards to somebody's cloud."""
        return [
            item.id
            for item in self._entries.deployments.values()
            if item.provider == provider and is_sent_on(item.provider_model, self._entries.listing)
        ]

    def with_prices(self, prices: Mapping[str, Price]) -> Directory:
        """Return this directory with other prices for some of the deployments of its files."""
        deployments = {
            name: replace(item, price=prices.get(name, item.price))
            for name, item in self._entries.deployments.items()
        }
        return Directory(replace(self._entries, deployments=deployments), self._listed)

    def document(self) -> bytes:
        """Return all that decisions are made by, as JSON: what two directories share if alike.

        The order of the entries is part of it, because candidates stand in that order.
        """
        return msgspec.json.encode((self._entries, self._listed))

    @classmethod
    def from_document(cls, document: bytes) -> Directory:
        """Return the directory that `document` was of; ValueError where it is none."""
        try:
            entries, listed = _decoder.decode(document)
        except msgspec.DecodeError as error:
            raise ValueError(f"is no directory: {error}") from None
        return cls(entries, listed)

    def with_local_models(
        self, provider: str, listed: Iterable[ListedLocally], *, price: Price = LOCAL_PRICE
    ) -> Directory:
        """Return this directory with the models that a server of yours lists now.

        What the same provider listed before is forgotten. A known name binds to its model; another
        becomes a model of its own without scores, of the kind that the server or its name says;
        one that embeds or ranks serves whoever names it. What is for no kind of call, and models
        that the server only forwards to a cloud, are left out. `provider` must be in the directory.
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
            kind = kind_of_listed(entry, self._entries.listing)
            if kind is None:
                continue
            name = normalise(entry.id)
            model = by_name.get(name) or by_name.get(strip_format(name))
            item = _listed_deployment(provider, entry, model, price)
            if model is None and kind != "chat":
                item = replace(item, model_class=kind)
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


def _complete(
    entry: DeploymentEntry, model: Model, provider: Provider, *, discovered: bool
) -> Deployment:
    """Fill in what a deployment takes over from its model and its provider."""
    prompt_tokens, prompt_tokens_bound = added_tokens(model.prompt)
    return Deployment(
        id=entry.id,
        model=entry.model,
        provider=entry.provider,
        provider_model=entry.provider_model,
        boundary=provider.boundary,
        capabilities=entry.capabilities or model.capabilities,
        kind=model.kind,
        model_class=entry.model_class or model.model_class,
        pinned=model.pinned,
        region=entry.region,
        weight=entry.weight,
        price=entry.price,
        speed=entry.speed,
        context_window=entry.context_window or model.context_window,
        max_input_tokens=entry.max_input_tokens or model.max_input_tokens,
        max_output_tokens=entry.max_output_tokens or model.max_output_tokens,
        retires_on=entry.retires_on or model.retires_on,
        replacement=model.replacement,
        discovered=discovered,
        prompt=model.prompt,
        prompt_tokens=prompt_tokens,
        prompt_tokens_bound=prompt_tokens_bound,
        image_tokens_bound=model.image_tokens_bound,
        documents=provider.documents,
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
