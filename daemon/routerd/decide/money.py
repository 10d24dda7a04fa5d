"""What a request to a candidate may cost at most, and whether the budgets have room for that.

Rules of this file: pure. The bound is at the candidate's own prices, all input at the dearest rate
that may apply. Where nothing limits the output and a cap counts what it costs, a limit is set,
because a cap needs a bound to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, structs

from routerd.domain import BudgetRoom, Dropped, Features, FreeQuota, Snapshot
from routerd.models.pricing import Price, cost_bound, largest_output
from routerd.models.rooms import amount_text, lacking, left_in
from routerd.models.schema import Deployment
from routerd.settings import Budgeting

__all__ = ["MONEY", "Terms", "blocking_room", "terms_for"]

# Reasons that more money, or another time, would remove.
MONEY: Final = frozenset({"budget", "unknown_price"})
# What is taken for a window nobody knows: wider than any there is.
WIDEST_WINDOW: Final = 2**21
THOUSAND: Final = 1000
OWN_CAP: Final = "max_cost_cents"
# An answer cut shorter than this is none.
LEAST_OUTPUT: Final = 256
# How long a request whose time is over may still take until it has ended.
ENDING_SECONDS: Final = 5.0


class Terms(Struct, frozen=True):
    """On what terms a candidate may serve; see `Route`."""

    bound_nanodollars: int | None
    bound_tokens: int
    max_output_tokens: int | None = None
    lowered_by: str | None = None
    free: bool = False
    surcharge: int = THOUSAND


def terms_for(
    deployment: Deployment,
    features: Features,
    snapshot: Snapshot,
    policy: Budgeting,
) -> Terms | Dropped:
    """Return the terms on which a candidate may serve, or the reason why no budget lets it."""
    rooms = [room for room in snapshot.rooms if _concerns(room, deployment)]
    quotas = snapshot.free and [item for item in snapshot.free if item.deployment == deployment.id]
    offer = _Offer(deployment, features, snapshot, quotas)
    output_tokens, limit = _most_output(deployment, features, offer.prices, rooms, quotas, policy)
    found = offer.terms(output_tokens)
    if not found.free and quotas and all(item.exhausted_means == "refused" for item in quotas):
        detail = f"resets at {min(quota.resets_at for quota in quotas):.0f} s since the epoch"
        return Dropped(deployment.id, "free_tier", f"its free tier is used up and {detail}")
    own = _own_cap(features, snapshot.now)
    if own is not None:
        rooms.append(own)
    problem = _problem(found, rooms, policy) if rooms else None
    lowered_by = None
    if problem is not None:
        least = _least_output(problem[0], features, policy)
        lowered = offer.largest_output(rooms) if least else 0
        if least and least <= lowered < output_tokens:
            lowered_by = problem[0].budget
            found, limit = offer.terms(lowered), lowered
            problem = _problem(found, rooms, policy)
    if problem is not None:
        return _refused(deployment, *problem)
    if limit is None:
        return found
    return structs.replace(found, max_output_tokens=limit, lowered_by=lowered_by)


class _Offer:
    """What one candidate would take for the call."""

    def __init__(
        self,
        deployment: Deployment,
        features: Features,
        snapshot: Snapshot,
        quotas: Sequence[FreeQuota],
    ) -> None:
        self.prices = _prices(deployment, snapshot.now, features.seconds)
        self._input_tokens = _most_input(deployment, features)
        self._seconds = features.seconds
        self._surcharge = snapshot.surcharges.get(deployment.id, THOUSAND)
        self._quotas = quotas

    def terms(self, output: int) -> Terms:
        """Return the terms for an answer of at most so many tokens."""
        surcharge = self._surcharge
        tokens = (self._input_tokens + output) * surcharge // THOUSAND
        bound = _bound(self.prices, self._input_tokens, output, self._seconds)
        if bound is not None:
            bound = bound * surcharge // THOUSAND
        is_free = any(_has_room(quota, tokens) for quota in self._quotas)
        return Terms(bound, tokens, None, None, is_free, surcharge)

    def largest_output(self, rooms: Sequence[BudgetRoom]) -> int:
        """Return the longest answer that all caps have room for; 0 where there is none."""
        return _lowered(self.prices, self._input_tokens, rooms, self._surcharge, self._seconds)


def _least_output(room: BudgetRoom, features: Features, policy: Budgeting) -> int | None:
    """Return how far an answer may be shortened because a cap has too little room; None: not.

    Who says what a call may cost, and not how long the answer may be, leaves that to its price.
    """
    if room.budget == OWN_CAP and features.max_output_tokens is None:
        return policy.least_output_tokens or LEAST_OUTPUT
    return policy.least_output_tokens


def _refused(deployment: Deployment, room: BudgetRoom, needed: int | None) -> Dropped:
    if needed is None:
        detail = f"no price is known, and {room.budget} caps dollars"
        return Dropped(deployment.id, "unknown_price", detail, room.budget, room.unit)
    if room.budget == OWN_CAP:
        allowed = amount_text("nanodollars", room.limit)
        detail = f"up to {amount_text('nanodollars', needed)}, the call may cost {allowed}"
        return Dropped(deployment.id, "max_cost", detail)
    return Dropped(deployment.id, "budget", lacking(room, needed), room.budget, room.unit)


def _own_cap(features: Features, now: float) -> BudgetRoom | None:
    """Return what the call itself may cost, as a cap like those of budgets."""
    most = features.max_nanodollars
    if most is None:
        return None
    return BudgetRoom(OWN_CAP, "this call", "nanodollars", most, 0, 0, 0, now)


def blocking_room(snapshot: Snapshot, dropped: Iterable[Dropped]) -> BudgetRoom | None:
    """Return the cap that a refusal for money is told by: of those at fault the fullest."""
    caps = {(item.budget, item.unit) for item in dropped if item.code == "budget"}
    rooms = [room for room in snapshot.rooms if (room.budget, room.unit) in caps]
    return max(rooms, key=lambda room: (room.spent + room.held) / max(1, room.limit), default=None)


def _concerns(room: BudgetRoom, deployment: Deployment) -> bool:
    return room.provider in (None, deployment.provider) and room.model in (None, deployment.model)


def _has_room(quota: FreeQuota, tokens: int) -> bool:
    return (quota.calls_left is None or quota.calls_left >= 1) and (
        quota.tokens_left is None or quota.tokens_left >= tokens
    )


def _prices(deployment: Deployment, now: float, seconds: float) -> tuple[Price, ...]:
    """Return the prices that may hold until the call is over: two where one changes meanwhile."""
    price = deployment.price
    if price is None:
        return ()
    if not price.changes:
        return (price,)
    days = (datetime.fromtimestamp(moment, UTC).date() for moment in (now, now + seconds))
    return tuple(price.at(day) for day in days)


def _most_input(deployment: Deployment, features: Features) -> int:
    """Bound the prompt by its bytes and the directory's, and by what the model can read at all."""
    window = deployment.max_input_tokens or deployment.context_window or WIDEST_WINDOW
    bound = features.input_tokens_bound
    return window if bound is None else min(bound + deployment.prompt_tokens_bound, window)


def _most_output(
    deployment: Deployment,
    features: Features,
    prices: tuple[Price, ...],
    rooms: Sequence[BudgetRoom],
    quotas: Sequence[FreeQuota],
    policy: Budgeting,
) -> tuple[int, int | None]:
    """Return the bound of the output, and the limit to send where the caller sets none."""
    most = deployment.max_output_tokens or deployment.context_window or WIDEST_WINDOW
    if features.max_output_tokens is not None:
        return min(features.max_output_tokens, most), None
    if not rooms and not quotas and features.max_nanodollars is None:
        return most, None
    is_counted = (
        features.max_nanodollars is not None
        or any(room.unit == "tokens" for room in rooms)
        or any(quota.tokens_left is not None for quota in quotas)
        or (any(room.unit == "nanodollars" for room in rooms) and _bound(prices, 0, most, 0) != 0)
    )
    if not is_counted:
        return most, None
    limit = min(policy.output_tokens, most)
    if deployment.context_window is not None:
        # An answer that does not fit behind the prompt is refused, not cut.
        prompt = features.input_tokens + deployment.prompt_tokens
        limit = min(limit, max(1, deployment.context_window - prompt))
    return limit, limit


def _bound(
    prices: tuple[Price, ...], input_tokens: int, output_tokens: int, seconds: float
) -> int | None:
    """Return what a request costs at most at the dearest price, None where one is not known."""
    duration_us = int((seconds + ENDING_SECONDS) * 1_000_000)
    most: int | None = None
    for price in prices:
        bound = cost_bound(
            price, input_tokens=input_tokens, output_tokens=output_tokens, duration_us=duration_us
        )
        if bound is None:
            return None
        most = bound if most is None or bound > most else most
    return most


def _problem(
    terms: Terms, rooms: Sequence[BudgetRoom], policy: Budgeting
) -> tuple[BudgetRoom, int | None] | None:
    """Return the first cap without room, and what would be needed; None for an unknown price."""
    for room in rooms:
        if room.unit == "nanodollars" and terms.bound_nanodollars is None and not terms.free:
            # What is not known cannot be kept below what one call may cost either.
            if policy.unknown_price == "refuse" or room.budget == OWN_CAP:
                return room, None
            continue
        needed = _needed(terms, room)
        # Against the cap, not against what is left: what costs nothing fits into a full budget.
        if needed and room.spent + room.held + needed > room.limit:
            return room, needed
    return None


def _needed(terms: Terms, room: BudgetRoom) -> int:
    if room.unit == "nanodollars":
        return 0 if terms.free else terms.bound_nanodollars or 0
    return terms.bound_tokens if room.unit == "tokens" else 1


def _lowered(
    prices: tuple[Price, ...],
    input_tokens: int,
    rooms: Sequence[BudgetRoom],
    surcharge: int,
    seconds: float,
) -> int:
    """Return the largest output that all caps have room for; 0 where there is none."""
    duration_us = int((seconds + ENDING_SECONDS) * 1_000_000)
    most = [WIDEST_WINDOW]
    for room in rooms:
        left = left_in(room) * THOUSAND // surcharge
        if room.unit == "nanodollars":
            most += [
                largest_output(price, input_tokens, left, duration_us=duration_us) or 0
                for price in prices
            ]
        elif room.unit == "tokens":
            most.append(left - input_tokens)
    return max(0, min(most))
