"""From TOML files to the directory: the packaged data first, then files of the user's own.

Rules of this file: a file holds tables of the sections below, keyed by name. A later file adds
entries and overrides single fields of earlier ones; a score is one fact and is replaced whole.
Every mistake becomes a SettingsError that names the file, the key and what was expected. Reading
blocks, so it happens before the event loop runs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from routerd.errors import SettingsError
from routerd.models.check import check_entries
from routerd.models.convert import convert
from routerd.models.directory import Directory
from routerd.models.entries import Entries, Origin, key_of
from routerd.models.price import HUNDREDFOLD, SOLD_PER
from routerd.models.schema import (
    DeploymentEntry,
    LocalListing,
    Model,
    ModelClass,
    Provider,
    Shortcut,
)

__all__ = ["load_directory"]

Entry = TypeVar("Entry")

# Sections, and the field of their entries that repeats the name.
SECTIONS: Final = {
    "providers": "id",
    "models": "id",
    "deployments": "id",
    "classes": "name",
    "shortcuts": "name",
}
# A section that is one table, not a table of tables.
LISTING: Final = "local"
# What a shortcut cannot have beside a field, and loses when a later file sets that field.
SERVED_BY: Final = frozenset({"class", "candidates", "choose", "by_complexity", "alias_of"})
EXCLUDING: Final = {
    name: SERVED_BY - {name} | (set() if name in {"candidates", "choose"} else {"degraded"})
    for name in sorted(SERVED_BY)
} | {"alias_of": SERVED_BY - {"alias_of"} | {"degraded", "defaults", "boundary"}}
# What of a price is no rate: it may change by any factor, and leaves announced changes as they are.
NO_RATES: Final = frozenset({"above", "discount_ppm", "source", "changes"})


class Layer(NamedTuple):
    """One file as it was read."""

    file: str
    tables: dict[str, Any]


def load_directory(
    extra_files: Sequence[Path] = (), *, data: Traversable | None = None
) -> Directory:
    """Read the packaged directory and then `extra_files`, in order.

    `data` is another folder to read instead of the packaged one. SettingsError names the file, the
    key and what was expected.
    """
    layers = [_read(file, str(file)) for file in _packaged(data or files(__package__) / "data")]
    packaged = len(layers)
    layers += [_read(path, str(path)) for path in extra_files]
    merged: dict[str, Any] = {section: {} for section in (*SECTIONS, LISTING)}
    for index, layer in enumerate(layers):
        _merge(merged, layer, may_override=index >= packaged)
    origin = _Layers(layers)
    entries = Entries(
        providers=_convert_section(merged, "providers", Provider, origin),
        models=_convert_section(merged, "models", Model, origin),
        deployments=_convert_section(merged, "deployments", DeploymentEntry, origin),
        classes=_convert_section(merged, "classes", ModelClass, origin),
        shortcuts=_convert_section(merged, "shortcuts", Shortcut, origin),
        listing=convert(merged[LISTING], LocalListing, (LISTING,), origin),
    )
    check_entries(entries, origin)
    return Directory(entries)


def _packaged(folder: Traversable) -> list[Traversable]:
    """List the TOML files under a folder in one order everywhere."""
    found: list[Traversable] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _packaged(item)
        elif item.name.endswith(".toml"):
            found.append(item)
    return found


def _read(file: Traversable, name: str) -> Layer:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError("no such file", file=name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", file=name) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"is not TOML: {error}", file=name) from error
    return Layer(name, tables)


def _merge(merged: dict[str, Any], layer: Layer, *, may_override: bool) -> None:
    """Lay one file's tables over what came before."""
    for section, tables in layer.tables.items():
        if section not in merged:
            known = ", ".join(merged)
            raise SettingsError(
                f"unknown section; known: {known}", file=layer.file, key=key_of(section)
            )
        if not isinstance(tables, dict):
            raise SettingsError("expected a table", file=layer.file, key=key_of(section))
        if section == LISTING:
            merged[section] = merged[section] | tables
            continue
        for name, table in tables.items():
            key = key_of(section, name)
            if not isinstance(table, dict):
                raise SettingsError("expected a table", file=layer.file, key=key)
            named_by = SECTIONS[section]
            if named_by in table:
                raise SettingsError(
                    f"unknown key; the table's own name is its {named_by}",
                    file=layer.file,
                    key=f"{key}.{named_by}",
                )
            before = merged[section].get(name)
            if before is not None and not may_override:
                raise SettingsError("is already in another file", file=layer.file, key=key)
            merged[section][name] = _override(before or {}, table, layer.file, (section, name))


def _override(
    before: dict[str, Any], table: dict[str, Any], file: str, place: tuple[str, ...]
) -> dict[str, Any]:
    """Return `before` with the fields of `table`, subtables merged except single scores."""
    after = dict(before)
    for name, value in table.items():
        old = before.get(name)
        here = (*place, name)
        if isinstance(old, dict) and isinstance(value, dict) and place[2:] != ("scores",):
            after[name] = _override(old, value, file, here)
        else:
            after[name] = value
        if place[2:3] == ("price",):
            _check_ratio(old, value, file, here)
    if place[2:] == ("price",):
        _finish_price(before, table, after, file)
    if place[0] == "shortcuts":
        for chosen, contradicted in EXCLUDING.items():
            if chosen in table:
                for name in contradicted - table.keys():
                    after.pop(name, None)
    return after


def _finish_price(
    before: dict[str, Any], table: dict[str, Any], after: dict[str, Any], file: str
) -> None:
    """Take off a price what does not hold any more beside what a later file says."""
    if "source" not in table:
        # Else the old source would vouch for numbers it never gave.
        after["source"] = f"{Path(file).name}, over {before.get('source', 'nothing')}"
    if "changes" not in table and table.keys() - NO_RATES:
        # Else the old list would undo the new rates on the day of its next change.
        after.pop("changes", None)


def _check_ratio(old: object, new: object, file: str, place: tuple[str, ...]) -> None:
    if not (isinstance(old, int) and isinstance(new, int) and old > 0 and new > 0):
        return
    if max(old, new) >= HUNDREDFOLD * min(old, new) and place[-1] not in NO_RATES:
        raise SettingsError(
            f"{new} instead of {old}: a hundredfold apart; expected nanodollars per "
            f"{SOLD_PER.get(place[-1], 'million tokens')} (1 dollar is 1000000000)",
            file=file,
            key=key_of(*place),
        )


def _convert_section(
    merged: dict[str, Any], section: str, kind: type[Entry], origin: Origin
) -> dict[str, Entry]:
    """Check all tables of a section, each under its name."""
    return {
        name: convert(
            table | {SECTIONS[section]: name},
            kind,
            (section, name),
            origin,
            named_by=SECTIONS[section],
        )
        for name, table in merged[section].items()
    }


class _Layers:
    """Which file said something last."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers: list[Layer] = list(reversed(layers))

    def file_of(self, *place: str) -> str:
        """Return the last file with the longest known part of a place, empty if none has it."""
        for length in range(len(place), 0, -1):
            for layer in self._layers:
                if _has(layer.tables, place[:length]):
                    return layer.file
        return ""


def _has(found: object, place: tuple[str, ...]) -> bool:
    for name in place:
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    return True
