"""Parameters that a caller sends to one vendor as they are, and what of them is routerd's own.

Rules of this file: pure, and the same for every wire: what an adapter has written is joined with
what the caller wrote for it. A parameter of the caller wins over the same one of routerd's, which
came from a portable option; both are known, so a note says it. What routerd answers for is refused:
the model, what is said, the stream. What can cost more than was set aside for the call is sent,
since somebody permitted it before the call was planned, and the request says so. Which is which
says `raw_limits`. What the caller writes is never changed: where it does not go with a cache mark
of routerd's, that one gives way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from routerd.providers.base import EncodedRequest, Headers
from routerd.providers.json_text import encode_json, read_json
from routerd.providers.long_marks import WHOLE, fit_to_raw
from routerd.providers.raw_limits import (
    HOLDERS,
    beyond_hold,
    forbidden_parameter,
    listed_names,
    plain_name,
)
from routerd.providers.request import Notes, refusal
from routerd.telemetry.plain import shown_name

__all__ = ["beyond_hold", "forbidden_parameter", "with_raw"]

Json = dict[str, Any]

# Lists that the caller's items are added to: in them stands what other options ask for.
LISTS: Final = frozenset({"tools", "include"})
# What Anthropic and Bedrock, and what OpenAI call the lifetime that costs more to write.
LONG_LIFETIMES: Final = frozenset({"1h", "12h"})

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_raw(
    encoded: EncodedRequest, raw: Mapping[str, Mapping[str, Any]], names: Iterable[str]
) -> EncodedRequest:
    """Return the request with the parameters that are meant for one of `names`, the last one last.

    The first of `names` is that of the wire. What is meant for somebody else is left out, with a
    note. CallRefused where a parameter is routerd's own, or would take away what routerd has put
    into the same place.
    """
    wanted = dict.fromkeys(names)
    wire = next(iter(wanted))
    notes = Notes(encoded.notes)
    for name in raw:
        if name not in wanted:
            notes.add(f"raw.{shown_name(name)} was left out: this is {' or '.join(wanted)}")
    meant = [(name, raw[name]) for name in wanted if raw.get(name)]
    if not meant:
        return structs.replace(encoded, notes=list(notes))
    body: Json = dict(_fields.decode(encoded.body))
    headers = list(encoded.headers)
    unbounded: list[str] = []
    for name, parameters in meant:
        at = f"raw.{shown_name(name)}"
        if (found := forbidden_parameter(parameters, wire)) is not None:
            raise refusal(f"options.{at}.{found[0]} {found[1]}", param=f"options.{at}.{found[0]}")
        for dear in beyond_hold(parameters):
            notes.add(f"{at}.{dear.path} can cost more than was held: nothing bounds this call")
            unbounded.append(dear.name)
        _join(body, _without_headers(parameters, encoded.raw_headers, headers), at, notes)
    whole, tools = body.get(WHOLE), body.get("tools")
    if isinstance(whole, dict) or isinstance(tools, list):  # a list where raw has some
        said: Json = {
            name: read_json(body[name]) for name in ("system", "messages") if name in body
        }
        if fit_to_raw(whole, tools, said.get("system"), said.get("messages"), notes):
            body.update(said)
    keeps_long = encoded.keeps_long or any(_keeps_long(parameters) for _, parameters in meant)
    return structs.replace(
        encoded,
        headers=headers,
        body=encode_json(body),
        notes=list(notes),
        keeps_long=keeps_long,
        beyond_hold=tuple(unbounded),
    )


def _without_headers(
    parameters: Mapping[str, Any], known: Mapping[str, bytes], headers: Headers
) -> Mapping[str, Any]:
    """Move lists of names that this wire has in a header there; return what is for the body."""
    found = {name: header for name in parameters if (header := known.get(plain_name(name)))}
    for name, header in found.items():
        before = [value for sent, value in headers if sent == header]
        names = [*b",".join(before).decode().split(","), *listed_names(parameters[name])]
        value = ",".join(filter(None, dict.fromkeys(names))).encode()
        headers[:] = [item for item in headers if item[0] != header]
        if value:
            headers.append((header, value))
    return {name: value for name, value in parameters.items() if name not in found}


def _keeps_long(value: Any) -> bool:
    """Say whether a mark of the caller's own asks for the longer lifetime of a cache."""
    if isinstance(value, dict):
        ttl = value.get("ttl")
        is_long = isinstance(ttl, str) and ttl in LONG_LIFETIMES
        return is_long or any(map(_keeps_long, value.values()))
    return isinstance(value, list) and any(map(_keeps_long, value))


def _join(fields: Json, parameters: Mapping[str, Any], at: str, notes: Notes) -> None:
    spelled = {plain_name(name): name for name in fields}
    for name, value in parameters.items():
        known = spelled.get(plain_name(name), name)
        here = f"{at}.{shown_name(name)}"
        if known != name:
            raise refusal(
                f"options.{here} is sent as {known}; write it so", param=f"options.{here}"
            )
        if name not in fields:
            fields[name] = value
            continue
        present = fields[name]
        if isinstance(present, msgspec.Raw):
            present = msgspec.json.decode(present)
        if plain_name(name) in HOLDERS and isinstance(present, dict):
            if not isinstance(value, dict):
                raise refusal(f"options.{here} must be an object", param=f"options.{here}")
            _join(present, value, here, notes)
            fields[name] = present
        elif plain_name(name) in LISTS and isinstance(present, list):
            if not isinstance(value, list):
                raise refusal(f"options.{here} must be a list", param=f"options.{here}")
            fields[name] = present + [item for item in value if item not in present]
        elif value != present:
            fields[name] = value
            notes.add(f"{here} was sent in place of what the call says otherwise")
