"""Questions to the daemon itself: a table of names, each answered with plain data.

Rules of this file: a command never shows a prompt, an answer or a key, because none of them is
kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import structs

from routerd.accept.connection import Connection
from routerd.domain import Record
from routerd.errors import CallRefused
from routerd.ledger import AmbiguousId, Ledger, LedgerUnreadable
from routerd_proto.errors import error_info
from routerd_proto.frames import CommandAnswered, CommandRequested

__all__ = ["Commands"]

MOST_CALLS = 1000


class Commands:
    """Answer commands. `report` returns the state of the daemon as plain data."""

    def __init__(self, report: Callable[[], dict[str, Any]], ledger: Ledger) -> None:
        self._report = report
        self._ledger = ledger
        self._table: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "status": self._status,
            "explain": self._explain,
            "calls": self._calls,
        }

    async def serve(self, request: CommandRequested, sink: Connection) -> None:
        """Answer one command."""
        try:
            command = self._table.get(request.name)
            if command is None:
                known = ", ".join(sorted(self._table))
                raise _refusal(f"there is no command {request.name!r}; known: {known}")
            answer = CommandAnswered(body=await command(request.arguments))
        except CallRefused as refused:
            answer = CommandAnswered(error=refused.info)
        except LedgerUnreadable as error:
            answer = CommandAnswered(error=error_info("internal_error", str(error)))
        sink.send((answer,))

    async def _status(self, arguments: dict[str, Any]) -> Any:
        _expect(arguments)
        return self._report()

    async def _explain(self, arguments: dict[str, Any]) -> Any:
        _expect(arguments, decision_id=str)
        try:
            record = await self._ledger.find(arguments["decision_id"])
        except (AmbiguousId, ValueError) as error:
            raise _refusal(str(error)) from None
        if record is None:
            raise _refusal(f"the ledger has no call {arguments['decision_id']}")
        return _plain(record)

    async def _calls(self, arguments: dict[str, Any]) -> Any:
        _expect(arguments, limit=int)
        if not 1 <= arguments["limit"] <= MOST_CALLS:
            raise _refusal(f"limit is {arguments['limit']}; expected 1 to {MOST_CALLS}")
        return [_plain(record) for record in await self._ledger.recent(arguments["limit"])]


def _plain(record: Record) -> dict[str, Any]:
    """Return a record as plain data in which usage has names: on the wire it is an array."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    usages = (record.usage, *(attempt.usage for attempt in record.attempts))
    for holder, usage in zip((plain, *plain["attempts"]), usages, strict=True):
        holder["usage"] = structs.asdict(usage) if usage is not None else None
    return plain


def _expect(arguments: dict[str, Any], **kinds: type) -> None:
    """Refuse missing, unknown and mistyped arguments."""
    for name, kind in kinds.items():
        if type(arguments.get(name)) is not kind:  # True is no number of calls
            raise _refusal(f"the argument {name} is missing or not {kind.__name__}")
    unknown = arguments.keys() - kinds.keys()
    if unknown:
        raise _refusal(f"unknown argument {min(unknown)}")


def _refusal(message: str) -> CallRefused:
    return CallRefused(error_info("invalid_request", message))
