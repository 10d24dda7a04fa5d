"""Run an embedding or a ranking: its pieces side by side, each the way a call of chat goes.

Rules of this file: a piece is an `Execution` of its own, with the same retries, holds and records.
All pieces together are set aside before the first is sent, and with nothing awaited since the plan.
Once one has failed for good no other is begun, but what was sent is waited for: it is paid for, and
is given to the caller. Texts to embed that are too many at once for their provider are asked for in
halves, and a piece that only routes are left for which take less at once is cut by their limits.
Whatever a call gets is of one model: vectors and scores of two cannot be compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

import anyio
from msgspec import Struct, structs

from routerd.classify.search import kind_of
from routerd.domain import Attempt, Call, Dropped, Part, Plan, Route, Usage
from routerd.execute.alike import routes_alike, why_unlike
from routerd.execute.delivery import Delivery
from routerd.execute.piece import PieceAsking, PiecePurse, Reserve, limits_of
from routerd.execute.pieces import (
    Piece,
    asks_for_less,
    cut,
    cut_again,
    fits,
    halved,
    joined_ranking,
    moved,
    part_of_route,
)
from routerd.execute.places import Place
from routerd.execute.purse import Purse
from routerd.execute.routes import Execution
from routerd.execute.target import Target
from routerd.providers.base import Outcome
from routerd.providers.search import SearchLimits
from routerd.settings import Failover, Timeouts
from routerd_proto.errors import ErrorInfo, error_info
from routerd_proto.frames import CallOptions
from routerd_proto.search import RankingAdded, RerankRequested, SearchRequested, VectorsAdded

__all__ = ["Searching"]

# More would only wait for each other at the provider, and take its rate limit at one go.
AT_ONCE: Final = 8
# A request too large by more than this power of two was cut by wrong limits: no size will do.
MOST_HALVINGS: Final = 5


class _Inbox:
    """A sink that keeps the one part of a piece's answer."""

    ended: ErrorInfo | None = None
    congested = False

    def __init__(self) -> None:
        self.parts: list[Struct] = []

    def send(self, frames: Sequence[Struct]) -> None:
        """Keep what comes."""
        self.parts += frames

    def hold(self, frames: Sequence[Struct]) -> None:
        """Do what `send` does."""
        self.send(frames)

    def end(self, error: ErrorInfo) -> None:
        """There is nothing to close."""

    async def drain(self) -> None:
        """Be ready at once."""

    def abort(self) -> None:
        """There is nothing to close."""


class Searching:
    """One call's way through its pieces; its attributes are those of `Execution`.

    `attempts` are those of all pieces in the order in which they began, `usage` is what the answers
    took that the caller was given.
    """

    def __init__(
        self,
        call: Call,
        search: SearchRequested,
        options: CallOptions,
        delivery: Delivery,
        timeouts: Timeouts,
        purse: Purse,
        *,
        made_before: int = 0,
        failover: Failover | None = None,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.skipped: list[Dropped] = []
        self.outcome: Outcome | None = None
        self.error: ErrorInfo | None = None
        self.held: Attempt | None = None
        self.usage: Usage | None = None
        self.waited_us = self.idle_us = 0
        self._call, self._search, self._options = call, search, options
        self._delivery, self._timeouts, self._purse = delivery, timeouts, purse
        self._made_before, self._failover = made_before, failover
        self._kind = kind_of(search)
        # By the first of their texts, in their order.
        self._pieces: dict[int, Piece] = {}
        self._halvings: dict[int, int] = {}
        # The routes of what was cut again; those of the plan are everybody else's.
        self._left: dict[int, tuple[Route, ...]] = {}
        self._waiting: deque[int] = deque()
        self._answers: dict[int, Part] = {}
        self._failed: dict[int, ErrorInfo] = {}
        self._next = self._dimensions = 0
        self._rows, self._wants_rows = 1, False
        # Whoever has an answer waits for a slow reader, and asks for no more meanwhile.
        self._giving = anyio.Lock()

    async def run(self, plan: Plan, targets: Mapping[str, Target]) -> None:
        """Ask for all pieces; the result is left in the attributes."""
        routes = routes_alike(self._search, plan.routes, targets, self._kind)
        self.skipped += [
            why_unlike(route, routes[0], targets, self._kind)
            for route in plan.routes
            if route not in routes
        ]
        plan = structs.replace(plan, routes=routes)
        pieces = cut(self._search, limits_of(routes[0], targets, self._kind))
        self._pieces = {piece.start: piece for piece in pieces}
        self._waiting.extend(self._pieces)
        shares = {piece.start: part_of_route(routes[0], piece, pieces) for piece in pieces}
        reserve = Reserve(self._purse, targets[routes[0].deployment], shares)
        try:
            # Again for what was cut once more, and for what found no room beside the others.
            while self._waiting and not self._failed:
                await self._work_in_rows(plan, targets, reserve)
        finally:
            reserve.release()
        read_us = self._delivery.reader_us
        await self._finish(routes[0])
        self.idle_us += self._delivery.reader_us - read_us

    async def _work_in_rows(
        self, plan: Plan, targets: Mapping[str, Target], reserve: Reserve
    ) -> None:
        """Run what waits, so many side by side as may be."""
        self._rows, self._wants_rows = min(AT_ONCE, len(self._waiting)), False
        if self._rows == 1:
            await self._work(plan, targets, reserve, self._purse.place)
            return
        async with anyio.create_task_group() as tasks:
            for _ in range(self._rows - 1):
                place = _beside(self._purse.place)
                tasks.start_soon(self._work, plan, targets, reserve, place)
            await self._work(plan, targets, reserve, self._purse.place)

    async def _work(
        self,
        plan: Plan,
        targets: Mapping[str, Target],
        reserve: Reserve,
        place: Place | None,
    ) -> None:
        """Run one piece after the other, until none waits or one has failed.

        It ends also where something was cut for somebody who takes less, and more rows may be.
        """
        is_first = place is self._purse.place
        # The call's own row may go on after the others.
        idle_us = self.idle_us if is_first else 0
        while self._waiting and not self._failed and not self._wants_rows:
            start = self._waiting.popleft()
            piece = self._pieces[start]
            execution, inbox = self._begin(piece, reserve, place)
            routes = self._left.get(start, plan.routes)
            execution.leaves = self._too_large_for(piece, routes[0], targets)
            shares = tuple(part_of_route(route, piece, self._pieces.values()) for route in routes)
            try:
                await execution.run(structs.replace(plan, routes=shares), targets)
            finally:
                self.waited_us += execution.waited_us
                # Rows of pieces run beside each other: who waited longest hides the others' waits.
                idle_us += execution.idle_us
                self.idle_us = max(self.idle_us, idle_us)
                self.skipped += [item for item in execution.skipped if item not in self.skipped]
            error = execution.error
            if error is None and not execution.left:
                self._take(start, execution, inbox)
                idle_us += await self._give_next()
                self.idle_us = max(self.idle_us, idle_us)
            elif not (is_first or execution.attempts) and _found_no_room(error):
                # No room beside the others: whoever has the call's own place goes on with it.
                self._waiting.appendleft(start)
                return
            elif execution.left:
                # The shares of a piece are not those of what it is cut into.
                named = {route.deployment: route for route in routes}
                left = tuple(named[share.deployment] for share in execution.left)
                self._cut_again(piece, left, targets, reserve)
            elif error is not None and self._can_be_halved(piece, error):
                self._halve(piece, routes[0], reserve)
            elif error is not None:
                self._failed[start] = error

    def _too_large_for(
        self, piece: Piece, first: Route, targets: Mapping[str, Target]
    ) -> Callable[[Route], bool]:
        """Return what says whether a piece is more than a route takes; `first` made its size."""
        known: dict[SearchLimits, bool] = {limits_of(first, targets, self._kind): False}

        def is_too_large(route: Route) -> bool:
            limits = limits_of(route, targets, self._kind)
            if limits not in known:
                known[limits] = not fits(piece, limits)
            return known[limits]

        return is_too_large

    def _cut_again(
        self,
        piece: Piece,
        left: tuple[Route, ...],
        targets: Mapping[str, Target],
        reserve: Reserve,
    ) -> None:
        """Put what the next route takes of a piece at once in its place, for the routes left."""
        smaller = cut_again(piece, limits_of(left[0], targets, self._kind))
        self._left.update((item.start, left) for item in smaller)
        self._wants_rows = self._rows < AT_ONCE
        self._put_in_place(smaller, left[0], reserve)

    def _can_be_halved(self, piece: Piece, error: ErrorInfo) -> bool:
        return (
            self._kind == "embedding"
            and piece.texts > 1
            and self._halvings.get(piece.start, 0) < MOST_HALVINGS
            and asks_for_less(error)
        )

    def _halve(self, piece: Piece, first: Route, reserve: Reserve) -> None:
        """Put the halves of a piece in its place."""
        halves = halved(piece)
        times = self._halvings.get(piece.start, 0) + 1
        self._halvings.update((half.start, times) for half in halves)
        if (left := self._left.get(piece.start)) is not None:
            self._left.update((half.start, left) for half in halves)
        self._put_in_place(halves, first, reserve)

    def _put_in_place(self, smaller: Sequence[Piece], first: Route, reserve: Reserve) -> None:
        """Put what a piece was cut into in its place, as what is asked for next."""
        self._pieces.update((item.start, item) for item in smaller)
        self._pieces = dict(sorted(self._pieces.items()))
        self._waiting.extendleft(item.start for item in reversed(smaller))
        whole = self._pieces.values()
        reserve.add({item.start: part_of_route(first, item, whole) for item in smaller})

    def _begin(
        self, piece: Piece, reserve: Reserve, place: Place | None
    ) -> tuple[Execution, _Inbox]:
        inbox = _Inbox()
        execution = Execution(
            self._call,
            self._options,
            piece.input_tokens,
            self._delivery.beside(inbox),
            self._timeouts,
            PiecePurse(self._purse, place, reserve, piece.start),
            made_before=self._made_before,
            failover=self._failover,
            asks=lambda route, target: PieceAsking(piece, self._kind, route, target),
            together=self.attempts,
            queries=piece.queries,
        )
        return execution, inbox

    def _take(self, start: int, execution: Execution, inbox: _Inbox) -> None:
        """Keep the answer to a piece; vectors of another length than the others' are none."""
        held = execution.held
        part = inbox.parts[0]
        if isinstance(part, VectorsAdded):
            self._dimensions = self._dimensions or part.dimensions
            if part.dimensions != self._dimensions:
                lengths = f"{self._dimensions} and of {part.dimensions} numbers"
                why = f"{self._call.target} gives vectors of {lengths} for one call"
                self._failed[start] = error_info("bad_answer", why)
                return
        if isinstance(part, VectorsAdded | RankingAdded):
            self._answers[start] = part
        self.held = self.held or held
        self.outcome = self.outcome or execution.outcome
        if held is not None and held.usage is not None:
            before = self.usage or Usage()
            self.usage = structs.replace(
                before, input_tokens=before.input_tokens + held.usage.input_tokens
            )

    async def _give_next(self) -> int:
        """Give the caller what is next; returns for how many microseconds it was waited for."""
        since, read_us = monotonic(), self._delivery.reader_us
        await self._give()
        # What it read before belongs to the row of pieces that gave it, and is counted at its end.
        passed_us = int((monotonic() - since) * 1_000_000)
        return min(self._delivery.reader_us - read_us, passed_us)

    async def _give(self, *, all_of_them: bool = False) -> None:
        """Give the caller the vectors that are next in order, or all that there are."""
        async with self._giving:
            while (piece := self._pieces.get(self._next)) is not None:
                part = self._answers.get(self._next)
                if isinstance(part, RankingAdded) or (part is None and not all_of_them):
                    return
                if isinstance(part, VectorsAdded):
                    for frame in moved(part, piece.start):
                        await self._delivery.deliver([frame])
                    del self._answers[self._next]
                self._next += piece.texts

    async def _finish(self, first: Route) -> None:
        """Give what is left to give, and say what is missing."""
        search = self._search
        if self._failed:
            self.error = self._why(first)
        elif isinstance(search, RerankRequested):
            found = [
                (start, part)
                for start, part in sorted(self._answers.items())
                if isinstance(part, RankingAdded)
            ]
            self._delivery.send([joined_ranking(found, search.top)])
        if not isinstance(search, RerankRequested):
            await self._give(all_of_them=True)

    def _why(self, first: Route) -> ErrorInfo:
        """Return the first failure, with what is missing for it and why nobody else stands in."""
        info = next(iter(self._failed.values()))
        message, details = info.message, dict(info.details)
        if len(self._pieces) > 1:
            missing = self._missing()
            texts = sum(end - start for start, end in missing)
            message = f"{texts} of {self._texts} texts have no answer: {message}"
            details["missing"] = [list(span) for span in missing]
        if self._kind != "embedding" or info.blame == "caller":
            return structs.replace(info, message=message, details=details)
        message += f"; no other model was asked, since none has the vectors of {first.model}"
        if info.blame == "provider":
            details["first_failure"] = info.code
            return error_info(
                "same_model_only", message, retry_after=info.retry_after, details=details
            )
        return structs.replace(info, message=message, details=details)

    @property
    def _texts(self) -> int:
        return sum(piece.texts for piece in self._pieces.values())

    def _missing(self) -> list[tuple[int, int]]:
        """Return which texts have no answer, as spans: the first, and the one behind the last."""
        spans: list[tuple[int, int]] = []
        for start, piece in self._pieces.items():
            if start in self._answers or (start < self._next and start not in self._failed):
                continue
            end = start + piece.texts
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return spans


def _found_no_room(error: ErrorInfo | None) -> bool:
    return error is not None and error.code == "router_overloaded"


def _beside(place: Place | None) -> Place | None:
    """Return a place at providers alone, for a piece that runs beside the first; it never waits."""
    if place is None:
        return None
    return Place(place.places, place.tenant, place.deadline, rank=place.rank, waits=False)
