"""Plain data read into a shape: what fits is there, what does not is left out, nothing raises."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from routerd.providers.anthropic.wire import EVENTS as ANTHROPIC
from routerd.providers.bedrock.wire import EVENTS as BEDROCK
from routerd.providers.cohere.wire import EVENTS as COHERE
from routerd.providers.gemini.wire import CHUNKS as GEMINI
from routerd.providers.loose import JsonShape, loosely
from routerd.providers.openai.responses.wire import EVENTS as RESPONSES
from routerd.providers.openai.wire import CHUNKS as OPENAI


class Inner(Struct):
    BARE: ClassVar = "text"

    text: Any = None
    count: int | None = None


class Outer(Struct, rename="camel"):
    one_inner: Inner | None = None
    inners: list[Inner] | None = None
    either: Inner | list[Inner] | str | None = None
    place: Any = 7


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, Outer()),
        ({"place": None}, Outer(place=None)),
        ({"oneInner": {"text": "a", "more": 1}}, Outer(Inner("a"))),
        ({"oneInner": "bare"}, Outer(Inner("bare"))),
        ({"oneInner": 5, "inners": 5, "either": 5}, Outer()),
        ({"inners": [{"text": "a"}, None, "b", 3]}, Outer(inners=[Inner("a"), Inner("b")])),
        ({"inners": {"text": "a"}}, Outer(inners=[Inner("a")])),
        ({"inners": []}, Outer(inners=[])),
        ({"either": "text"}, Outer(either="text")),
        ({"either": {"text": "a"}}, Outer(either=Inner("a"))),
        ({"either": ["a"]}, Outer(either=[Inner("a")])),
        ({"oneInner": ["a", "b"]}, Outer(Inner(["a", "b"]))),
        ([{"place": 1}], Outer(place=1)),
        ([{"place": 1}, {"place": 2}], None),
        ([[{"place": 1}]], None),
        ({"oneInner": {"count": 2.9}}, Outer(Inner(count=2))),
        ({"oneInner": {"count": -3}}, Outer(Inner(count=0))),
        ({"oneInner": {"count": True}}, Outer(Inner())),
        ({"oneInner": {"count": float("inf")}}, Outer(Inner())),
        ({"oneInner": {"count": 10**30}}, Outer(Inner(count=10**30))),
        ({"oneInner": {"count": 10**400}}, Outer(Inner(count=10**400))),
    ],
)
def test_what_fits_is_read(data: Any, expected: Outer | None) -> None:
    assert loosely(Outer, data) == expected


@pytest.mark.parametrize("data", [None, 5, "text", [], [{}], True])
def test_what_is_no_object_is_no_event(data: Any) -> None:
    assert JsonShape(Outer).loosely(data) is None


def of_shape(shape: Any) -> st.SearchStrategy[Any]:
    """Draw JSON that looks like a shape, with other types here and there."""
    names = st.sampled_from(sorted(names_in(msgspec.inspect.type_info(shape))))
    plain = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("\ud800")
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
        max_leaves=15,
    )


def names_in(info: Any) -> set[str]:
    if isinstance(info, msgspec.inspect.UnionType):
        return {name for member in info.types for name in names_in(member)}
    if isinstance(info, msgspec.inspect.ListType):
        return names_in(info.item_type)
    if not isinstance(info, msgspec.inspect.StructType):
        return set()
    found = {field.encode_name for field in info.fields}
    return found.union(*(names_in(field.type) for field in info.fields))


@pytest.mark.parametrize("events", [OPENAI, RESPONSES, ANTHROPIC, GEMINI, BEDROCK, COHERE])
@given(data=st.data())
def test_what_is_read_by_the_book_is_read_alike(
    events: JsonShape[Any], data: st.DataObject
) -> None:
    value = data.draw(of_shape(events.shape))
    loose = events.loosely(value)
    assert (loose is None) == (not isinstance(value, dict))
    try:
        strict = events.read(msgspec.json.encode(value))
    except (ValueError, UnicodeEncodeError):
        return
    assert loose == strict
