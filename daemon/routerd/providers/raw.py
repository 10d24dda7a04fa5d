"""Parameters that a caller sends to one vendor as they are, and what of them is routerd's own.

Rules of this file: pure, and the same for every wire: what an adapter has written is joined with
what the caller wrote for it. A parameter of the caller wins over the same one of routerd's, which
came from a portable option; both are known, so a note says it. What routerd answers for is refused:
the model, what is said, the stream, the tools, and all that can cost more than was set aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from routerd.providers.base import EncodedRequest
from routerd.providers.json_text import encode_json
from routerd.providers.request import Notes, refusal
from routerd.telemetry.plain import as_code

__all__ = ["forbidden_parameter", "with_raw"]

Json = dict[str, Any]

# Names as all wires spell them once case, `_` and `-` are taken away, and what a caller is told.
FORBIDDEN: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("model", "models", "modelid", "route"),
        "is routerd's to choose; ask for a model or a shortcut",
    ),
    **dict.fromkeys(
        (
            *("messages", "message", "chathistory", "input", "inputs", "contents", "prompt"),
            *("system", "systeminstruction", "instructions", "preamble", "cachedcontent"),
            *("previousresponseid", "conversation", "conversationid"),
        ),
        "is part of what is said; put it into the messages",
    ),
    **dict.fromkeys(
        ("stream", "streamoptions", "background"),
        "is how routerd reads the answer, and cannot be changed",
    ),
    **dict.fromkeys(
        (
            *("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens"),
            *("maxtokenstosample", "numpredict", "npredict"),
        ),
        "bounds what the call costs; use the option max_output_tokens",
    ),
    **dict.fromkeys(
        ("tools", "functions", "functioncall"),
        "is what the model may call; use the option tools",
    ),
    **dict.fromkeys(
        (
            *("n", "candidatecount", "bestof", "numgenerations", "numreturnsequences"),
            *("usebeamsearch", "prediction", "modalities", "responsemodalities", "audio"),
            *("websearchoptions", "searchparameters", "plugins", "mcpservers", "connectors"),
            *("contextmanagement", "container", "performanceconfig", "inferencegeo"),
        ),
        "can cost more than was set aside for the call",
    ),
}
# Tiers that cost no more than the listed price; others are refused, as are those of another type.
TIERS: Final = ("servicetier", "speed")
PLAIN_TIERS: Final = frozenset({"auto", "default", "standard", "standard_only", "flex"})
DEAR: Final = "may cost more than the listed price, by which the call is bounded"
# Objects that hold parameters, not one value: the same names are looked for inside of them.
HOLDERS: Final = frozenset(
    {
        "generationconfig",
        "inferenceconfig",
        "toolconfig",
        "additionalmodelrequestfields",
        "options",
        "parameters",
        "extrabody",
        "text",
    }
)
MOST_DEPTH: Final = 8

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def forbidden_parameter(parameters: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the path of the first parameter that is routerd's own, and what to do about it."""
    return _forbidden(parameters, "", 0)


def with_raw(
    encoded: EncodedRequest, raw: Mapping[str, Mapping[str, Any]], names: Iterable[str]
) -> EncodedRequest:
    """Return the request with the parameters that are meant for one of `names`, the last one last.

    What is meant for somebody else is left out, with a note. CallRefused where a parameter is
    routerd's own, or would take away what routerd has put into the same place.
    """
    wanted = dict.fromkeys(names)
    notes = Notes(encoded.notes)
    for name in raw:
        if name not in wanted:
            notes.add(f"raw.{_shown(name)} was left out: this is {' or '.join(wanted)}")
    meant = [(name, raw[name]) for name in wanted if raw.get(name)]
    if not meant:
        return structs.replace(encoded, notes=list(notes))
    body: Json = dict(_fields.decode(encoded.body))
    for name, parameters in meant:
        at = f"raw.{_shown(name)}"
        if (found := forbidden_parameter(parameters)) is not None:
            raise refusal(f"options.{at}.{found[0]} {found[1]}", param=f"options.{at}.{found[0]}")
        _join(body, parameters, at, notes)
    return structs.replace(encoded, body=encode_json(body), notes=list(notes))


def _forbidden(parameters: Mapping[str, Any], path: str, depth: int) -> tuple[str, str] | None:
    for name, value in parameters.items():
        plain, at = _plain(name), path + _shown(name)
        if plain in FORBIDDEN:
            return at, FORBIDDEN[plain]
        if plain in TIERS and not (value is None or _is_plain_tier(value)):
            return at, DEAR
        if plain in HOLDERS and isinstance(value, dict) and depth < MOST_DEPTH:
            found = _forbidden(value, f"{at}.", depth + 1)
            if found is not None:
                return found
    return None


def _join(fields: Json, parameters: Mapping[str, Any], at: str, notes: Notes) -> None:
    spelled = {_plain(name): name for name in fields}
    for name, value in parameters.items():
        known = spelled.get(_plain(name), name)
        here = f"{at}.{_shown(name)}"
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
        if _plain(name) in HOLDERS and isinstance(present, dict):
            if not isinstance(value, dict):
                raise refusal(f"options.{here} must be an object", param=f"options.{here}")
            _join(present, value, here, notes)
            fields[name] = present
        elif value != present:
            fields[name] = value
            notes.add(f"{here} was sent in place of what the call says otherwise")


def _is_plain_tier(value: Any) -> bool:
    return isinstance(value, str) and value in PLAIN_TIERS


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _shown(name: str) -> str:
    """Return a caller's name for something if it looks like one: it may be any text."""
    return as_code(name) or "(unreadable)"
