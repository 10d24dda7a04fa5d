"""In what order candidates that may serve are tried: session, latency, fair shares among equals.

Rules of this file: pure; what moves a candidate says so with a code and the numbers. Nothing is
moved without a reason: where nothing is measured and nothing is shared, the order stays. A line is
put in order only as far as it is walked, since few get beyond the third.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from routerd.decide.candidates import Candidate, Group, Placed
from routerd.decide.policy import Policy
from routerd.domain import MAX_ROUTES, Features, Snapshot

__all__ = ["Line", "State", "elsewhere", "pick", "settled"]

# A tenth of a rate limit is what a burst needs; whoever has less left comes behind.
LEAST_HEADROOM: Final = 100
NOTHING_USED: Final = 1000
# Two latencies within a quarter of each other are one: estimates move by more than that.
ALIKE: Final = 4 / 5
DEAREST: Final = 2**63


class State(Struct, frozen=True, eq=False):
    """What an order goes by: the call, the state of the system, the policy, and the call's lot."""

    features: Features
    snapshot: Snapshot
    policy: Policy
    draw: float

    def leaves(self, group: Group) -> bool:
        """Say whether all of a group stand as they were settled."""
        return not (self.is_sorted or (group.has_equals and self.is_moving))

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
    """Return a group in the order it has while nothing is seen of anybody, and who is first in it.

    Equals stand in the order they have then.
    """
    state = State(Features(0), Snapshot(0.0), policy, 0.0)
    placed = group.candidates
    if group.has_equals:
        line = Line(placed, state, has_equals=True, is_new=True)
        placed = tuple(iter(line.take, None))
    line, passed, used = Line(placed, state, has_equals=False), list[Placed](), set[str]()
    first: list[Placed] = []
    while len(first) < MAX_ROUTES and (item := pick(line, passed, used)) is not None:
        used.add(item.candidate.deployment.provider)
        first.append(item)
    beyond = tuple(item.candidate.beyond for item in (*passed, *line.rest()))
    return structs.replace(group, candidates=placed, first=tuple(first), beyond=beyond)


def pick(line: Line, passed: list[Placed], used: Container[str]) -> Placed | None:
    """Take the first at a provider that no route uses yet, else the first of all.

    `passed` are those that were passed by before, in their order.
    """
    for index, item in enumerate(passed):
        if item.candidate.deployment.provider not in used:
            return elsewhere(passed.pop(index)) if index else passed.pop(0)
    while (taken := line.take()) is not None:
        if taken.candidate.deployment.provider not in used:
            return elsewhere(taken) if passed else taken
        passed.append(taken)
    return passed.pop(0) if passed else None


def elsewhere(placed: Placed) -> Placed:
    """Say of a candidate that it stands here for its provider."""
    return Placed(placed.candidate, "other_provider", "")


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
        may_move = state.is_sorted and len(placed) > 1
        self._waiting = self._sorted_out(placed) if may_move else placed
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


def _slow_behind(placed: Sequence[Placed], state: State) -> Sequence[Placed]:
    """Put those behind that are known to take longer than the call waits."""
    wanted = state.features.latency
    target = wanted if isinstance(wanted, int) else state.policy.interactive_ms
    seen = state.snapshot.latency_ms
    latencies = [
        seen.get(item.candidate.deployment.id, item.candidate.expected_ms) for item in placed
    ]
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


def _balanced(equals: list[Placed], state: State) -> list[Placed]:
    """Share calls among the deployments of one model: by what is free, then as the policy says."""
    snapshot, is_batch = state.snapshot, state.features.latency == "batch"
    criteria: list[str] = ["free_tier"] if snapshot.free else []
    criteria += state.policy.balance
    deciding: list[tuple[str, list[Any]]] = []
    for criterion in criteria:
        if criterion == "headroom" and not snapshot.headroom:
            continue
        if criterion == "in_flight" and not snapshot.in_flight:
            continue
        if is_batch and criterion in ("latency", "in_flight"):
            continue  # nobody waits for it
        values = _VALUES[criterion](equals, state)
        if values.count(values[0]) < len(values):  # one in which all are alike decides nothing
            deciding.append((criterion, values))
    if not deciding:
        return equals
    code, keys = deciding[0]
    if len(deciding) > 1:
        keys = list(zip(*(values for _, values in deciding), strict=True))
    order = sorted(range(len(equals)), key=keys.__getitem__)
    first = equals[order[0]]
    if order[0]:
        first = Placed(first.candidate, code, _told(code, first.candidate, equals, state))
    return [first, *(equals[index] for index in order[1:])]


def _told(code: str, candidate: Candidate, equals: list[Placed], state: State) -> str:
    """Say with which number a criterion put one of several equals first."""
    deployment = candidate.deployment
    match code:
        case "free_tier":
            return "it has room"
        case "headroom":
            left = state.snapshot.headroom.get(deployment.id, NOTHING_USED)
            return f"{left / 10:.0f} % of its rate limit is left"
        case "weights":
            total = sum(item.candidate.deployment.weight for item in equals)
            return f"drawn with a weight of {deployment.weight} in {total}"
        case "price":
            return "the lowest price of its deployments"
        case "latency":
            latency = state.latency_of(candidate)
            return "not measured yet" if latency is None else f"{latency} ms"
        case _:
            return f"{state.snapshot.in_flight.get(deployment.id, 0)} requests in flight"


def _by_free_tier(equals: list[Placed], state: State) -> list[bool]:
    free = {
        quota.deployment
        for quota in state.snapshot.free
        if (quota.calls_left is None or quota.calls_left > 0)
        and (quota.tokens_left is None or quota.tokens_left > state.features.input_tokens)
    }
    return [item.candidate.deployment.id not in free for item in equals]


def _by_headroom(equals: list[Placed], state: State) -> list[bool]:
    headroom = state.snapshot.headroom
    return [
        headroom.get(item.candidate.deployment.id, NOTHING_USED) < LEAST_HEADROOM for item in equals
    ]


def _by_weights(equals: list[Placed], state: State) -> list[bool]:
    """Let the lot fall on one of them; the others keep their order behind it."""
    weights = [item.candidate.deployment.weight for item in equals]
    mark, drawn = state.draw * sum(weights), len(weights) - 1
    for index, weight in enumerate(weights):
        mark -= weight
        if mark < 0:
            drawn = index
            break
    return [index != drawn for index in range(len(equals))]


def _by_price(equals: list[Placed], _state: State) -> list[int]:
    prices = [item.candidate.price for item in equals]
    return [DEAREST if price is None else price for price in prices]


def _by_latency(equals: list[Placed], state: State) -> list[bool]:
    """Put those behind that are clearly slower than the fastest.

    Who was never measured is tried, or nobody would ever know.
    """
    seen = state.snapshot.latency_ms
    known = [seen.get(item.candidate.deployment.id, item.candidate.expected_ms) for item in equals]
    fastest = min([item for item in known if item is not None], default=0)
    return [item is not None and item * ALIKE > fastest for item in known]


def _by_in_flight(equals: list[Placed], state: State) -> list[float]:
    in_flight = state.snapshot.in_flight
    deployments = [item.candidate.deployment for item in equals]
    return [in_flight.get(item.id, 0) / item.weight for item in deployments]


# For each of the equals a value, the smallest first.
_VALUES: Final[dict[str, Callable[[list[Placed], State], list[Any]]]] = {
    "free_tier": _by_free_tier,
    "headroom": _by_headroom,
    "weights": _by_weights,
    "price": _by_price,
    "latency": _by_latency,
    "in_flight": _by_in_flight,
}
