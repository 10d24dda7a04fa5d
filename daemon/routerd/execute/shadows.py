"""Copies of calls that go to a second model, beside the calls themselves.

Rules of this file: a copy never delays or changes the call it copies, and nobody but the ledger
gets its answer. It is a call of its own, with a record and its own budget, under the policy and
inside the boundary of the one it copies. How many run at once is bounded; what is left out is said
on the record of the call. It takes no place that a call could have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from routerd.budget.definitions import shadow_feature
from routerd.domain import Call, Plan, Record
from routerd.execute.delivery import Sink
from routerd.settings import Shadow
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import CallOptions, CallRequested

__all__ = ["Copy", "Shadows"]


class Copy(Struct, frozen=True):
    """What a copied call knows of the one it copies; `policy` is the one that holds for both."""

    shadow: str
    decision_id: str
    keeps_texts: bool
    policy: str


# Starts a task that nobody waits for, such as a task group's `start_soon`.
Spawn = Callable[..., object]
Serve = Callable[[CallRequested, Sink, int | None, Copy], Awaitable[None]]


class _Nobody:
    """A sink that reads everything at once and keeps nothing."""

    ended: ErrorInfo | None = None
    congested = False

    def send(self, frames: Sequence[Struct]) -> None:
        """Take frames."""

    def hold(self, frames: Sequence[Struct]) -> None:
        """Do what `send` does."""
        self.send(frames)

    def end(self, error: ErrorInfo) -> None:
        """Hear why it is over."""

    async def drain(self) -> None:
        """Be ready at once."""

    def abort(self) -> None:
        """There is nothing to close."""


NOBODY: Final = _Nobody()


class Shadows:
    """Sends copies of calls by `serve`, in tasks that `spawn` starts."""

    def __init__(self, serve: Serve, spawn: Spawn) -> None:
        self._serve = serve
        self._spawn = spawn
        self.running: Counter[str] = Counter()
        self.left_out = 0

    def report(self) -> dict[str, Any]:
        """Return how many copies run and how many were left out, as plain data."""
        return {"running": dict(+self.running), "left_out": self.left_out}

    def copy(
        self,
        call: Call,
        record: Record,
        plan: Plan,
        shadows: Mapping[str, Shadow],
        *,
        texts: bool,
        is_kept_near: bool,
    ) -> None:
        """Start the copies that the plan of a call names.

        `is_kept_near`: what was asked for keeps its text nearer than the call itself says.
        """
        for name in plan.shadows:
            shadow = shadows[name]
            if self.running[name] >= shadow.in_flight:
                self.left_out += 1
                record.notes.append(f"shadow {name} was left out: {shadow.in_flight} copies run")
                continue
            self.running[name] += 1
            request = CallRequested(
                f"{call.call_id}~{name}",
                shadow.use,
                call.messages,
                _options(call.options, name, is_kept_near=is_kept_near),
                call.stream,
            )
            copy = Copy(name, record.decision_id, texts, plan.policy)
            self._spawn(self._run, request, call.peer_uid, copy, name=f"shadow {name}")

    async def _run(self, request: CallRequested, peer_uid: int | None, copy: Copy) -> None:
        try:
            await self._serve(request, NOBODY, peer_uid, copy)
        finally:
            self.running[copy.shadow] -= 1


def _options(options: CallOptions, shadow: str, *, is_kept_near: bool) -> CallOptions:
    """Return a copy's options: what shapes the answer, and no name but the shadow's own."""
    return structs.replace(
        options,
        sensitivity="private" if is_kept_near else options.sensitivity,
        tenant=None,
        team=None,
        agent=None,
        user=None,
        feature=shadow_feature(shadow),
        session=None,
        critical=False,
        max_cost_cents=None,
    )
