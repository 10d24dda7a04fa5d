"""What one candidate would take for a call: the most it may cost, by how long its answer may be.

Rules of this file: pure, at the candidate's own prices, all input at the dearest rate that may
apply. What there is to spend is `money`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from routerd.decide.candidates import WIDEST_WINDOW, Candidate
from routerd.domain import BudgetRoom, Features, FreeQuota, Snapshot
from routerd.models.pricing import TOKENS_PER_RATE, Price, cost_bound, largest_output
from routerd.models.rooms import left_in
from routerd.models.schema import Deployment

__all__ = ["THOUSAND", "Offer", "Terms"]

THOUSAND: Final = 1000


class Terms(Struct, frozen=True):
    """On what terms a candidate may serve; see `Route`."""

    bound_nanodollars: int | None
    bound_tokens: int
    max_output_tokens: int | None = None
    lowered_by: str | None = None
    free: bool = False
    surcharge: int = THOUSAND


class Offer:
    """What one candidate would take for the call."""

    def __init__(
        self,
        candidate: Candidate,
        features: Features,
        snapshot: Snapshot,
        duration_us: int,
        quotas: Sequence[FreeQuota],
    ) -> None:
        deployment = candidate.deployment
        self._candidate = candidate
        self._prices = _prices(deployment, snapshot.now, features.seconds)
        bound = features.input_tokens_bound
        most = candidate.most_prompt * features.texts
        self._queries = features.queries
        # The prompt by its bytes and the directory's, and by what the model can read at all.
        self._input_tokens = (
            most
            if bound is None
            else min(
                bound + candidate.more_tokens + features.images * candidate.more_an_image, most
            )
        )
        self._duration_us = duration_us
        self._surcharge = snapshot.surcharges.get(deployment.id, THOUSAND)
        self._quotas = quotas

    @property
    def is_gratis(self) -> bool:
        """Whether no answer, however long, costs anything."""
        rates = self._candidate.rates
        if rates is not None:
            return rates[1] == 0
        return all(
            cost_bound(price, input_tokens=0, output_tokens=WIDEST_WINDOW) == 0
            for price in self._prices
        ) and bool(self._prices)

    def terms(self, output: int) -> Terms:
        """Return the terms for an answer of at most so many tokens."""
        surcharge, bound = self._surcharge, self._bound(output)
        tokens = self._input_tokens + output
        if surcharge != THOUSAND:
            tokens = tokens * surcharge // THOUSAND
            bound = None if bound is None else bound * surcharge // THOUSAND
        is_free = bool(self._quotas) and any(_has_room(item, tokens) for item in self._quotas)
        return Terms(bound, tokens, None, None, is_free, surcharge)

    def largest_output(self, rooms: Iterable[BudgetRoom]) -> int:
        """Return the longest answer that all caps have room for; 0 where there is none."""
        most = [WIDEST_WINDOW]
        for room in rooms:
            left = left_in(room) * THOUSAND // self._surcharge
            if room.unit == "nanodollars":
                most += [
                    largest_output(price, self._input_tokens, left, duration_us=self._duration_us)
                    or 0
                    for price in self._prices
                ]
            elif room.unit == "tokens":
                most.append(left - self._input_tokens)
        return max(0, min(most))

    def _bound(self, output_tokens: int) -> int | None:
        """Return what a request costs at most at the dearest price, None where one is not known."""
        candidate = self._candidate
        if candidate.rates is not None and self._input_tokens <= candidate.rates_until:
            # The same as below, for nearly all prices: this is asked of every candidate.
            input_rate, output_rate = candidate.rates
            total = self._input_tokens * input_rate + output_tokens * output_rate
            return -(-total // TOKENS_PER_RATE)
        most: int | None = None
        for price in self._prices:
            queries = 0 if price.per_query is None else self._queries
            is_sold_by_piece = queries and price.input is None
            bound = cost_bound(
                price,
                input_tokens=0 if is_sold_by_piece else self._input_tokens,
                output_tokens=output_tokens,
                queries=queries,
                duration_us=self._duration_us,
            )
            if bound is None:
                return None
            most = bound if most is None or bound > most else most
        return most


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
