"""In what order candidates that may serve are tried: session, latency, fair shares among equals.

Rules of this file: pure; what moves a candidate says so with a code and the numbers. Nothing is
moved without a reason: where nothing is measured and nothing is shared, the order stays.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

from msgspec import Struct

from routerd.decide.candidates import Candidate
from routerd.decide.policy import Policy
from routerd.domain import Features, Snapshot

__all__ = ["Placed", "in_order"]

# A tenth of a rate limit is what a burst needs; whoever has less left comes behind.
LEAST_HEADROOM: Final = 100
# Two latencies within a quarter of each other are one: estimates move by more than that.
ALIKE: Final = 4 / 5
DEAREST: Final = 2**63


class Placed(Struct, frozen=True, eq=False):
    """A candidate in its place, with what put it there."""

    candidate: Candidate
    code: str
    detail: str


def in_order(
    kept: list[Candidate],
    *,
    has_equals: bool,
    features: Features,
    snapshot: Snapshot,
    policy: Policy,
    draw: float,
) -> list[Placed]:
    """Return the candidates in the order to try them in; `draw` is the call's lot, 0 to 1."""
    placed = [Placed(item, item.code, item.detail) for item in kept]
    if len(placed) < 2:
        return placed
    if has_equals:
        placed = _shared(placed, features, snapshot, policy, draw)
    if policy.prefer == "latency" and snapshot.latency_ms:
        placed = _fastest_first(placed, snapshot)
    if features.latency is not None and features.latency != "batch":
        placed = _slow_behind(placed, features, snapshot, policy)
    if snapshot.session_on is not None:
        placed = _session_first(placed, snapshot.session_on)
    return placed


def _latency_of(candidate: Candidate, snapshot: Snapshot) -> int | None:
    return snapshot.latency_ms.get(candidate.deployment.id, candidate.expected_ms)


def _fastest_first(placed: list[Placed], snapshot: Snapshot) -> list[Placed]:
    """Put those measured first, the fastest at the front; the others keep their order behind."""
    known = [
        (latency, item)
        for item in placed
        if (latency := _latency_of(item.candidate, snapshot)) is not None
    ]
    known.sort(key=lambda entry: entry[0])
    first = [Placed(item.candidate, "latency", f"{latency} ms") for latency, item in known]
    measured = {item.candidate.deployment.id for item in first}
    return first + [item for item in placed if item.candidate.deployment.id not in measured]


def _slow_behind(
    placed: list[Placed], features: Features, snapshot: Snapshot, policy: Policy
) -> list[Placed]:
    """Put those behind that are known to take longer than the call waits."""
    wanted = features.latency
    target = wanted if isinstance(wanted, int) else policy.interactive_ms
    in_time, slow = [], []
    for item in placed:
        latency = _latency_of(item.candidate, snapshot)
        if latency is not None and latency > target:
            slow.append(Placed(item.candidate, "slow", f"{latency} ms, the call waits {target} ms"))
        else:
            in_time.append(item)
    return in_time + slow


def _session_first(placed: list[Placed], deployment: str) -> list[Placed]:
    """Keep a session where the provider's prompt cache has its earlier turns."""
    for index, item in enumerate(placed):
        if item.candidate.deployment.id == deployment:
            mine = Placed(item.candidate, "session", "it served the session's last call")
            return [mine, *placed[:index], *placed[index + 1 :]]
    return placed


def _shared(
    placed: list[Placed], features: Features, snapshot: Snapshot, policy: Policy, draw: float
) -> list[Placed]:
    """Share calls among the deployments of one model, wherever several follow each other."""
    shared: list[Placed] = []
    for _, run in groupby(placed, key=lambda item: item.candidate.deployment.model):
        equals = list(run)
        if len(equals) > 1:
            equals = _balanced(equals, features, snapshot, policy, draw)
        shared += equals
    return shared


def _balanced(
    equals: list[Placed], features: Features, snapshot: Snapshot, policy: Policy, draw: float
) -> list[Placed]:
    keys: list[tuple[str, Callable[[Candidate], Any], Callable[[Candidate], str]]] = [
        ("free_tier", _free_key(features, snapshot), lambda _: "its free tier has room")
    ]
    for criterion in policy.balance:
        if features.latency == "batch" and criterion in ("latency", "in_flight"):
            continue  # nobody waits for it
        keys.append((criterion, *_KEYS[criterion](equals, snapshot, draw)))
    ordered = sorted(equals, key=lambda item: tuple(key(item.candidate) for _, key, _ in keys))
    if ordered == equals:
        return equals
    first = ordered[0]
    others = ordered[1:]
    for code, key, text in keys:
        mine = key(first.candidate)
        if any(key(item.candidate) != mine for item in others):
            return [Placed(first.candidate, code, text(first.candidate)), *others]
    return ordered


_Key = tuple[Callable[[Candidate], Any], Callable[[Candidate], str]]


def _free_key(features: Features, snapshot: Snapshot) -> Callable[[Candidate], Any]:
    free = {
        quota.deployment
        for quota in snapshot.free
        if (quota.calls_left is None or quota.calls_left > 0)
        and (quota.tokens_left is None or quota.tokens_left > features.input_tokens)
    }
    return lambda item: item.deployment.id not in free


def _by_headroom(_equals: list[Placed], snapshot: Snapshot, _draw: float) -> _Key:
    headroom = snapshot.headroom

    def left(item: Candidate) -> int:
        return headroom.get(item.deployment.id, 1000)

    return (
        lambda item: left(item) < LEAST_HEADROOM,
        lambda item: f"{left(item) / 10:.0f} % of its rate limit is left",
    )


def _by_weights(equals: list[Placed], _snapshot: Snapshot, draw: float) -> _Key:
    """Let the lot fall on one of them; the others keep their order behind it."""
    total = sum(item.candidate.deployment.weight for item in equals)
    mark, drawn = draw * total, equals[-1].candidate
    for item in equals:
        mark -= item.candidate.deployment.weight
        if mark < 0:
            drawn = item.candidate
            break
    weight = drawn.deployment.weight
    return (
        lambda item: item is not drawn,
        lambda _: f"drawn by lot, with a weight of {weight} in {total}",
    )


def _by_price(_equals: list[Placed], _snapshot: Snapshot, _draw: float) -> _Key:
    return (
        lambda item: DEAREST if item.price is None else item.price,
        lambda _: "the lowest price of its deployments",
    )


def _by_latency(equals: list[Placed], snapshot: Snapshot, _draw: float) -> _Key:
    known = {
        item.candidate.deployment.id: latency
        for item in equals
        if (latency := _latency_of(item.candidate, snapshot)) is not None
    }
    fastest = min(known.values(), default=0)

    def key(item: Candidate) -> bool:
        # Who was never measured is tried, or nobody would ever know.
        latency = known.get(item.deployment.id)
        return latency is not None and latency * ALIKE > fastest

    return key, lambda item: f"{known.get(item.deployment.id, 0)} ms to the first content"


def _by_in_flight(_equals: list[Placed], snapshot: Snapshot, _draw: float) -> _Key:
    in_flight = snapshot.in_flight

    def share(item: Candidate) -> float:
        return in_flight.get(item.deployment.id, 0) / item.deployment.weight

    return share, lambda item: f"{in_flight.get(item.deployment.id, 0)} requests in flight"


_KEYS: Final[dict[str, Callable[[list[Placed], Snapshot, float], _Key]]] = {
    "headroom": _by_headroom,
    "weights": _by_weights,
    "price": _by_price,
    "latency": _by_latency,
    "in_flight": _by_in_flight,
}
