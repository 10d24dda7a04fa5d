"""Asking once while faults strike, and the three books that tell what became of it.

Rules of this file: whoever asks says what must be; here it is looked up in what the caller heard,
in what the provider saw, and in what was recorded.
"""

from __future__ import annotations

from typing import NamedTuple

from routerd.domain import Attempt, Record
from routerd.simulate import Attempt as Seen
from routerd.simulate import Simulator, parse_fault
from routerd.simulate.answer import text_tokens
from routerd_client import CallerError, ProviderError, RouterdError, RouterError
from routerd_client.options import Options
from tests.e2e.asking import PROMPT, Heard, Side, Way, ask, explain, name_of
from tests.e2e.conftest import Daemon
from tests.e2e.money import query

__all__ = ["Ended", "Scene", "text_of"]

PROVIDERS = ("anthropic", "openai")
KINDS: dict[str, type[RouterdError]] = {
    "caller": CallerError,
    "provider": ProviderError,
    "router": RouterError,
}
ROWS = "SELECT count(*) FROM {} WHERE decision_id = ?"


def text_of(deployment: str, tokens: int | None = None, *, first: int | None = None) -> str:
    """Return what a simulated model says to the usual question, or its first tokens."""
    model = deployment.partition("/")[2]
    return "".join(text_tokens(model, PROMPT, tokens)[:first])


class Scene:
    """One daemon and one simulator, asked once after the other."""

    def __init__(self, daemon: Daemon, simulator: Simulator) -> None:
        self.daemon = daemon
        self.simulator = simulator

    async def ask(
        self, way: Way, side: Side, faults: list[str], options: Options | None = None
    ) -> Ended:
        """Ask once while these faults strike; what earlier calls showed is forgotten before."""
        simulator = self.simulator
        simulator.script.replace([parse_fault(fault) for fault in faults])
        before = len(simulator.account.attempts)
        async with self.daemon.client() as client:
            for provider in PROVIDERS:
                await client.acommand("reset", name=provider)
            heard = await ask(client, way, side.target, **(options or {}))
            record = await explain(client, heard.decision_id)
            status = await client.acommand("status")
        # The daemon hung up on what it gave up: the provider knows before the next call.
        await simulator.until(lambda account: account.total.running == 0)
        assert status["calls_in_flight"] == 0
        seen = list(simulator.account.attempts[before:])
        rows = [
            (await query(self.daemon.ledger, ROWS.format(table), record.decision_id))[0][0]
            for table in ("calls", "attempts")
        ]
        return Ended(heard, record, seen, rows, simulator.pacing.output_tokens)


class Ended(NamedTuple):
    """How one call ended: for its caller, in its record and its rows, and at the simulator.

    `rows` counts those of the call and of its attempts; `tokens` are those of an answer.
    """

    heard: Heard
    record: Record
    seen: list[Seen]
    rows: list[int]
    tokens: int | None

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts in the record."""
        return self.record.attempts

    def check_tried(self, attempts: list[tuple[str, str | None]]) -> None:
        """Check who was asked, in which order, in the provider's books and in the record."""
        assert [name_of(attempt) for attempt in self.seen] == [name for name, _ in attempts]
        recorded = [(attempt.deployment, attempt.error_class) for attempt in self.attempts]
        assert recorded == attempts
        assert self.rows == [1, len(attempts)]
        for number, attempt in enumerate(self.attempts):
            is_again = number > 0 and self.attempts[number - 1].deployment == attempt.deployment
            reason = "retry" if is_again else "fallback" if number else "first"
            assert attempt.reason == reason
            assert attempt.ended_us is not None
            assert (attempt.finish == "stop") == (attempt.error_class is None)

    def check_spacing(self) -> None:
        """Check that nobody was asked again earlier than it said, nor two at once."""
        arrived = [attempt.arrived for attempt in self.seen]
        assert arrived == sorted(arrived)
        before: dict[str, tuple[Attempt, float]] = {}
        for attempt, seen in zip(self.attempts, self.seen, strict=True):
            asked = before.get(attempt.deployment)
            if asked is not None:
                assert seen.arrived - asked[1] >= (asked[0].retry_after or 0)
            before[attempt.deployment] = attempt, seen.arrived

    def check_answered(self, deployment: str, side: Side) -> None:
        """Check that the caller has one whole answer, and is told where it comes from."""
        reply = self.heard.answer
        assert self.heard.text == reply.text == text_of(deployment, self.tokens)
        assert (reply.deployment, reply.finish) == (deployment, "stop")
        assert reply.attempts == len(self.attempts)
        assert (reply.degraded is None) == (deployment == side.first), reply.degraded
        record = self.record
        assert (record.error_code, record.finish) == (None, "stop")
        assert (record.deployment, record.degraded) == (deployment, reply.degraded)
        assert record.cost_nanodollars == reply.cost_nanodollars

    def check_failed(self, code: str, blame: str, *, retryable: bool) -> None:
        """Check for one typed error that tells the first cause, and what was tried."""
        error = self.heard.failure
        assert (error.code, error.blame, error.retryable) == (code, blame, retryable)
        assert type(error) is KINDS[blame]
        assert (self.record.error_code, self.record.finish) == (code, "error")
        tried = [f"{attempt.deployment}: {attempt.error_class}" for attempt in self.attempts]
        assert error.details["tried"] == tried
        assert error.next_step
        assert PROMPT not in str(error)
