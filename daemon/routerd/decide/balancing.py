"""Which of several deployments of one model comes first, and by what.

Rules of this file: pure. Calls are shared by what is free, then as the policy says; what decides
says so with its number. What is compared stands in columns, so that a comparison is a few calls of
functions in C: every call meets it once anything is seen of anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import truediv
from typing import Any, Final

from routerd.decide.candidates import Candidate, Equals, Placed
from routerd.decide.policy import Policy
from routerd.domain import Features, Snapshot

__all__ = ["State", "balanced", "what_moves"]

# A tenth of a rate limit is what a burst needs; whoever has less left comes behind.
LEAST_HEADROOM: Final = 100
NOTHING_USED: Final = 1000
# Two latencies within a quarter of each other are one: estimates move by more than that.
ALIKE: Final = 4 / 5
NOTHING_RUNS: Final = repeat(0)


class State:
    """What an order goes by: the call, the state of the system, the policy, and the call's lot.

    `is_sorted` says whether anything puts candidates of different models in another order,
    `is_moving` whether anything is seen, or drawn, that puts equals in another one.
    """

    __slots__ = ("draw", "features", "is_batch", "is_moving", "is_sorted", "policy", "snapshot")

    def __init__(self, features: Features, snapshot: Snapshot, policy: Policy, draw: float) -> None:
        self.features = features
        self.snapshot = snapshot
        self.policy = policy
        self.draw = draw
        self.is_batch = features.latency == "batch"
        is_sorted, is_moving = what_moves(features, snapshot)
        self.is_sorted = is_sorted or policy.prefer == "latency"
        self.is_moving = is_moving or "weights" in policy.balance

    def latency_of(self, candidate: Candidate) -> int | None:
        """Return the milliseconds to its first content, as seen here, else as somebody measured."""
        return self.snapshot.latency_ms.get(candidate.id, candidate.expected_ms)


def what_moves(features: Features, snapshot: Snapshot) -> tuple[bool, bool]:
    """Say whether call and state sort models, and whether they move equals; policies may too."""
    latency = features.latency
    is_batch = latency == "batch"
    return (
        (latency is not None and not is_batch) or snapshot.session_on is not None,
        bool(
            snapshot.in_flight
            or snapshot.latency_ms
            or snapshot.headroom
            or snapshot.free
            or is_batch
        ),
    )


def balanced(equals: Equals, state: State) -> list[Placed]:
    """Share calls among the deployments of one model: by what is free, then as the policy says."""
    placed = equals.placed
    balance: Sequence[str] = state.policy.balance
    if state.snapshot.free:
        balance = ("free_tier", *balance)
    many, code = len(placed), ""
    keys: list[Sequence[Any]] = []
    for criterion in balance:
        values = _VALUES[criterion](equals, state)
        if values and values.count(values[0]) < many:  # what is alike in all decides nothing
            code = code or criterion
            keys.append(values)
    if not keys:
        return list(placed)
    # Who is alike in all of it keeps its place, which stands last and is nobody else's.
    order = sorted(zip(*keys, range(many), strict=True))
    ordered = [placed[entry[-1]] for entry in order]
    if order[0][-1]:
        first = ordered[0].candidate
        ordered[0] = Placed(first, code, _told(code, first, equals, state))
    return ordered


def _told(code: str, candidate: Candidate, equals: Equals, state: State) -> str:
    """Say with which number a criterion put one of several equals first."""
    match code:
        case "free_tier":
            return "it has room"
        case "headroom":
            left = state.snapshot.headroom.get(candidate.id, NOTHING_USED)
            return f"{left / 10:.0f} % of its rate limit is left"
        case "weights":
            total = sum(item.candidate.deployment.weight for item in equals.placed)
            return f"drawn with a weight of {candidate.deployment.weight} in {total}"
        case "price":
            return "the lowest price of its deployments"
        case "latency":
            latency = state.latency_of(candidate)
            return "not measured yet" if latency is None else f"{latency} ms"
        case _:
            return f"{state.snapshot.in_flight.get(candidate.id, 0)} requests in flight"


def _by_free_tier(equals: Equals, state: State) -> Sequence[bool]:
    free = {
        quota.deployment
        for quota in state.snapshot.free
        if (quota.calls_left is None or quota.calls_left > 0)
        and (quota.tokens_left is None or quota.tokens_left > state.features.input_tokens)
    }
    return [name not in free for name in equals.ids]


def _by_headroom(equals: Equals, state: State) -> Sequence[bool]:
    headroom = state.snapshot.headroom
    if not headroom:
        return ()
    return [headroom.get(name, NOTHING_USED) < LEAST_HEADROOM for name in equals.ids]


def _by_weights(equals: Equals, state: State) -> Sequence[bool]:
    """Let the lot fall on one of them; the others keep their order behind it."""
    weights = equals.weights or (1,) * len(equals.ids)
    mark, drawn = state.draw * sum(weights), len(weights) - 1
    for index, weight in enumerate(weights):
        mark -= weight
        if mark < 0:
            drawn = index
            break
    return [index != drawn for index in range(len(weights))]


def _by_price(equals: Equals, _state: State) -> Sequence[int]:
    return equals.prices


def _by_latency(equals: Equals, state: State) -> Sequence[bool]:
    """Put those behind that are clearly slower than the fastest.

    Who was never measured is tried, or nobody would ever know.
    """
    if state.is_batch:
        return ()  # nobody waits for it
    times: list[Any] = list(map(state.snapshot.latency_ms.get, equals.ids, equals.expected_ms))
    known = times
    if None in times:
        known = [item for item in times if item is not None]
        if not known:
            return ()
    fastest = min(known)
    if max(known) * ALIKE <= fastest:
        return ()
    return [item is not None and item * ALIKE > fastest for item in times]


def _by_in_flight(equals: Equals, state: State) -> Sequence[float]:
    in_flight = state.snapshot.in_flight
    if not in_flight or state.is_batch:
        return ()
    busy = list(map(in_flight.get, equals.ids, NOTHING_RUNS))
    return list(map(truediv, busy, equals.weights)) if equals.weights else busy


# For each of the equals a value, the smallest first; empty where it decides nothing.
_VALUES: Final[dict[str, Callable[[Equals, State], Sequence[Any]]]] = {
    "free_tier": _by_free_tier,
    "headroom": _by_headroom,
    "weights": _by_weights,
    "price": _by_price,
    "latency": _by_latency,
    "in_flight": _by_in_flight,
}
