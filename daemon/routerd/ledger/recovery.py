"""What a process that died had sent: read from its journal, and charged at the most it may cost.

Rules of this file: blocking, run in the writer's thread before anything is served. Every request
that was written down and has no record becomes part of one, at the amount that was held for it,
until an invoice says better. Records that a damaged ledger still has are taken over. A line that
was not written whole says nothing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from routerd.domain import COST_BASES, Attempt, Intent, Plan, Record
from routerd.errors import StartError
from routerd.ledger.journal import Segment, segment_paths
from routerd.ledger.reading import read_records
from routerd.ledger.salvage import salvaging
from routerd_proto.frames import Usage

__all__ = ["Recovered", "recover"]

NOTE: Final = (
    "the daemon died while this ran; charged at the held amount until `routerd reconcile` "
    "corrects it"
)
RULE: Final = "not known: the daemon died before the decision was written"
ERROR: Final = "connection_lost"
DECODER: Final = msgspec.json.Decoder(Intent)


class Recovered(Struct, frozen=True):
    """What the journal of earlier processes says.

    `records` are to be written, each with the files that hold its intents. `charged` counts those
    of them with something that was not known, and `nanodollars` is what they are charged for that.
    `unreadable` counts lines that say nothing.
    """

    segments: list[Segment]
    records: list[tuple[Record, list[Segment]]]
    charged: int
    nanodollars: int
    unreadable: int


class _Open(Struct):
    """The intents of one call by their number, and the files they are in."""

    intents: dict[int, Intent]
    segments: list[Segment]


def recover(
    connection: sqlite3.Connection, ledger: Path, since_ms: int, damaged: Path | None = None
) -> Recovered:
    """Read the journal beside a ledger; StartError where a file of it cannot be read.

    Intents before `since_ms` are left out: their calls may be on disk no longer. `damaged` is the
    ledger that was there before, if it had to be set aside.
    """
    segments = [Segment(path) for path in segment_paths(ledger)]
    calls, unreadable = _read_all(segments, since_ms)
    records: list[tuple[Record, list[Segment]]] = []
    charged = nanodollars = 0
    with salvaging(damaged) as find:
        for decision_id, call in calls.items():
            missing = _missing(connection, decision_id, call.intents)
            if not missing:
                continue
            record = find(decision_id)
            if record is None:
                found = read_records(connection, "WHERE decision_id = ?", (decision_id,))
                record = found[0] if found else None
            else:
                missing = [item for item in missing if item.number > len(record.attempts)]
            if missing:
                charged += 1
                nanodollars += sum(_charge(intent) or 0 for intent in missing)
                record = _charge_all(record, missing)
            if record is not None:
                for segment in call.segments:
                    segment.opened += 1
                records.append((record, call.segments))
    return Recovered(segments, records, charged, nanodollars, unreadable)


def _read_all(segments: list[Segment], since_ms: int) -> tuple[dict[str, _Open], int]:
    """Return the calls with an intent by their id, and the number of lines that say nothing."""
    calls: dict[str, _Open] = {}
    unreadable = 0
    for segment in segments:
        intents, cut = _read(segment.path)
        unreadable += cut
        for intent in intents:
            if intent.at_ms >= since_ms:
                call = calls.setdefault(intent.decision_id, _Open({}, []))
                call.intents[intent.number] = intent
                if segment not in call.segments:
                    call.segments.append(segment)
    return calls, unreadable


def _read(path: Path) -> tuple[list[Intent], int]:
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StartError(
            f"The journal {path} cannot be read: {error.strerror}. Correct that, or move it away: "
            "what the requests in it cost is then not in the ledger."
        ) from error
    read = [_intent(line) for line in lines if line]
    intents = [intent for intent in read if intent is not None]
    cut = len(read) - len(intents)
    # The last may have been cut by the death itself, and its request was not sent then.
    last_intent = _intent(last)
    if last_intent is not None:
        intents.append(last_intent)
    return intents, cut


def _intent(line: bytes) -> Intent | None:
    try:
        return DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _missing(
    connection: sqlite3.Connection, decision_id: str, intents: dict[int, Intent]
) -> list[Intent]:
    """Return the intents that the ledger has no attempt for, in their order."""
    select = "SELECT number FROM attempts WHERE decision_id = ?"
    known = {number for (number,) in connection.execute(select, (decision_id,))}
    return [intents[number] for number in sorted(intents.keys() - known)]


def _charge_all(known: Record | None, missing: list[Intent]) -> Record:
    """Return the record of a call with all that it is charged."""
    record = known or _begin(missing[0])
    for intent in missing:
        gap = intent.number - 1 - len(record.attempts)
        record.attempts += [_unknown(record) for _ in range(gap)]
        record.attempts.append(_attempt(record, intent))
    basis = max((attempt.cost_basis for attempt in record.attempts), key=COST_BASES.index)
    return structs.replace(
        record,
        # One more copy of it than is known ran into this.
        sends=record.sends + 1 if known is not None else 0,
        finish="error",
        error_code=ERROR,
        usage=record.attempts[-1].usage,
        cost_nanodollars=(
            None
            if basis == "unknown"
            else sum(attempt.cost_nanodollars or 0 for attempt in record.attempts)
        ),
        cost_basis=basis,
        simulated=record.simulated or record.attempts[-1].simulated,
        notes=[*record.notes, NOTE],
    )


def _begin(intent: Intent) -> Record:
    """Return the record of a call of which only intents are left."""
    return Record(
        decision_id=intent.decision_id,
        call_id=intent.call_id,
        received_at_ns=intent.at_ms * 1_000_000,
        target=intent.target,
        stream=intent.stream,
        tenant=intent.tenant,
        team=intent.team,
        agent=intent.agent,
        user=intent.user,
        feature=intent.feature,
        task=intent.task,
        trace_id=intent.decision_id,
        peer_uid=intent.peer_uid,
        plan=Plan(intent.target, RULE, intent.model_class, routes=()),
    )


def _attempt(record: Record, intent: Intent) -> Attempt:
    charge = _charge(intent)
    return Attempt(
        deployment=intent.deployment,
        model=intent.model,
        provider=intent.provider,
        server=intent.server,
        reason=intent.reason,
        # Rounded up, so that it began in the millisecond in which it was held.
        started_us=-(-(intent.at_ms * 1_000_000 - record.received_at_ns) // 1000),
        error_class=ERROR,
        usage=_bound(intent),
        cost_nanodollars=charge,
        cost_basis="unknown" if charge is None or intent.unlisted_cost else "estimated",
        simulated=intent.simulated,
        notes=[NOTE],
        key=intent.key,
        free=intent.free,
        held_nanodollars=intent.held_nanodollars,
        unlisted_cost=intent.unlisted_cost,
    )


def _unknown(record: Record) -> Attempt:
    """Return what keeps the place of an attempt that no intent was written of."""
    return Attempt(
        deployment="",
        model="",
        provider="",
        server="",
        reason="first" if not record.attempts else "fallback",
        started_us=0,
        sent=False,
        cost_nanodollars=0,
        cost_basis="measured",
        notes=["nothing is known of this one: it was not sent, or no disk took its intent"],
    )


def _charge(intent: Intent) -> int | None:
    return 0 if intent.free else intent.held_nanodollars


def _bound(intent: Intent) -> Usage | None:
    """Return the tokens that were held, None where nothing bounds them."""
    if not intent.input_tokens and not intent.output_tokens:
        return None
    return Usage(input_tokens=intent.input_tokens, output_tokens=intent.output_tokens)
