"""Who of a target's deployments may serve at all, before a call is looked at.

Rules of this file: pure. Here stands what depends on directory, policy, sensitivity and day alone,
so that it is worked out once and not for every call. Who is left out has its reason.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import date
from typing import Final

from msgspec import Struct

from routerd.decide.candidates import Placed, candidate_of
from routerd.decide.policy import Policy
from routerd.domain import Boundary, Dropped, Kind, Sensitivity
from routerd.models.directory import BOUNDARIES, Directory, Resolution
from routerd.models.ranking import Place
from routerd.models.schema import Deployment

__all__ = ["Judge", "Terrain"]

# A replacement may itself have been replaced; nobody goes on for ever.
MOST_REPLACEMENTS: Final = 5


class Terrain(Struct, frozen=True):
    """What the candidates are judged by: all that changes rarely."""

    directory: Directory
    providers: Container[str]
    contracted: Container[str]
    policy: Policy
    sensitivity: Sensitivity
    kind: Kind
    day: date
    gone: dict[str, str]
    boundary: Boundary | None = None


class Judge:
    """Judges each deployment once."""

    def __init__(self, resolution: Resolution, terrain: Terrain) -> None:
        self._resolution = resolution
        self._terrain = terrain
        self._seen: set[str] = set()
        # Of what a rule for choosing put in order; a replacement has the place of what it replaces.
        self._places = dict(resolution.places)
        # In a class one member follows another; a model that was asked for by name is missed.
        self._is_named = resolution.kind in ("model", "deployment")
        self._allowed = _models_of(terrain)
        self.until: date | None = None

    def first_model(self, deployments: Iterable[Deployment]) -> str | None:
        """Return the first model that can be called here at all, whatever the call and the day."""
        for deployment in deployments:
            reason = self._reason(deployment)
            if reason is None or reason[0] == "boundary":
                return deployment.model
        return None

    def in_order(self, kept: list[Placed]) -> list[Placed]:
        """Put models where the best of their deployments stands that may serve here.

        One that nobody can call says nothing of where the others belong.
        """
        best: dict[str, Place] = {}
        for item in kept:
            name = item.candidate.model
            place = self._places[item.candidate.id]
            best[name] = min(place, best.get(name, place))

        def key(item: Placed) -> tuple[Place, Place]:
            return best[item.candidate.model], self._places[item.candidate.id]

        return sorted(kept, key=key)

    def left_out(self) -> list[Dropped]:
        """Return what the rule for choosing did not take, as far as it is not judged anyway."""
        return [item for item in self._resolution.left_out if item.deployment not in self._seen]

    def group(
        self, deployments: Iterable[Deployment], degraded: str | None
    ) -> tuple[list[Placed], list[Dropped]]:
        """Judge the deployments of one step: who may serve, and who may not."""
        kept: list[Placed] = []
        dropped: list[Dropped] = []
        for deployment in deployments:
            if deployment.id in self._seen:
                continue
            self._seen.add(deployment.id)
            ended = self._ended(deployment)
            if ended is not None:
                code, why = ended
                dropped.append(Dropped(deployment.id, code, why))
                others = self._terrain.directory.deployments_of(deployment.model)
                if any(self._ended(item) is None for item in others):
                    continue  # the same weights are served elsewhere
                self._replace(deployment, why, degraded, kept, dropped)
            else:
                detail = self._resolution.ranks.get(deployment.id, "")
                place = ("score" if detail else "order", detail)
                self._judge(deployment, place, degraded, kept, dropped)
        return kept, dropped

    def _replace(
        self,
        deployment: Deployment,
        why: str,
        degraded: str | None,
        kept: list[Placed],
        dropped: list[Dropped],
    ) -> None:
        """Put the replacement of what has ended in its place."""
        models = self._terrain.directory.models
        model = models[deployment.model]
        for _ in range(MOST_REPLACEMENTS):
            if model.replacement is None:
                return
            text = f"{deployment.model} {why}: {model.replacement} in its place"
            model = models[model.replacement]
            others = self._terrain.directory.deployments_of(model.id)
            living = [item for item in others if self._ended(item) is None]
            for item in others:
                if item in living or item.id in self._seen:
                    continue
                ended = self._ended(item)
                if ended is not None:
                    self._seen.add(item.id)
                    dropped.append(Dropped(item.id, *ended))
            for item in living:
                if item.id not in self._seen:
                    self._seen.add(item.id)
                    if deployment.id in self._places:
                        self._places.setdefault(item.id, self._places[deployment.id])
                    said = text if degraded is None and self._is_named else degraded
                    self._judge(item, ("replacement", text), said, kept, dropped)
            if living:
                return

    def _judge(
        self,
        deployment: Deployment,
        place: tuple[str, str],
        degraded: str | None,
        kept: list[Placed],
        dropped: list[Dropped],
    ) -> None:
        reason = self._reason(deployment)
        if reason is None:
            kept.append(Placed(candidate_of(deployment, degraded, place[1]), *place))
        else:
            dropped.append(Dropped(deployment.id, *reason))

    def _ended(self, deployment: Deployment) -> tuple[str, str] | None:
        """Say since when a deployment is no more, with the code for it; None if it lives."""
        gone = self._terrain.gone.get(deployment.id)
        if gone is not None:
            return "gone", gone
        ends = deployment.retires_on
        if ends is None:
            return None
        if ends <= self._terrain.day:
            return "retired", f"ended on {ends}"
        self.until = ends if self.until is None else min(self.until, ends)
        return None

    def _reason(self, deployment: Deployment) -> tuple[str, str] | None:
        """Return code and detail of the first reason against a deployment that lives."""
        terrain, policy = self._terrain, self._terrain.policy
        if deployment.kind != terrain.kind:
            detail = f"it does {deployment.kind}, the call asks for {terrain.kind}"
            return f"no_{terrain.kind}", detail
        if deployment.provider not in terrain.providers:
            return "provider_not_configured", f"no key or address for {deployment.provider}"
        if not policy.without.isdisjoint((deployment.id, deployment.model, deployment.provider)):
            return "policy", f"policy {policy.name} leaves it out"
        if self._allowed is not None and deployment.model not in self._allowed:
            return "policy", f"policy {policy.name} allows other classes and models"
        if deployment.pinned == "moving" and not policy.moving_aliases:
            return "moving_alias", (
                f"its vendor may put other weights behind this id; policies.{policy.name}."
                "moving_aliases = true allows it"
            )
        return self._too_far(deployment)

    def _too_far(self, deployment: Deployment) -> tuple[str, str] | None:
        terrain, boundary = self._terrain, deployment.boundary
        limit = terrain.boundary
        if limit is not None and BOUNDARIES.index(boundary) > BOUNDARIES.index(limit):
            what = f"what was asked for keeps it at {limit}"
            return "boundary", f"its text goes to {boundary}, {what}"
        farthest: Boundary = "vendor"
        if terrain.sensitivity == "private":
            named = deployment.provider in terrain.policy.private_reaches
            farthest = "own-network" if named else "machine"
        elif terrain.sensitivity == "internal":
            farthest = "vendor" if deployment.provider in terrain.contracted else "own-network"
        if BOUNDARIES.index(boundary) > BOUNDARIES.index(farthest):
            return "boundary", f"its text goes to {boundary}, this call's at most to {farthest}"
        return None


def _models_of(terrain: Terrain) -> frozenset[str] | None:
    """Return the models that the policy lets serve, None for all."""
    policy, directory = terrain.policy, terrain.directory
    if policy.classes is None and policy.models is None:
        return None
    classes = policy.classes or frozenset()
    named = {
        name
        for item in classes
        if item in directory.classes
        for name in directory.classes[item].candidates
    }
    of_class = {item.id for item in directory.models.values() if item.model_class in classes}
    return frozenset(named | of_class | (policy.models or frozenset()))
