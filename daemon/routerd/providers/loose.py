"""JSON read into a shape: by the book, or as strangers write it.

Rules of this file: no vendor. `read` is typed decoding, and raises where a value has another type
than the shape says, or text is not UTF-8. `loosely` takes plain data and never raises: a value that
does not fit is left out, and the rest is there. Whole numbers are counts: what is more exact is
cut off, nothing is below 0, and they may be digits in a text. An object where a list is expected is
its only item, and the other way round; what else is no object where one is expected stands for the
field that the shape names `BARE`.
Text from there may hold halves of surrogate pairs.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from routerd.providers.counts import count_of

__all__ = ["JsonShape", "loosely"]

Shape = TypeVar("Shape", bound=Struct)
Reader = Callable[[Any], Any]


class JsonShape(Generic[Shape]):
    """A shape that the events of a stream have."""

    def __init__(self, shape: type[Shape]) -> None:
        self.read = msgspec.json.Decoder(shape).decode
        self.shape = shape

    def loosely(self, value: Any) -> Shape | None:
        """Read plain data; None where it is no object."""
        return loosely(self.shape, value) if isinstance(value, dict) else None


def loosely(shape: type[Shape], value: Any) -> Shape | None:
    """Read plain data as far as it fits; None where nothing of it does."""
    if isinstance(value, list) and len(value) == 1 and not hasattr(shape, "BARE"):
        [value] = value
    if isinstance(value, dict):
        return shape(
            **{name: read(value[sent]) for name, sent, read in _fields_of(shape) if sent in value}
        )
    bare: str | None = getattr(shape, "BARE", None)
    if bare is None or not isinstance(value, str | list):
        return None
    [read] = [read for name, _, read in _fields_of(shape) if name == bare]
    return shape(**{bare: read(value)})


@functools.cache
def _fields_of(shape: type[Struct]) -> list[tuple[str, str, Reader]]:
    """Return the fields of a shape: each by its name, as it is sent, and what reads it."""
    hints = get_type_hints(shape)
    return [
        (name, sent, _reader_of(hints[name]))
        for name, sent in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
    ]


def _reader_of(hint: Any) -> Reader:
    """Return what reads a field of this type: of a union, the member that fits."""
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if Any in members:
        return _as_it_is
    shapes = [member for member in members if isinstance(member, type)]
    if int in shapes:
        return _as_count
    objects = [member for member in shapes if issubclass(member, Struct)]
    lists = [get_args(member)[0] for member in members if get_origin(member) is list]

    def read(value: Any) -> Any:
        if value is None or (isinstance(value, str) and str in shapes):
            return value
        if objects and (not lists or not isinstance(value, list)):
            return loosely(objects[0], value)
        if not lists:
            return None
        if isinstance(value, list):
            items = [loosely(lists[0], item) for item in value]
            return [item for item in items if item is not None]
        item = loosely(lists[0], value)
        return None if item is None else [item]

    return read


def _as_it_is(value: Any) -> Any:
    return value


def _as_count(value: Any) -> int | None:
    if isinstance(value, str):
        return count_of(value)
    if isinstance(value, float):
        return max(int(value), 0) if math.isfinite(value) else None
    # A whole number may be larger than any float is.
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else None
