"""Which of the calls that an answer has begun those of its whole output are.

Rules of this file: pure. An id is sure, be it the call's own or that of its item. Where one side
has none, a call is the first of the same name whose arguments began alike; none is taken twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routerd.providers.json_text import encode_json, text_of
from routerd.providers.openai.responses.open_items import OpenItem

__all__ = ["arguments_of", "known_calls", "note_names"]

Fields = dict[str, Any]


def note_names(item: OpenItem, fields: Fields) -> None:
    """Keep by what a call may be known later."""
    call_id = text_of(fields.get("call_id"))
    item.call_id = item.call_id or call_id or ""
    item.ids.update(name for name in (call_id, text_of(fields.get("id"))) if name)


def arguments_of(fields: Fields) -> str:
    """Return the arguments of a whole call as the text that they are, with some an object."""
    arguments = fields.get("arguments")
    if not arguments:
        return ""
    return arguments if isinstance(arguments, str) else encode_json(arguments).decode()


def known_calls(
    begun: Sequence[OpenItem], wholes: Sequence[tuple[Fields, OpenItem | None]]
) -> list[OpenItem | None]:
    """Return for each whole call the one that it is, None where nothing came of it before.

    With each comes the item that stands in its place, if any does.
    """
    found: dict[int, OpenItem] = {}
    for is_same in (_has_its_id, _has_the_items_id, _is_in_its_place, _is_alike):
        for position, (fields, placed) in enumerate(wholes):
            taken = {item.number for item in found.values()}
            for item in begun if position not in found else ():
                if item.number not in taken and is_same(item, fields, placed):
                    found[position] = item
                    break
    return [found.get(position) for position in range(len(wholes))]


def _has_its_id(item: OpenItem, fields: Fields, placed: OpenItem | None) -> bool:
    del placed
    return text_of(fields.get("call_id")) in item.ids


def _has_the_items_id(item: OpenItem, fields: Fields, placed: OpenItem | None) -> bool:
    del placed
    return text_of(fields.get("id")) in item.ids


def _is_in_its_place(item: OpenItem, fields: Fields, placed: OpenItem | None) -> bool:
    """The beginning was lost, and with it the name and maybe the first of the arguments."""
    del fields
    return item is placed and not item.name


def _is_alike(item: OpenItem, fields: Fields, placed: OpenItem | None) -> bool:
    del placed
    if item.call_id and text_of(fields.get("call_id")):
        return False
    if item.name and item.name != text_of(fields.get("name")):
        return False
    return item.count("arguments").rest_of(arguments_of(fields)) is not None
