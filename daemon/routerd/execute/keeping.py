"""Answers that are kept: for identical calls, and the texts of tenants who asked for that.

Rules of this file: only whole answers that are what was asked for are kept for others. A text is
kept only where a tenant's operator switched that on, and never that of a private call.
"""

from __future__ import annotations

from typing import Final

import msgspec

from routerd.cache import Collected, KeptAnswer, Turn
from routerd.domain import Record
from routerd.execute.delivery import Delivery
from routerd.execute.routes import Execution
from routerd.providers.json_text import encode_json
from routerd_proto.content import Message
from routerd_proto.frames import Usage

__all__ = ["KeptTexts", "give_kept", "keep_answer"]

# Of a longer answer only the call is kept.
MOST_TEXT_BYTES: Final = 4 * 1024 * 1024


class KeptTexts:
    """The prompt of one call and its answer as it passes, for the ledger."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self.answer = Collected(MOST_TEXT_BYTES)

    def encoded(self) -> tuple[bytes, bytes]:
        """Return both as JSON; `null` for an answer that was too long."""
        plain = msgspec.to_builtins((self._messages, self.answer.parts()))
        return encode_json(plain[0]), encode_json(plain[1])


def give_kept(answer: KeptAnswer, record: Record, delivery: Delivery) -> None:
    """Give a call the answer of an identical one: nobody is asked, and it costs nothing."""
    record.cached = True
    record.finish = answer.finish
    record.model, record.deployment = answer.model, answer.deployment
    record.provider = answer.provider
    record.simulated = record.simulated or answer.simulated
    record.usage = Usage()
    record.notes = [
        *answer.notes,
        f"the answer is that of the identical call {answer.decision_id}",
    ]
    delivery.send(list(answer.parts))


def keep_answer(
    turn: Turn, collected: Collected | None, record: Record, execution: Execution
) -> None:
    """Keep a whole answer for identical calls; one that is not for them lets them go on."""
    held, outcome, error = execution.held, execution.outcome, execution.error
    if error is not None and error.blame == "caller":
        turn.free_others()  # the same would be said to each of them, one after the other
    if collected is None or held is None or outcome is None or error is not None:
        return
    parts = collected.parts()
    plan = record.plan
    routes = plan.routes if plan is not None else ()
    is_lesser = any(
        route.degraded is not None or route.lowered_by is not None
        for route in routes
        if route.deployment == held.deployment
    )
    if parts is None or is_lesser:
        turn.free_others()
        return
    turn.keep(
        KeptAnswer(
            parts=parts,
            finish=outcome.finish or "stop",
            decision_id=record.decision_id,
            model=held.model,
            deployment=held.deployment,
            provider=held.provider,
            usage=held.usage,
            simulated=held.simulated,
            notes=tuple(held.notes),
        )
    )
