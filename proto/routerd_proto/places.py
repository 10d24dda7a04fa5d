"""Says where in a frame a mistake lies and what was expected, in the words of who made it.

Rules of this file: it only explains; whether a frame is right was decided before. msgspec names a
place by its position in an array (`$[3][0].role`); a caller knows it as `messages[0].role`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

__all__ = ["explain_mistake", "tag_of"]

_PLACE: Final = re.compile(r"(?P<what>.*) - at `\$\[(?P<index>\d+)\](?P<rest>.*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|(?P<key>\[\.\.\.\])")
# A message quotes what does not belong, and that may be a whole prompt in the wrong place.
_LONGEST: Final = 100

_Step = str | int | None  # a name, a position, or any key of a map


def tag_of(frame: bytes | memoryview) -> int | None:
    """Return the tag of a frame, None where the first element of an array is no small integer."""
    start = {0xDC: 3, 0xDD: 5}.get(frame[0], 1 if frame[0] & 0xF0 == 0x90 else 0) if frame else 0
    if start == 0 or len(frame) <= start or frame[start] >= 0x80:
        return None
    return frame[start]


def explain_mistake(text: str, kind: type) -> tuple[str, str]:
    """Turn msgspec's message about a frame of this kind into a plain one, and its place."""
    match = _PLACE.fullmatch(text)
    if match is None:
        return f"{kind.__name__}: {_shorten(text)}", ""
    place, what = _name(kind, int(match["index"]) - 1, match["rest"]), _shorten(match["what"])
    if what.startswith("Invalid "):
        choices = _choices(kind, (int(match["index"]) - 1, *_steps(match["rest"])))
        if choices:
            what = f"{what}, expected one of {', '.join(map(repr, choices))}"
    return f"{place}: {what}", place


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _name(kind: type, index: int, rest: str) -> str:
    """Write a place with the names of fields: of the frame, and of an array inside it."""
    fields = [field.name for field in msgspec.structs.fields(kind)]
    if index >= len(fields):
        return f"[{index}]{rest}"
    inner = re.match(r"\[(\d+)\]", rest)
    if inner is not None:
        for struct in _plain(get_type_hints(kind)[fields[index]]):
            if _is_array(struct):
                return f"{fields[index]}.{_name(struct, int(inner[1]), rest[inner.end() :])}"
    return fields[index] + rest


def _steps(rest: str) -> Iterator[_Step]:
    for match in _STEP.finditer(rest):
        yield match["name"] or (int(match["index"]) if match["index"] else None)


def _choices(kind: type, steps: tuple[_Step, ...]) -> list[Any]:
    """List the literals a place may hold, in the order in which they are written down."""
    kinds: list[Any] = [kind]
    for step in steps:
        kinds = [inner for outer in kinds for inner in _inside(outer, step)]
    return list(dict.fromkeys(c for kind in kinds if _is_literal(kind) for c in get_args(kind)))


def _inside(kind: Any, step: _Step) -> Iterator[Any]:
    """Yield what may stand at one step inside a type."""
    if isinstance(step, str) or _is_array(kind):
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return
        config = kind.__struct_config__
        fields = msgspec.structs.fields(kind)
        if step == config.tag_field:
            yield Literal[config.tag]
        for position, field in enumerate(fields):
            if step in (field.encode_name, position):
                yield from _plain(get_type_hints(kind)[field.name])
    elif get_origin(kind) in (list, dict, Sequence):
        yield from _plain(get_args(kind)[-1])


def _plain(kind: Any) -> list[Any]:
    """Take a union apart."""
    if get_origin(kind) in (Union, UnionType):
        return [inner for member in get_args(kind) for inner in _plain(member)]
    return [kind]


def _is_array(kind: Any) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and bool(kind.__struct_config__.array_like)
    )


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal
