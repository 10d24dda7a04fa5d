"""Tool calls out of the pieces in which Chat Completions, and what is shaped like it, send them.

Rules of this file: it decides which piece belongs to which call, and nothing else. By the book
`index` names the call; but some servers send no index, or 0 for every call, or no id, or the
arguments as an object. No vendor: a decoder brings its pieces in the shape that is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from routerd.domain import Part
from routerd.providers.json_text import encode_json, is_whole_json, text_of
from routerd_proto.frames import ToolCallDelta, ToolCallStarted

__all__ = ["Function", "ToolCallAssembler", "ToolCallFragment"]


class Function(Struct, gc=False):
    """The function of a tool call; `arguments` is JSON text, with some servers an object."""

    name: Any = None
    arguments: Any = None


class ToolCallFragment(Struct, gc=False):
    """A piece of a tool call, or a whole one."""

    index: Any = None
    id: Any = None
    function: Function | None = None
    extra_content: Any = None


class OpenCall(Struct):
    """One call of the answer. `wire_id` is the id as the server sent it, if any yet."""

    index: int
    wire_id: str = ""
    name: str = ""
    started: bool = False
    pieces: list[str] = field(default_factory=list)


class ToolCallAssembler:
    """Sort the pieces of one answer's tool calls."""

    def __init__(self) -> None:
        self._calls: list[OpenCall] = []
        self._by_index: dict[int, OpenCall] = {}
        self._ids: set[str] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, fragment: ToolCallFragment, response_id: str, parts: list[Part]) -> None:
        """Add what one piece completes to `parts`."""
        function = fragment.function
        if function is not None and not function.name and not fragment.id:
            # What nearly every piece is: more arguments of a call that is known by its index.
            known = self._by_index.get(fragment.index) if type(fragment.index) is int else None
            more = function.arguments
            if known is not None and known.started and type(more) is str:
                if more:
                    known.pieces.append(more)
                    parts.append(ToolCallDelta(known.index, more))
                return
        name = text_of(function.name if function else None) or ""
        wire_id = text_of(fragment.id) or ""
        arguments = _argument_text(function.arguments if function else None)
        if not (name or wire_id or arguments):
            return
        call = self._find(fragment.index, wire_id, name, arguments)
        call.wire_id = call.wire_id or wire_id
        call.name = call.name or name
        if call.name and not call.started:
            self._start(call, response_id, parts)
        if arguments:
            call.pieces.append(arguments)
            if call.started:
                parts.append(ToolCallDelta(call.index, arguments))

    def complete(
        self, whole: Iterable[ToolCallFragment], response_id: str, parts: list[Part]
    ) -> bool:
        """Add what no piece brought of calls that come whole, behind their pieces.

        Return False where the pieces brought something else: of that call nothing more is added.
        """
        wholes, agrees = list(whole), True
        for fragment, call in zip(wholes, self._known(wholes), strict=True):
            if call is None:
                self.take(fragment, response_id, parts)
                continue
            told = "".join(call.pieces)
            arguments = _argument_text(fragment.function.arguments if fragment.function else None)
            if not arguments.startswith(told):
                agrees = agrees and not arguments
            elif call.started and (rest := arguments[len(told) :]):
                call.pieces.append(rest)
                parts.append(ToolCallDelta(call.index, rest))
        return agrees

    def _known(self, wholes: list[ToolCallFragment]) -> list[OpenCall | None]:
        """Return which call each whole one is, None for one of which nothing came before.

        An id is sure. Without one on both sides it is the call in the same place, or the first, of
        the same name; and where a server calls a call otherwise at its end, one of its arguments.
        """
        found: dict[int, OpenCall] = {}
        for is_same in (_has_its_id, _may_be, _says_the_same):
            for position, fragment in enumerate(wholes):
                if position in found:
                    continue
                taken = {call.index for call in found.values()}
                left = [call for call in self._calls if call.index not in taken]
                left.sort(key=lambda call: call.index != position)
                call = next((call for call in left if is_same(call, fragment)), None)
                if call is not None:
                    found[position] = call
        return [found.get(position) for position in range(len(wholes))]

    def close(self, response_id: str, parts: list[Part]) -> None:
        """End every call of a complete answer: a call without arguments gets `{}`."""
        for call in self._calls:
            if not call.started:
                self._start(call, response_id, parts)
            if not call.pieces:
                call.pieces.append("{}")
                parts.append(ToolCallDelta(call.index, "{}"))

    def _find(self, index: Any, wire_id: str, name: str, arguments: str) -> OpenCall:
        if isinstance(index, int) and not isinstance(index, bool):
            call = self._by_index.get(index)
            if call is None or _is_new_call(call, wire_id, name, arguments):
                call = self._by_index[index] = self._open()
            return call
        last = self._calls[-1] if self._calls else None
        if last is None or (
            name and (wire_id != last.wire_id or not wire_id or _is_another(last, arguments))
        ):
            return self._open()
        if wire_id and wire_id != last.wire_id:
            return next((call for call in self._calls if call.wire_id == wire_id), last)
        return last

    def _open(self) -> OpenCall:
        call = OpenCall(len(self._calls))
        self._calls.append(call)
        return call

    def _start(self, call: OpenCall, response_id: str, parts: list[Part]) -> None:
        call_id = call.wire_id
        if not call_id or call_id in self._ids:
            seed = f"{response_id}/{call.index}/{call.name}".encode("utf-8", "replace")
            call_id = "call_" + hashlib.sha256(seed).hexdigest()[:24]
        self._ids.add(call_id)
        call.started = True
        parts.append(ToolCallStarted(call.index, call_id, call.name))
        if call.pieces:
            parts.append(ToolCallDelta(call.index, "".join(call.pieces)))


def _has_its_id(call: OpenCall, whole: ToolCallFragment) -> bool:
    return bool(call.wire_id) and call.wire_id == text_of(whole.id)


def _may_be(call: OpenCall, whole: ToolCallFragment) -> bool:
    if call.wire_id and text_of(whole.id):
        return False
    name = text_of(whole.function.name) if whole.function is not None else None
    return not (call.name and name) or call.name == name


def _says_the_same(call: OpenCall, whole: ToolCallFragment) -> bool:
    function = whole.function
    if function is None or text_of(function.name) != (call.name or None) or not call.pieces:
        return False
    return _argument_text(function.arguments) == "".join(call.pieces)


def _is_new_call(call: OpenCall, wire_id: str, name: str, arguments: str) -> bool:
    """Return whether a piece with a known index is the start of another call after all."""
    if not name or not call.name:
        return False
    if wire_id and call.wire_id:
        return wire_id != call.wire_id or _is_another(call, arguments)
    # No id to go by: a second name, or a second whole set of arguments, is a second call.
    return name != call.name or _is_another(call, arguments)


def _is_another(call: OpenCall, arguments: str) -> bool:
    """Return whether arguments begin anew after whole ones: some servers call every call alike."""
    return arguments.startswith("{") and is_whole_json("".join(call.pieces))


def _argument_text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else encode_json(arguments).decode("utf-8")
