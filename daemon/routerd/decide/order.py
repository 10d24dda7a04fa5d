"""In what order candidates that may serve are tried: session, latency, fair shares among equals.

Rules of this file: pure; what moves a candidate says so with a code and the numbers. Nothing is
moved without a reason: where nothing is measured and nothing is shared, the order stays. A line is
put in order only as far as it is walked, since few get beyond the third.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from routerd.decide.candidates import Candidate, Group, Placed
from routerd.decide.policy import Policy
from routerd.domain import Features, Snapshot

__all__ = ["Line", "State", "settled"]

# A tenth of a rate limit is what a burst needs; whoever has less left comes behind.
LEAST_HEADROOM: Final = 100
# Two latencies within a quarter of each other are one: estimates move by more than that.
ALIKE: Final = 4 / 5
DEAREST: Final = 2**63


class State(Struct, frozen=True, eq=False):
    """What an order goes by: the call, the state of the system, the policy, and the call's lot."""

    features: Features
    snapshot: Snapshot
    policy: Policy
    draw: float

    @property
    def is_sorted(self) -> bool:
        """Whether anything puts candidates of different models in another order."""
        return (
            self.snapshot.session_on is not None
            or self.policy.prefer == "latency"
            or (self.features.latency is not None and self.features.latency != "batch")
        )

    @property
    def is_moving(self) -> bool:
        """Whether anything is seen, or drawn, that puts equals in another order."""
        seen = self.snapshot
        return bool(
            seen.latency_ms
            or seen.in_flight
            or seen.headroom
            or seen.free
            or "weights" in self.policy.balance
            or self.features.latency == "batch"
        )

    def latency_of(self, candidate: Candidate) -> int | None:
        """Return the milliseconds to its first content, as seen here, else as somebody measured."""
        return self.snapshot.latency_ms.get(candidate.deployment.id, candidate.expected_ms)


def settled(group: Group, policy: Policy) -> Group:
    """Return a group whose equals stand in the order they have while nothing is seen of any."""
    if not group.has_equals:
        return group
    state = State(Features(0), Snapshot(0.0), policy, 0.0)
    line = Line(group.candidates, state, has_equals=True, is_new=True)
    placed = tuple(iter(line.take, None))
    return structs.replace(group, candidates=placed)


class Line:
    """Candidates in the order to try them in.

    `has_equals`: some are deployments of one model; `is_new`: in no order of their own yet.
    """

    def __init__(
        self, placed: Sequence[Placed], state: State, *, has_equals: bool, is_new: bool = False
    ) -> None:
        self._state = state
        # What stands in a group is settled for a system in which nothing moves.
        self._has_equals = has_equals and len(placed) > 1 and (is_new or state.is_moving)
        self._ahead: list[Placed] = []
        is_moved = state.is_sorted and len(placed) > 1
        self._waiting = self._sorted_out(placed) if is_moved else placed
        self._next = 0

    def take(self) -> Placed | None:
        """Take the first of the line; None where nobody is left."""
        if self._ahead:
            return self._ahead.pop(0)
        waiting, index = self._waiting, self._next
        if index == len(waiting):
            return None
        self._next = end = index + 1
        if self._has_equals:
            model = waiting[index].candidate.deployment.model
            while end < len(waiting) and waiting[end].candidate.deployment.model == model:
                end += 1
            if end > index + 1:
                self._next = end
                first, *self._ahead = _balanced(list(waiting[index:end]), self._state)
                return first
        return waiting[index]

    def rest(self) -> list[Placed]:
        """Return who is left, in no order that matters any more."""
        return [*self._ahead, *self._waiting[self._next :]]

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
            if item.candidate.deployment.id == deployment:
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


def _slow_behind(placed: Sequence[Placed], state: State) -> list[Placed]:
    """Put those behind that are known to take longer than the call waits."""
    wanted = state.features.latency
    target = wanted if isinstance(wanted, int) else state.policy.interactive_ms
    in_time: list[Placed] = []
    slow: list[Placed] = []
    for item in placed:
        latency = state.latency_of(item.candidate)
        if latency is not None and latency > target:
            slow.append(Placed(item.candidate, "slow", f"{latency} ms, the call waits {target} ms"))
        else:
            in_time.append(item)
    return in_time + slow


# What a criterion makes of several equals: a value for each, the smallest first, and how the value
# of the first is told.
_Values = tuple[list[Any], Callable[[int], str]]


def _balanced(equals: list[Placed], state: State) -> list[Placed]:
    """Share calls among the deployments of one model: by what is free, then as the policy says."""
    columns: list[tuple[str, _Values]] = []
    if state.snapshot.free:
        columns.append(("free_tier", _by_free_tier(equals, state)))
    for criterion in state.policy.balance:
        seen = _SEEN.get(criterion)
        if seen is not None and not getattr(state.snapshot, seen):
            continue  # nothing of it was seen
        if state.features.latency == "batch" and criterion in ("latency", "in_flight"):
            continue  # nobody waits for it
        columns.append((criterion, _CRITERIA[criterion](equals, state)))
    # One in which all are alike decides nothing.
    columns = [
        column for column in columns if any(value != column[1][0][0] for value in column[1][0])
    ]
    if not columns:
        return equals
    order = sorted(
        range(len(equals)), key=lambda index: [values[index] for _, (values, _) in columns]
    )
    first = order[0]
    if first == 0:
        return [equals[index] for index in order]
    code, (_, text) = columns[0]
    return [
        Placed(equals[first].candidate, code, text(first)),
        *(equals[index] for index in order[1:]),
    ]


def _by_free_tier(equals: list[Placed], state: State) -> _Values:
    free = {
        quota.deployment
        for quota in state.snapshot.free
        if (quota.calls_left is None or quota.calls_left > 0)
        and (quota.tokens_left is None or quota.tokens_left > state.features.input_tokens)
    }
    used_up = [item.candidate.deployment.id not in free for item in equals]
    return used_up, lambda _: "it has room"


def _by_headroom(equals: list[Placed], state: State) -> _Values:
    headroom = state.snapshot.headroom
    left = [headroom.get(item.candidate.deployment.id, 1000) for item in equals]
    return [item < LEAST_HEADROOM for item in left], (
        lambda index: f"{left[index] / 10:.0f} % of its rate limit is left"
    )


def _by_weights(equals: list[Placed], state: State) -> _Values:
    """Let the lot fall on one of them; the others keep their order behind it."""
    weights = [item.candidate.deployment.weight for item in equals]
    total = sum(weights)
    mark, drawn = state.draw * total, len(weights) - 1
    for index, weight in enumerate(weights):
        mark -= weight
        if mark < 0:
            drawn = index
            break
    return [index != drawn for index in range(len(equals))], (
        lambda index: f"drawn with a weight of {weights[index]} in {total}"
    )


def _by_price(equals: list[Placed], _state: State) -> _Values:
    prices = [DEAREST if item.candidate.price is None else item.candidate.price for item in equals]
    return prices, lambda _: "the lowest price of its deployments"


def _by_latency(equals: list[Placed], state: State) -> _Values:
    """Put those behind that are clearly slower than the fastest.

    Who was never measured is tried, or nobody would ever know.
    """
    known = [state.latency_of(item.candidate) for item in equals]
    fastest = min((item for item in known if item is not None), default=0)
    slower = [item is not None and item * ALIKE > fastest for item in known]
    return slower, (
        lambda index: "not measured yet" if known[index] is None else f"{known[index]} ms"
    )


def _by_in_flight(equals: list[Placed], state: State) -> _Values:
    in_flight = state.snapshot.in_flight
    counts = [in_flight.get(item.candidate.deployment.id, 0) for item in equals]
    shares = [
        count / item.candidate.deployment.weight for count, item in zip(counts, equals, strict=True)
    ]
    return shares, lambda index: f"{counts[index]} requests in flight"


# Where the state of the system holds what a criterion looks at.
_SEEN: Final = {"headroom": "headroom", "in_flight": "in_flight"}
_CRITERIA: Final[dict[str, Callable[[list[Placed], State], _Values]]] = {
    "headroom": _by_headroom,
    "weights": _by_weights,
    "price": _by_price,
    "latency": _by_latency,
    "in_flight": _by_in_flight,
}
