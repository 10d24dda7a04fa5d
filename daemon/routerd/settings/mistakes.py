"""What is wrong with a value of a TOML file, in words: where in the table, and what was expected.

Rules of this file: pure. It turns what msgspec says of a wrong value into the place of that value
and a sentence that lists what would have been right; who asked adds the file and the table.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

__all__ = ["explain_mistake"]

_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<place>.*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`")


def explain_mistake(
    error: msgspec.ValidationError, kind: Any, *, hidden: str = ""
) -> tuple[tuple[str, ...], str]:
    """Return the place below the table, as keys, and what was expected there.

    `kind` is the struct the table was read as; `hidden` is a field of it that no file sets.
    """
    match = _PLACE.fullmatch(str(error))
    what: str = match["what"] if match else str(error)
    inner = tuple(re.findall(r"[^.\[\]]+", (match["place"] or "") if match else ""))
    unknown = _UNKNOWN.fullmatch(what)
    if unknown:
        fields = msgspec.structs.fields(_type_at(kind, inner))
        known = [item.encode_name for item in fields if inner or item.name != hidden]
        return (*inner, unknown["name"]), f"unknown key; known here: {', '.join(known)}"
    if what.startswith("Invalid enum value"):
        what = f"{what}; expected one of {', '.join(_choices(_type_at(kind, inner)))}"
    return inner, what


def _type_at(kind: Any, place: tuple[str, ...]) -> Any:
    """Return the type of the value at a place of the schema, through unions with None."""
    for name in place:
        if name.isdecimal():
            continue  # a list is as good as what is in it
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
