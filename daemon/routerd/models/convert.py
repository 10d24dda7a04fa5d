"""From one table of a file to its struct.

Rules of this file: what msgspec says about a wrong value is turned into a SettingsError that names
the file, the full key and what was expected; nothing else is checked here.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from routerd.errors import SettingsError
from routerd.models.entries import Origin, key_of

__all__ = ["convert"]

Entry = TypeVar("Entry")

_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`")


def convert(
    raw: Any, kind: type[Entry], place: tuple[str, ...], origin: Origin, *, named_by: str = ""
) -> Entry:
    """Check one table against its struct; `named_by` is the field that the table's name fills."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        match = _PLACE.fullmatch(str(error))
        what = match["what"] if match else str(error)
        rest: str = (match["place"] or "") if match else ""
        inner = tuple(re.findall(r"[^.\[\]]+", rest))
        unknown = _UNKNOWN.fullmatch(what)
        if unknown:
            fields = msgspec.structs.fields(_type_at(kind, inner))
            known = [item.encode_name for item in fields if inner or item.name != named_by]
            inner = (*inner, unknown["name"])
            what = f"unknown key; known here: {', '.join(known)}"
        elif what.startswith("Invalid enum value"):
            what = f"{what}; expected one of {', '.join(_choices(_type_at(kind, inner)))}"
        file, key = origin.file_of(*place, *inner), key_of(*place, *inner)
        raise SettingsError(what, file=file, key=key) from None


def _type_at(kind: Any, place: tuple[str, ...]) -> Any:
    """Return the type of the value at a place of the schema, through unions with None."""
    for name in place:
        structs = [item for item in (kind, *get_args(kind)) if hasattr(item, "__struct_fields__")]
        fields = {item.encode_name: item.type for item in msgspec.structs.fields(structs[0])}
        kind = fields[name]
    structs = [item for item in get_args(kind) if hasattr(item, "__struct_fields__")]
    return structs[0] if structs else kind


def _choices(kind: Any) -> list[str]:
    """List the literals anywhere inside a type."""
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    return [choice for argument in get_args(kind) for choice in _choices(argument)]
