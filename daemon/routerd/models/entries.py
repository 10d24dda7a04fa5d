"""All entries of a directory together, and where each was written.

Rules of this file: plain containers, no checks and no look-ups of its own.
"""

from __future__ import annotations

import json
import re
from typing import Final, Protocol

from msgspec import Struct

from routerd.models.schema import (
    DeploymentEntry,
    LocalListing,
    Model,
    ModelClass,
    Provider,
    Shortcut,
)

__all__ = ["Entries", "Origin", "key_of"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class Entries(Struct, frozen=True, kw_only=True):
    """What the files say, by name, in their order."""

    providers: dict[str, Provider]
    models: dict[str, Model]
    deployments: dict[str, DeploymentEntry]
    classes: dict[str, ModelClass]
    shortcuts: dict[str, Shortcut]
    listing: LocalListing = LocalListing()


class Origin(Protocol):
    """Knows which file said something."""

    def file_of(self, *place: str) -> str:
        """Return the file that last set a place, empty if none did."""
        ...


def key_of(*place: str) -> str:
    """Write a place as a TOML key: `models."gpt-6.1-sol".backup`, `classes.fast.candidates[2]`."""
    key = ""
    for name in place:
        if name.isdecimal() and key:
            key += f"[{name}]"
        else:
            key += "." * bool(key) + (name if _BARE.fullmatch(name) else json.dumps(name))
    return key
