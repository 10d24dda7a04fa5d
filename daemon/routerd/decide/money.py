"""What a request to a candidate may cost at most, and whether the budgets have room for that.

Rules of this file: pure. What a candidate would take, whoever pays, is `offers`'. Where nothing
limits the output and a cap counts what it costs, a limit is set, because a cap needs a bound to
hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

from msgspec import structs

from routerd.decide.candidates import Candidate, Placed
from routerd.decide.offers import THOUSAND, Offer, Terms
from routerd.decide.reasons import expected_tokens, shorter
from routerd.domain import BudgetRoom, Dropped, Features, FreeQuota, Route, Snapshot
from routerd.models.pricing import TOKENS_PER_RATE
from routerd.models.rooms import amount_text, lacking
from routerd.models.schema import Deployment
from routerd.settings import Budgeting

__all__ = ["MONEY", "Funds", "blocking_room"]

# Reasons that more money, or another time, would remove.
MONEY: Final = frozenset({"budget", "unknown_price"})
# Added before a division, it rounds up.
ALL_BUT_ONE: Final = TOKENS_PER_RATE - 1
OWN_CAP: Final = "max_cost_cents"
# An answer cut shorter than this is none.
LEAST_OUTPUT: Final = 256
# How long a request whose time is over may still take until it has ended.
ENDING_SECONDS: Final = 5.0


class Funds:
    """What there is to spend on one call: asked for candidate after candidate."""

    # The least that any cap leaves, in nanodollars and in tokens; without end where nothing caps.
    _money: float = inf
    _tokens: float = inf
    # Those of one provider or model concern its candidates alone.
    _of_some: Sequence[BudgetRoom] = ()
    _of_all: Sequence[BudgetRoom] = ()

    def __init__(self, features: Features, snapshot: Snapshot, policy: Budgeting) -> None:
        self._features = features
        self._snapshot = snapshot
        self._policy = policy
        # What any candidate may write: nothing where the call asks for no text.
        self._wanted = features.max_output_tokens if features.kind == "chat" else 0
        self._is_plain = not (snapshot.free or snapshot.surcharges)
        if snapshot.rooms or features.max_nanodollars is not None:
            self._count(snapshot.rooms)

    def _count(self, rooms: Sequence[BudgetRoom]) -> None:
        """Find out what the caps leave, that of the call itself among them."""
        most = self._features.max_nanodollars
        if most is not None:
            rooms = (*rooms, _own_cap(most, self._snapshot.now))
        of_all: list[BudgetRoom] = []
        of_some: list[BudgetRoom] = []
        for room in rooms:
            if room.provider or room.model:
                of_some.append(room)
                self._is_plain = False
                continue
            of_all.append(room)
            unit, left = room.unit, room.limit - room.spent - room.held
            if unit == "nanodollars":
                if left < self._money:  # noqa: PLR1730 - see `plain_routes`
                    self._money = left
            elif unit == "tokens":
                if left < self._tokens:  # noqa: PLR1730 - see `plain_routes`
                    self._tokens = left
            elif left < 1:
                self._is_plain = False
        self._of_some, self._of_all = of_some, of_all

    def route_for(self, placed: Placed, because: str = "") -> Route | Dropped:
        """Return a candidate as a route on its terms, or the reason why no budget lets it serve."""
        for route in self.plain_routes((placed,), because):
            return route
        terms = self._careful_terms(placed.candidate)
        return terms if isinstance(terms, Dropped) else _route(placed, terms, because)

    def plain_routes(self, placed: Iterable[Placed], because: str = "") -> list[Route]:
        """Return candidates as routes, up to the first whose terms have to be weighed with care.

        It says what `_careful_terms` would, in a fifth of its time: nearly all candidates have a
        plain price and fit into every cap. A test compares the two.
        """
        routes: list[Route] = []
        if not self._is_plain:
            return routes
        features, wanted, told = self._features, self._wanted, self._features.input_tokens_bound
        texts, images = features.texts, features.images
        money, most_tokens = self._money, self._tokens
        caps_money, caps_tokens = money != inf, most_tokens != inf
        # Comparisons: calls of `min` would cost as much as the rest together.
        for item in placed:
            candidate = item.candidate
            # Each text of an embedding or a ranking has a window of its own.
            tokens = candidate.most_prompt * texts
            if told is not None:
                bound = told + candidate.more_tokens + images * candidate.more_an_image
                if bound < tokens:  # noqa: PLR1730 - see above
                    tokens = bound
            rates = candidate.rates
            if rates is None or tokens > candidate.rates_until:
                break
            input_rate, output_rate = rates
            output, limit = candidate.most_output, None
            if wanted is not None:
                if wanted < output:  # noqa: PLR1730 - see above
                    output = wanted
            elif caps_tokens or (caps_money and output_rate):
                output = limit = self._limit_of(candidate)
            cost = (tokens * input_rate + output * output_rate + ALL_BUT_ONE) // TOKENS_PER_RATE
            tokens += output
            if (cost > money and cost) or tokens > most_tokens:
                break
            degraded = candidate.degraded
            routes.append(
                Route(
                    candidate.id,
                    candidate.model,
                    candidate.provider,
                    because + degraded if because and degraded else degraded,
                    cost,
                    tokens,
                    limit,
                    None,
                    False,
                    THOUSAND,
                    item.code,
                    item.detail,
                )
            )
        return routes

    def _limit_of(self, candidate: Candidate) -> int:
        """Return the longest answer that is asked for where a cap counts it and the caller not.

        It fits behind the prompt: an answer that does not is refused, not cut. It is at least one
        token.
        """
        limit, most = self._policy.output_tokens, candidate.most_output
        if limit > most:  # noqa: PLR1730 - see `plain_routes`
            limit = most
        tokens = self._features.input_tokens
        if self._snapshot.token_rates:
            tokens = expected_tokens(tokens, candidate.model, self._snapshot)
        room = candidate.window - tokens
        if room <= 0:  # it is tried because the estimate may be too high
            room = candidate.window - shorter(tokens)
        return limit if limit <= room else max(1, room)

    def _careful_terms(self, candidate: Candidate) -> Terms | Dropped:
        deployment = candidate.deployment
        rooms, quotas = self._rooms(deployment), self._quotas(deployment)
        duration_us = int((self._features.seconds + ENDING_SECONDS) * 1_000_000)
        offer = Offer(candidate, self._features, self._snapshot, duration_us, quotas)
        output_tokens, limit = self._most_output(candidate, offer, rooms, quotas)
        found = offer.terms(output_tokens)
        if quotas and not found.free and all(item.exhausted_means == "refused" for item in quotas):
            detail = f"resets at {min(quota.resets_at for quota in quotas):.0f} s since the epoch"
            return Dropped(deployment.id, "free_tier", f"its free tier is used up and {detail}")
        problem = self._problem(found, rooms) if rooms else None
        lowered_by = None
        if problem is not None:
            least = self._least_output(problem[0])
            lowered = offer.largest_output(rooms) if least else 0
            if least and least <= lowered < output_tokens:
                lowered_by = problem[0].budget
                found, limit = offer.terms(lowered), lowered
                problem = self._problem(found, rooms)
        if problem is not None:
            return _refused(deployment, *problem)
        if limit is None:
            return found
        return structs.replace(found, max_output_tokens=limit, lowered_by=lowered_by)

    def _rooms(self, deployment: Deployment) -> Sequence[BudgetRoom]:
        if not self._of_some:
            return self._of_all
        concerned = [
            room
            for room in self._of_some
            if room.provider in (None, deployment.provider)
            and room.model in (None, deployment.model)
        ]
        return [*concerned, *self._of_all]

    def _quotas(self, deployment: Deployment) -> Sequence[FreeQuota]:
        free = self._snapshot.free
        return free and [quota for quota in free if quota.deployment == deployment.id]

    def _most_output(
        self,
        candidate: Candidate,
        offer: Offer,
        rooms: Sequence[BudgetRoom],
        quotas: Sequence[FreeQuota],
    ) -> tuple[int, int | None]:
        """Return the bound of the output, and the limit to send where the caller sets none."""
        most = candidate.most_output
        if self._features.kind != "chat":
            return 0, None  # nothing is written
        wanted = self._features.max_output_tokens
        if wanted is not None:
            return min(wanted, most), None
        if not (rooms or quotas) or not self._is_counted(offer, rooms, quotas):
            return most, None
        limit = self._limit_of(candidate)
        return limit, limit

    def _is_counted(
        self, offer: Offer, rooms: Sequence[BudgetRoom], quotas: Sequence[FreeQuota]
    ) -> bool:
        """Say whether a longer answer leaves less for others."""
        if any(quota.tokens_left is not None for quota in quotas):
            return True
        units = {room.unit for room in rooms}
        return "tokens" in units or ("nanodollars" in units and not offer.is_gratis)

    def _problem(
        self, terms: Terms, rooms: Sequence[BudgetRoom]
    ) -> tuple[BudgetRoom, int | None] | None:
        """Return the first cap without room, and what would be needed; None for no known price."""
        bound = 0 if terms.free else terms.bound_nanodollars
        for room in rooms:
            if room.unit == "nanodollars":
                if bound is None:
                    # What is not known cannot be kept below what one call may cost either.
                    if self._policy.unknown_price == "refuse" or room.budget == OWN_CAP:
                        return room, None
                    continue
                needed = bound
            else:
                needed = terms.bound_tokens if room.unit == "tokens" else 1
            # Against the cap, not what is left: what costs nothing fits into a full budget.
            if needed and room.spent + room.held + needed > room.limit:
                return room, needed
        return None

    def _least_output(self, room: BudgetRoom) -> int | None:
        """Return how far an answer may be shortened because a cap has too little room; None: not.

        Who says what a call may cost, and not how long the answer may be, leaves that to its price.
        """
        least = self._policy.least_output_tokens
        if room.budget == OWN_CAP and self._features.max_output_tokens is None:
            return least or LEAST_OUTPUT
        return least


def blocking_room(snapshot: Snapshot, dropped: Iterable[Dropped]) -> BudgetRoom | None:
    """Return the cap that a refusal for money is told by: of those at fault the fullest."""
    caps = {(item.budget, item.unit) for item in dropped if item.code == "budget"}
    rooms = [room for room in snapshot.rooms if (room.budget, room.unit) in caps]
    return max(rooms, key=lambda room: (room.spent + room.held) / max(1, room.limit), default=None)


def _route(placed: Placed, terms: Terms, because: str) -> Route:
    candidate = placed.candidate
    degraded = candidate.degraded
    return Route(
        candidate.id,
        candidate.model,
        candidate.provider,
        because + degraded if because and degraded else degraded,
        terms.bound_nanodollars,
        terms.bound_tokens,
        terms.max_output_tokens,
        terms.lowered_by,
        terms.free,
        terms.surcharge,
        placed.code,
        placed.detail,
    )


def _refused(deployment: Deployment, room: BudgetRoom, needed: int | None) -> Dropped:
    if needed is None:
        detail = f"no price is known, and {room.budget} caps dollars"
        return Dropped(deployment.id, "unknown_price", detail, room.budget, room.unit)
    if room.budget == OWN_CAP:
        allowed = amount_text("nanodollars", room.limit)
        detail = f"up to {amount_text('nanodollars', needed)}, the call may cost {allowed}"
        return Dropped(deployment.id, "max_cost", detail)
    return Dropped(deployment.id, "budget", lacking(room, needed), room.budget, room.unit)


def _own_cap(most: int, now: float) -> BudgetRoom:
    """Return what the call itself may cost, as a cap like those of budgets."""
    return BudgetRoom(OWN_CAP, "this call", "nanodollars", most, 0, 0, 0, now)
