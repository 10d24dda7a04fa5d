"""Free tiers: what a provider gives for nothing each day, counted for one deployment and one key.

Rules of this file: plain and synchronous, the time passed in. Only what fits into the rest of a
tier with its bound is free. All that is sent with the key counts, also what was not free, because
the provider counts it too: what is left here is never more than what is left there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from routerd.budget.allowance import Allowance
from routerd.budget.meters import Tally
from routerd.budget.windows import Window, read_zone
from routerd.domain import FreeQuota
from routerd.errors import SettingsError
from routerd.models.schema import Deployment
from routerd.settings import FreeTier

__all__ = ["Quota", "Tier", "read_tiers", "tier_of"]

ANY: Final = "*"

Exhausted = Literal["paid", "refused"]
Terms = Literal["free", "paid", "refused"]


class Tier(Struct, frozen=True):
    """A free tier, checked: requests and tokens of one of its days, None where not limited.

    `then` says whether the key goes on for money once it is used up.
    """

    window: Window
    calls: int | None = None
    tokens: int | None = None
    then: Exhausted = "paid"


def read_tiers(
    tiers: Mapping[str, FreeTier], known: Collection[str], file: Path | str, place: str
) -> dict[str, Tier]:
    """Check the free tiers of one key; SettingsError names the first mistake.

    `known` are the names a tier may be for, empty where nobody knows them yet.
    """
    found = {}
    for name, item in tiers.items():
        key = f"{place}.{name}"
        if known and name != ANY and name not in known:
            names = ", ".join(sorted(known)[:20])
            raise SettingsError(
                f"{name!r} is no model of this provider; known: {ANY}, {names}", file=file, key=key
            )
        if item.calls is None and item.tokens is None:
            raise SettingsError("limits nothing: expected calls or tokens", file=file, key=key)
        try:
            zone = read_zone(item.time_zone)
        except ValueError as error:
            raise SettingsError(str(error), file=file, key=f"{key}.time_zone") from None
        hours, minutes = item.resets_at.split(":")
        window = Window("day", zone, begins=int(hours) * 60 + int(minutes))
        found[name] = Tier(window, item.calls, item.tokens, item.then)
    return found


def tier_of(deployment: Deployment, tiers: Mapping[str, Tier]) -> Tier | None:
    """Return the tier that is for a deployment: the one that names it most exactly."""
    names = (deployment.id, deployment.provider_model, ANY)
    return next((tiers[name] for name in names if name in tiers), None)


class Quota:
    """What was used of a free tier today, and what is held beside that.

    `exhausted_until` is when a provider that said itself that nothing is left has more again.
    """

    __slots__ = ("_day", "deployment", "exhausted_until", "key", "then")

    def __init__(self, deployment: str, key: str | None, tier: Tier) -> None:
        self.deployment = deployment
        self.key = key
        self.then = tier.then
        self.exhausted_until = 0.0
        self._day = Allowance(tier.window, tier.calls, tier.tokens)

    def terms(self, tokens: int | None, now: float) -> Terms:
        """Say on what terms one request of at most so many tokens may go with this key now."""
        if now >= self.exhausted_until and self._day.has_room(tokens, now):
            return "free"
        return self.then

    def hold(self, tokens: int | None, now: float) -> tuple[Tally, int]:
        """Set one request aside, free or not; returns where, and the tokens that are held."""
        return self._day.hold(tokens, now)

    def hold_earlier(self, tokens: int | None, at: float, now: float) -> tuple[Tally, int]:
        """Set a request aside that was sent at a time before and is still running."""
        return self._day.hold_earlier(tokens, at, now)

    def is_counted_as(self, tier: Tier) -> bool:
        """Say whether its days are those of a tier, so that what was used is the same."""
        return self._day.window == tier.window

    def change(self, tier: Tier) -> None:
        """Take other limits; what was used and is held stays."""
        self.then = tier.then
        self._day.limit(tier.calls, tier.tokens)

    def exhaust(self, now: float) -> None:
        """Take the provider's word that nothing is left of this day."""
        self.exhausted_until = max(self.exhausted_until, self.resets_at(now))

    def seed(self, at: float, now: float, amounts: tuple[int, int]) -> None:
        """Count requests and tokens that were sent before."""
        self._day.seed(at, now, amounts)

    def starts_at(self, now: float) -> float:
        """Return when the day began that is counted now."""
        return self._day.window.earliest(now)

    def resets_at(self, now: float) -> float:
        """Return when the provider's next day begins."""
        return self._day.resets_at(now)

    def as_seen(self, now: float, exhausted_means: Exhausted) -> FreeQuota:
        """Return what a decision sees of it."""
        calls, tokens = self._day.left(now)
        if now < self.exhausted_until:
            calls, tokens = None if calls is None else 0, None if tokens is None else 0
        return FreeQuota(
            deployment=self.deployment,
            key=self.key or "",
            calls_left=calls,
            tokens_left=tokens,
            resets_at=self.resets_at(now),
            exhausted_means=exhausted_means,
        )

    def lacking(self, tokens: int | None, now: float) -> str:
        """Say what is left, and what a request would have needed."""
        if now < self.exhausted_until:
            left = "nothing left, as the provider says"
        else:
            needed = (
                "with no bound on its tokens" if tokens is None else f"of up to {tokens} tokens"
            )
            left = f"{self._day.words(now)} left for one call {needed}"
        resets = datetime.fromtimestamp(self.resets_at(now), UTC)
        return f"its free tier has {left}, resets {resets:%Y-%m-%d %H:%M:%S} UTC"

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return it as plain data, one row for each of its limits."""
        is_exhausted = now < self.exhausted_until
        return [
            {
                "deployment": self.deployment,
                "key": self.key,
                **row,
                "left": 0 if is_exhausted else row["left"],
                "resets_at": self.resets_at(now),
                "then": self.then,
            }
            for row in self._day.rows(now)
        ]
