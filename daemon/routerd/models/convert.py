"""From one table of a file to its struct.

Rules of this file: what msgspec says about a wrong value is turned into a SettingsError that names
the file, the full key and what was expected; nothing else is checked here.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from routerd.errors import SettingsError
from routerd.models.entries import Origin, key_of
from routerd.settings.mistakes import explain_mistake

__all__ = ["convert"]

Entry = TypeVar("Entry")


def convert(
    raw: Any, kind: type[Entry], place: tuple[str, ...], origin: Origin, *, named_by: str = ""
) -> Entry:
    """Check one table against its struct; `named_by` is the field that the table's name fills."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        inner, what = explain_mistake(error, kind, hidden=named_by)
        file, key = origin.file_of(*place, *inner), key_of(*place, *inner)
        raise SettingsError(what, file=file, key=key) from None
