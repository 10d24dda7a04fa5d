"""Records as commands find and tell them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from routerd.accept.arguments import refusal
from routerd.domain import Record
from routerd.ledger import AmbiguousId, Ledger

__all__ = ["find_record", "plain_record"]


async def find_record(ledger: Ledger, decision_id: str) -> Record:
    """Return the call of an id, or of the first digits of one; CallRefused without any."""
    try:
        record = await ledger.find(decision_id)
    except (AmbiguousId, ValueError) as error:
        raise refusal(str(error)) from None
    if record is None:
        raise refusal(f"the ledger has no call {decision_id}")
    return record


def plain_record(record: Record) -> dict[str, Any]:
    """Return a record as plain data in which usage has names: on the wire it is an array."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    usages = (record.usage, *(attempt.usage for attempt in record.attempts))
    for holder, usage in zip((plain, *plain["attempts"]), usages, strict=True):
        holder["usage"] = structs.asdict(usage) if usage is not None else None
    return plain
