"""One tool call of an answer, whose arguments may come piece by piece.

Rules of this file: it never raises. Most calls are whole in one part. Vertex can stream them
(`streamFunctionCallArguments`): each piece says by a JSON path where in the arguments it stands, a
text goes on while its last piece says so, and a part without `willContinue` is the call's last.
A piece whose place makes no sense is counted, and changes nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

from routerd.providers.json_text import JSON_ERRORS, encode_json, read_json

__all__ = ["GrowingCall"]

STEP: Final = re.compile(
    r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d{1,6})\]|\[(?P<quote>['\"])(?P<quoted>.*?)(?P=quote)\]"
)
MAX_STEPS: Final = 64
MAX_ITEMS: Final = 10_000
MISSING: Final = object()


class GrowingCall:
    """A call as far as it has come; `wrong_pieces` counts what could not be placed."""

    def __init__(self, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.wrong_pieces = 0
        self._arguments: dict[str, Any] = {}
        self._goes_on: str | None = None

    def add(self, call: dict[str, Any]) -> bool:
        """Take one part of the call; return whether more is to come."""
        whole = call.get("args")
        if isinstance(whole, str):  # some gateways write them as others do
            whole = _object_in(whole)
        if isinstance(whole, dict):
            self._arguments.update(whole)
        elif whole is not None:
            self.wrong_pieces += 1
        pieces = call.get("partialArgs")
        for piece in pieces if isinstance(pieces, list) else ():
            if not (isinstance(piece, dict) and self._place(piece)):
                self.wrong_pieces += 1
        return call.get("willContinue") is True

    def arguments(self) -> str:
        """Return what came of the arguments, as JSON."""
        return encode_json(self._arguments).decode("utf-8")

    def _place(self, piece: dict[str, Any]) -> bool:
        path, value = piece.get("jsonPath"), _value(piece)
        goes_on, self._goes_on = self._goes_on, None
        steps = _steps(path) if isinstance(path, str) else None
        if steps is None or value is MISSING:
            return False
        holder: Any = self._arguments
        for step, following in pairwise(steps):
            holder = _open(holder, step, [] if isinstance(following, int) else {})
        last = steps[-1]
        before = _open(holder, last, None)
        if before is MISSING:
            return False
        if isinstance(value, str):
            if goes_on == path and isinstance(before, str):
                value = before + value
            if piece.get("willContinue") is True:
                self._goes_on = path
        holder[last] = value
        return True


def _object_in(text: str) -> Any:
    try:
        return read_json(text.encode("utf-8", "replace"))
    except JSON_ERRORS:
        return text if text.strip() else None


def _value(piece: dict[str, Any]) -> Any:
    for name in ("stringValue", "numberValue", "boolValue"):
        if name in piece:
            return piece[name]
    return None if "nullValue" in piece else MISSING


def _steps(path: str) -> list[str | int] | None:
    """Take a path such as `$.days[0].name` apart; None where it is none, or leads too far."""
    steps: list[str | int] = []
    position = 1
    while path.startswith("$") and position < len(path) and len(steps) < MAX_STEPS:
        match = STEP.match(path, position)
        if match is None:
            return None
        index = match["index"]
        steps.append(int(index) if index is not None else match["name"] or match["quoted"] or "")
        position = match.end()
    is_whole = position == len(path) and steps and isinstance(steps[0], str)
    return steps if is_whole else None


def _open(holder: Any, step: str | int, new: Any) -> Any:
    """Return what stands in a place, put `new` there where nothing does; MISSING if it has none."""
    if isinstance(holder, dict) and isinstance(step, str):
        return holder.setdefault(step, new)
    if isinstance(holder, list) and isinstance(step, int) and step < MAX_ITEMS:
        holder.extend([None] * (step + 1 - len(holder)))
        if holder[step] is None:
            holder[step] = new
        return holder[step]
    return MISSING
