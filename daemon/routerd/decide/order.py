"""In what order candidates that may serve are tried: session, latency, fair shares among equals.

Rules of this file: pure; what moves a candidate says so with a code and the numbers. Nothing is
moved without a reason: where nothing is measured and nothing is shared, the order stays. A line is
put in order only as far as it is walked, since few get beyond the third.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from msgspec import structs

from routerd.decide.balancing import State, balanced
from routerd.decide.candidates import Equals, Group, Placed
from routerd.decide.policy import Policy
from routerd.domain import Dropped, Features, Snapshot

__all__ = ["Line", "elsewhere", "settled"]


def settled(group: Group, policy: Policy) -> Group:
    """Return a group in the order it has while nothing is seen of anybody: equals too."""
    state = State(Features(0), Snapshot(0.0), policy, 0.0)
    if group.has_equals:
        line = Line(group, state, is_new=True)
        group = structs.replace(group, candidates=tuple(iter(line.take, None)))
    placed = group.candidates
    return structs.replace(
        group,
        equals=_equals_among(placed) if group.has_equals else {},
        each_beyond=tuple([item.candidate.beyond for item in placed]),
    )


def _equals_among(placed: Sequence[Placed]) -> dict[int, Equals]:
    """Return the deployments of one model that follow each other, by the place of the first."""
    found: dict[int, Equals] = {}
    start = 0
    while start < len(placed):
        end = _end_of_equals(placed, start)
        if end > start + 1:
            found[start] = Equals.of(placed[start:end])
        start = end
    return found


def _end_of_equals(placed: Sequence[Placed], start: int) -> int:
    """Return where those end that follow one and are deployments of its model."""
    model, end = placed[start].candidate.model, start + 1
    while end < len(placed) and placed[end].candidate.model == model:
        end += 1
    return end


def elsewhere(placed: Placed) -> Placed:
    """Say of a candidate that it stands here for its provider."""
    return Placed(placed.candidate, "other_provider", "")


class Line:
    """Candidates of a group in the order to try them in.

    `placed` are those of them that can serve the call, None for all; `is_new`: the group is in no
    order of its own yet.
    """

    __slots__ = (
        "_ahead",
        "_beyond",
        "_equals",
        "_has_equals",
        "_next",
        "_passed",
        "_state",
        "_waiting",
    )

    def __init__(
        self,
        group: Group,
        state: State,
        placed: Sequence[Placed] | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self._state = state
        # What stands in a group is settled for a system in which nothing moves.
        self._has_equals = group.has_equals and (is_new or state.is_moving)
        self._passed: list[Placed] = []
        self._ahead: list[Placed] = []
        self._next = 0
        self._waiting: Sequence[Placed] = group.candidates if placed is None else placed
        # What was worked out of a group holds where all of it stand in line.
        self._equals: dict[int, Equals] | None = None
        self._beyond: Sequence[Dropped] | None = None
        if state.is_sorted and len(self._waiting) > 1:  # one alone is moved by nothing
            self._waiting = self._sorted_out(self._waiting)
        elif self._waiting is group.candidates and not is_new:
            self._equals, self._beyond = group.equals, group.each_beyond

    def take(self) -> Placed | None:
        """Take the first of the line; None where nobody is left."""
        if self._ahead:
            return self._ahead.pop(0)
        waiting, start = self._waiting, self._next
        if start == len(waiting):
            return None
        self._next = start + 1
        if not self._has_equals:
            return waiting[start]
        if self._equals is not None:
            equals = self._equals.get(start)
        else:
            end = _end_of_equals(waiting, start)
            equals = Equals.of(waiting[start:end]) if end > start + 1 else None
        if equals is None:
            return waiting[start]
        self._next = start + len(equals.placed)
        self._ahead = balanced(equals, self._state)
        return self._ahead.pop(0)

    def turns(self, used: Container[str]) -> Iterator[Placed]:
        """Take those at a provider that no route uses yet, then those that were passed by for it.

        `used` only grows meanwhile, so who was passed by has no other turn before the end.
        """
        passed = self._passed
        while (item := self.take()) is not None:
            if item.candidate.provider in used:
                passed.append(item)
            else:
                yield elsewhere(item) if passed else item
        while passed:
            yield passed.pop(0)

    def rest(self) -> list[Placed]:
        """Return who is left, in no order that matters any more."""
        return [*self._passed, *self._ahead, *self._waiting[self._next :]]

    def beyond(self) -> list[Dropped]:
        """Return what is said of each who is left, if there are enough routes without them."""
        if self._beyond is None:
            return [item.candidate.beyond for item in self.rest()]
        found = [item.candidate.beyond for item in (*self._passed, *self._ahead)]
        found += self._beyond[self._next :]
        return found

    def _sorted_out(self, placed: Sequence[Placed]) -> Sequence[Placed]:
        state = self._state
        if state.policy.prefer == "latency":
            placed = _fastest_first(placed, state)
        if state.features.latency is not None and state.features.latency != "batch":
            placed = _slow_behind(placed, state)
        if state.snapshot.session_on is not None:
            placed = self._session_first(placed, state.snapshot.session_on)
        return placed

    def _session_first(self, placed: Sequence[Placed], deployment: str) -> Sequence[Placed]:
        """Keep a session where the provider's prompt cache has its earlier turns."""
        for index, item in enumerate(placed):
            if item.candidate.id == deployment:
                mine = Placed(item.candidate, "session", "it served the session's last call")
                self._ahead = [mine]
                return [*placed[:index], *placed[index + 1 :]]
        return placed


def _fastest_first(placed: Sequence[Placed], state: State) -> list[Placed]:
    """Put those measured first, the fastest at the front; the others keep their order behind."""
    known: list[tuple[int, Placed]] = []
    others: list[Placed] = []
    for item in placed:
        latency = state.latency_of(item.candidate)
        if latency is None:
            others.append(item)
        else:
            known.append((latency, Placed(item.candidate, "latency", f"{latency} ms")))
    known.sort(key=lambda entry: entry[0])
    return [item for _, item in known] + others


def _slow_behind(placed: Sequence[Placed], state: State) -> Sequence[Placed]:
    """Put those behind that are known to take longer than the call waits."""
    wanted = state.features.latency
    target = wanted if isinstance(wanted, int) else state.policy.interactive_ms
    seen = state.snapshot.latency_ms
    latencies = [seen.get(item.candidate.id, item.candidate.expected_ms) for item in placed]
    if not any(latency is not None and latency > target for latency in latencies):
        return placed
    in_time: list[Placed] = []
    slow: list[Placed] = []
    for item, latency in zip(placed, latencies, strict=True):
        if latency is not None and latency > target:
            slow.append(Placed(item.candidate, "slow", f"{latency} ms, the call waits {target} ms"))
        else:
            in_time.append(item)
    return in_time + slow
