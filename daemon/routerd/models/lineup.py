"""The deployments that a decision looks at, with what the state of the system is looked up by.

Rules of this file: pure. It is worked out once for each target, because every call asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from routerd.models.schema import Deployment

__all__ = ["Lineup"]


class Lineup(Struct, frozen=True, eq=False):
    """Deployments, and what of them names something: each once.

    `ids` and `names` are the same, the latter in order. `places` are the pairs of provider and
    model, sorted. `by_provider` are each provider's ids, in order. None of it is to be changed.
    """

    deployments: tuple[Deployment, ...]
    names: tuple[str, ...]
    ids: frozenset[str]
    models: frozenset[str]
    places: tuple[tuple[str, str], ...]
    by_provider: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, deployments: Iterable[Deployment]) -> Lineup:
        """Look at these."""
        deployments = tuple(deployments)
        names = tuple(item.id for item in deployments)
        by_provider: dict[str, list[str]] = {}
        for item in deployments:
            by_provider.setdefault(item.provider, []).append(item.id)
        return cls(
            deployments,
            names,
            frozenset(names),
            frozenset(item.model for item in deployments),
            tuple(sorted({(item.provider, item.model) for item in deployments})),
            {name: tuple(ids) for name, ids in by_provider.items()},
        )
