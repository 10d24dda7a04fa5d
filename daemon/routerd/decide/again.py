"""A past decision made once more, from what was recorded, and where the two differ.

Rules of this file: pure. Nothing of today counts: facts, state, policy and directory are those of
then. A difference means that the record is not what was decided, or that the code decides otherwise
by now; either is said aloud, never smoothed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.decide.book import Book, PolicyDocument
from routerd.decide.plan import plan_call
from routerd.decide.policy import PolicyMistake
from routerd.domain import Caller, Plan, Record, Route
from routerd.errors import CallRefused
from routerd.models.directory import Directory

__all__ = ["Again", "CannotReplay", "book_of", "decide_again"]


# Made here, while one thread runs: see `ledger.rows`.
_decoder: Final = msgspec.json.Decoder(PolicyDocument)


class CannotReplay(Exception):  # noqa: N818 - it says what cannot be done
    """A decision that cannot be made again; the message says why."""


class Again(Struct, frozen=True):
    """The decision made again, and in sentences what is different about it; empty: nothing."""

    plan: Plan
    differences: list[str]


def book_of(directory: bytes, policy: bytes) -> Book:
    """Return the book of then from the documents that were kept; CannotReplay where that fails."""
    try:
        document = _decoder.decode(policy)
        return Book(Directory.from_document(directory), document)
    except (msgspec.MsgspecError, PolicyMistake, ValueError, LookupError) as error:
        raise CannotReplay(
            f"policy or directory of then were written by another version: {error}"
        ) from error


def decide_again(record: Record, caller: Caller, book: Book) -> Again:
    """Make the decision of a record again; CannotReplay where too little was recorded."""
    then, features, snapshot = record.plan, record.features, record.snapshot
    if then is None or features is None or snapshot is None:
        raise CannotReplay("no plan was made: the call was refused before, or answered from memory")
    try:
        now = plan_call(book, record.target, features, caller, snapshot)
    except CallRefused as refused:
        why = f"the directory of then does not know it: {refused.info.message}"
        raise CannotReplay(why) from None
    return Again(now, [*_differences(then, now), *_not_as_planned(record, then)])


def _not_as_planned(record: Record, plan: Plan) -> Iterator[str]:
    """Say where what was done is not what was decided."""
    routes = {route.deployment: route for route in plan.routes}
    if not record.sends:
        # Attempts of earlier copies of a call were made by plans that nobody kept.
        tried = list(dict.fromkeys(attempt.deployment for attempt in record.attempts))
        planned = [name for name in routes if name in tried]
        if tried != planned:
            yield f"tried were {_text(tried)}, planned {_text(list(routes))}"
    for attempt in record.attempts:
        route = routes.get(attempt.deployment)
        if route and (route.model, route.provider) != (attempt.model, attempt.provider):
            found = f"{attempt.model} at {attempt.provider}"
            yield f"{attempt.deployment} was tried, recorded as {found}"
    if record.deployment:
        yield from _not_as_answered(record, routes)
    if record.shadow_of is None and record.arm != plan.arm:
        yield f"arm is recorded as {record.arm!r}, planned was {plan.arm!r}"


def _not_as_answered(record: Record, routes: dict[str, Route]) -> Iterator[str]:
    name, route = record.deployment, routes.get(record.deployment)
    if route is None:
        yield f"{name} answered, planned were {_text(list(routes))}"
    elif (route.model, route.provider) != (record.model, record.provider):
        yield f"{name} answered, recorded as {record.model} at {record.provider}"
    elif route.degraded != record.degraded:
        yield f"degraded is recorded as {record.degraded!r}, planned was {route.degraded!r}"
    if name not in {attempt.deployment for attempt in record.attempts}:
        yield f"{name} answered, and was not tried"


def _differences(then: Plan, now: Plan) -> Iterator[str]:
    for field in Plan.__struct_fields__:
        before, after = getattr(then, field), getattr(now, field)
        if before == after:
            continue
        if field in ("routes", "dropped"):
            yield from _differing_candidates(field, before, after)
        else:
            yield f"{field} was {_text(before)}, is {_text(after)}"


def _differing_candidates(field: str, then: tuple[Any, ...], now: tuple[Any, ...]) -> Iterator[str]:
    names_then = [item.deployment for item in then]
    names_now = [item.deployment for item in now]
    if names_then != names_now:
        yield f"{field} were {_text(names_then)}, are {_text(names_now)}"
    after = {item.deployment: item for item in now}
    for item in then:
        other = after.get(item.deployment)
        if other is None or other == item:
            continue
        for name in item.__struct_fields__:
            before, value = getattr(item, name), getattr(other, name)
            if before != value:
                yield f"{item.deployment}: {name} was {_text(before)}, is {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    return repr(value)
