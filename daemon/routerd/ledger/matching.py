"""Which names of a provider's invoice mean the same model as names of the ledger.

Rules of this file: pure. A dated snapshot and its alias are the same; two snapshots are not, unless
an alias stands between them that may be either. A vendor's prefix does not count, nor how a name is
spelt: `Claude Haiku 4.5` is `claude-haiku-4-5`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

__all__ = ["groups_of", "is_same_model"]

SEPARATORS: Final = re.compile(r"[\s._-]+")
# What a snapshot adds to the name of its model: 2026-11-01, 20261101, 2611 or 0613.
SNAPSHOT: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$")


def is_same_model(one: str, other: str) -> bool:
    """Say whether two names can mean the same model."""
    first, second = _spelt_alike(one), _spelt_alike(other)
    return (
        first == second or SNAPSHOT.sub("", first) == second or (SNAPSHOT.sub("", second) == first)
    )


def groups_of(names: Iterable[str]) -> dict[str, int]:
    """Number the models that names mean; '' means all of them.

    Names that can mean the same model are in one group, also by way of a third.
    """
    spelt = {name: _spelt_alike(name) for name in sorted(set(names))}
    if "" in spelt:
        return dict.fromkeys(spelt, 0)
    aliases = set(spelt.values())
    numbers: dict[str, int] = {}
    return {
        name: numbers.setdefault(_alias_of(plain, aliases), len(numbers))
        for name, plain in spelt.items()
    }


def _alias_of(name: str, aliases: Collection[str]) -> str:
    """Return what a snapshot's model is called, where somebody calls it so; else the name."""
    # What remains may look like a snapshot itself: then all of them are one.
    while (shorter := SNAPSHOT.sub("", name)) != name and shorter in aliases:
        name = shorter
    return name


def _spelt_alike(name: str) -> str:
    plain = SEPARATORS.sub("-", name.rpartition("/")[2].strip().lower())
    return plain.removesuffix("-latest")
