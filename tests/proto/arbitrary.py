"""Hypothesis strategies for arbitrary values of the wire's types, read from their annotations.

What a frame may hold is said once, in the struct; a new field is generated without a change here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

TEXT = st.text(max_size=20)
INTEGERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)
NUMBERS = st.floats(allow_nan=False)


def frames_of(*kinds: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return frames of any of these kinds."""
    return st.one_of([values_of(kind, TEXT) for kind in kinds])


@cache
def values_of(kind: Any, text: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Any]:
    """Return values of a type, with `text` wherever text may stand."""
    simple = {
        str: text,
        int: INTEGERS,
        float: NUMBERS,
        bool: st.booleans(),
        bytes: st.binary(max_size=20),
        type(None): st.none(),
        Any: plain_values(text),
    }
    if kind in simple:
        return simple[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of([values_of(member, text) for member in arguments])
    if origin in (list, Sequence, tuple):
        items = st.lists(values_of(arguments[0], text), max_size=3)
        return items.map(tuple) if origin is tuple else items  # no tuple here has a fixed length
    if origin is dict:
        return st.dictionaries(text, values_of(arguments[1], text), max_size=3)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = get_type_hints(kind)
        return st.builds(kind, **{name: values_of(fields[name], text) for name in fields})
    raise TypeError(f"no strategy for {kind!r}")


@cache
def plain_values(text: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Any]:
    """Return what msgpack can say and a reader hands back equal."""
    return st.recursive(
        st.one_of(st.none(), st.booleans(), INTEGERS, NUMBERS, text, st.binary(max_size=8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=5,
    )
