"""One key of a provider: its limits of a minute, its cool-down, and its free tiers by deployment.

Rules of this file: plain and synchronous, the time passed in. A cool-down ends at the latest moment
that was ever named for it. A limit of a minute is the provider's and guards no money: a request
larger than all of it may go when nothing else went in that minute, since a bound is far above what
is used. What a provider tells of its limits by itself refuses nothing: a key that is used up by it
rests, as one that was refused does, until that is over or the provider tells otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from routerd.budget.allowance import Allowance
from routerd.budget.meters import Tally
from routerd.budget.quota import Quota, Tier, tier_of
from routerd.budget.windows import Window
from routerd.errors import ErrorClass
from routerd.models.schema import Deployment
from routerd.providers.rate_limits import LimitLeft

__all__ = ["Key", "KeyLimits", "Rest"]

THOUSAND: Final = 1000
# Of its tokens, from which on it matters whether a request's bound is more than is left.
FEW_TOKENS: Final = 0.1
USED_UP: Final = "its provider says that its rate limit is used up"
MINUTE: Final = Window("rolling", seconds=60)


class KeyLimits(Struct, frozen=True):
    """What may be asked with one key. `name` is None for a provider's only one.

    `free` are its tiers by what they are for: a deployment, a model of the provider, or `*`.
    """

    name: str | None = None
    calls_a_minute: int | None = None
    tokens_a_minute: int | None = None
    free: Mapping[str, Tier] = {}


class Rest(NamedTuple):
    """Until when a key is not to be used for one deployment, why, and since when.

    `is_named` says that its provider named that time.
    """

    until: float
    because: ErrorClass
    since: float
    is_named: bool

    @property
    def is_guess(self) -> bool:
        """Whether it is for a rate, and nobody named a time."""
        return self.because is ErrorClass.RATE_LIMIT and not self.is_named


class Key:
    """One key, with what is running and what is left.

    `because` is why it cools down until `cooling_until`, since `cooled_at`; up to `named_until` its
    provider said so itself. `is_limited`: its minute has limits.
    `told` is what its provider says is left of its own limits, each with the time up to which that
    holds. By that nothing is left until `used_up_until`. `resting` are the deployments that it was
    refused for alone. Its `provider` is among the `stirred` ones from when any of that is first
    said of it: the others need no look.
    """

    __slots__ = (
        "_earlier",
        "_minute",
        "_sent_since",
        "_tiers",
        "because",
        "cooled_at",
        "cooling_until",
        "in_flight",
        "index",
        "is_limited",
        "name",
        "named_until",
        "provider",
        "quotas",
        "resting",
        "stirred",
        "told",
        "used_up_until",
    )

    def __init__(
        self,
        index: int,
        limits: KeyLimits,
        provider: str = "",
        stirred: dict[str, None] | None = None,
    ) -> None:
        self.index = index
        self.name = limits.name
        self.provider = provider
        self.stirred: dict[str, None] = {} if stirred is None else stirred
        self.in_flight = 0
        self.cooling_until = self.named_until = self.cooled_at = 0.0
        self.because: ErrorClass | None = None
        self.quotas: dict[str, Quota] = {}
        self.told: tuple[tuple[LimitLeft, float], ...] = ()
        self.used_up_until = 0.0
        self.resting: dict[str, Rest] = {}
        self._sent_since = 0
        self._minute: Allowance | None = None
        self._earlier: Mapping[str, Quota] = {}
        self._limit(limits)

    def change(self, index: int, limits: KeyLimits, *, is_renewed: bool) -> None:
        """Take other limits; what was used, what is held and a cool-down stay.

        Its quotas are to be added anew. `is_renewed` says that another secret has its name now:
        what the provider had against the one before is over.
        """
        self.index = index
        self._limit(limits)
        self._earlier, self.quotas = self.quotas, {}
        if is_renewed:
            self.warm_up()
            for quota in self._earlier.values():
                quota.exhausted_until = 0.0

    def counts(self, deployment: str, tier: Tier) -> bool:
        """Say whether it counts already what a tier is to count."""
        quota = self.quotas.get(deployment)
        return quota is not None and quota.is_counted_as(tier)

    def add_quota(self, deployment: Deployment) -> Quota | None:
        """Count a deployment against the tier that is for it, if there is one."""
        tier = tier_of(deployment, self._tiers)
        if tier is None:
            return None
        quota = self._earlier.get(deployment.id)
        if quota is not None and quota.is_counted_as(tier):
            quota.change(tier)
        else:
            quota = Quota(deployment.id, self.name, tier)
        self.quotas[deployment.id] = quota
        return quota

    def _limit(self, limits: KeyLimits) -> None:
        self._tiers = limits.free
        calls, tokens = limits.calls_a_minute, limits.tokens_a_minute
        self.is_limited = calls is not None or tokens is not None
        if self.is_limited:
            self.stirred[self.provider] = None
        if calls is None and tokens is None:
            self._minute = None
        elif self._minute is None:
            self._minute = Allowance(MINUTE, calls, tokens)
        else:
            self._minute.limit(calls, tokens)

    def has_room(self, tokens: int | None, now: float) -> bool:
        """Say whether its minute lets one more request go."""
        minute = self._minute
        return minute is None or minute.has_room(_at_most(tokens, minute.tokens), now)

    def hold(self, deployment: str, tokens: int | None, now: float) -> list[tuple[Tally, int]]:
        """Set one request aside wherever it counts; returns where, and the tokens held there."""
        self.in_flight += 1
        if self.told:
            self._sent_since += 1
            self._reckon()
        held = []
        if deployment in self.quotas:
            held.append(self.quotas[deployment].hold(tokens, now))
        if self._minute is not None:
            held.append(self._minute.hold(_at_most(tokens, self._minute.tokens), now))
        return held

    def cool(
        self, until: float, because: ErrorClass, now: float, *, is_named: bool = False
    ) -> None:
        """Prefer other keys up to a time; a time before the one already set changes nothing.

        `is_named`: its provider named that time.
        """
        self.cooled_at = now
        if is_named:
            self.named_until = max(self.named_until, until)
        if until > self.cooling_until:
            self.cooling_until, self.because = until, because
        self.stirred[self.provider] = None

    def rest(self, deployment: str, rest: Rest) -> None:
        """Prefer other keys for one deployment; a time before the one already set changes nothing.

        What is over is forgotten.
        """
        now, known = rest.since, self.resting.get(deployment)
        self.resting = {name: item for name, item in self.resting.items() if item.until > now}
        if known is not None and known.until >= rest.until:
            rest = known._replace(since=now)
        self.resting[deployment] = rest
        self.stirred[self.provider] = None

    def rest_of(self, deployment: str, now: float) -> Rest | None:
        """Return what keeps it from a deployment, the whole key's cool-down included."""
        rest = self.resting.get(deployment)
        if self.because is not None and self.cooling_until > now:
            is_named = not self.rests_by_guess(now)
            whole = Rest(self.cooling_until, self.because, self.cooled_at, is_named)
            rest = whole if rest is None or rest.until < whole.until else rest
        return rest if rest is not None and rest.until > now else None

    def rests_until(self, deployment: str, now: float) -> float:
        """Return when it may be used for a deployment that it was refused for; 0 if it may be."""
        rest = self.resting.get(deployment)
        return rest.until if rest is not None and rest.until > now else 0.0

    def hear(self, limits: Iterable[LimitLeft], now: float) -> None:
        """Take from an answer what is left of the provider's own limits, in place of the last."""
        self.told = tuple([(limit, now + limit.seconds) for limit in limits])
        if self.told:
            self.stirred[self.provider] = None
        self._sent_since = 0
        self._reckon()

    def _reckon(self) -> None:
        """Find how long nothing is left by what the provider told."""
        until = 0.0
        for limit, ends_at in self.told:
            if self._left(limit) <= 0:
                until = max(until, ends_at)
        self.used_up_until = until

    def _left(self, limit: LimitLeft) -> float:
        """Return what is left of a limit; of calls those count that were sent since."""
        return limit.left - self._sent_since if limit.counts == "calls" else limit.left

    def _lacks_until(self, tokens: int | None, now: float) -> float:
        """Return until when less is left than is asked for, 0 if it is enough."""
        until = self.used_up_until
        for limit, ends_at in self.told:
            few = limit.counts == "tokens" and limit.left < (limit.limit or 0) * FEW_TOKENS
            if few and limit.left < (tokens or 0):
                until = max(until, ends_at)
        return until if until > now else 0.0

    def warm_up(self) -> None:
        """Forget what the provider had against it."""
        self.cooling_until, self.named_until, self.because = 0.0, 0.0, None
        self.told, self.used_up_until = (), 0.0
        self.resting = {}
        for quota in self.quotas.values():
            quota.exhausted_until = 0.0

    def ready_at(self, quota: Quota | None, now: float, tokens: int | None = None) -> float:
        """Return when it will have cooled down for what a quota is of, 0 if it has.

        `tokens` is the bound of what is asked for.
        """
        until = self.cooling_until
        if self.told:
            until = max(until, self._lacks_until(tokens, now))
        if quota is not None:
            until = max(until, quota.exhausted_until)
        return until if until > now else 0.0

    def headroom(self, now: float) -> int | None:
        """Return the thousandths left of its minute and of what it was told, whichever is less.

        None where nothing limits it. A key that the provider refused for its rate has none.
        """
        if self.because is ErrorClass.RATE_LIMIT and self.cooling_until > now:
            return 0
        own = self._minute.headroom(now) if self._minute is not None else None
        told = self._told_headroom(now) if self.told else None
        if own is None or told is None:
            return told if own is None else own
        return min(own, told)

    def _told_headroom(self, now: float) -> int | None:
        return min(
            [
                max(0, int(self._left(limit) * THOUSAND / limit.limit)) if limit.limit else 0
                for limit, ends_at in self.told
                if ends_at > now
            ],
            default=None,
        )

    def answered(self, asked_at: float, deployment: str = "") -> None:
        """Note that a request was answered: if it was sent since, no rate limit holds any more."""
        if self.because is ErrorClass.RATE_LIMIT and asked_at >= self.cooled_at:
            self.cooling_until, self.named_until, self.because = 0.0, 0.0, None
        if self.resting:
            rest = self.resting.get(deployment)
            if (
                rest is not None
                and rest.because is ErrorClass.RATE_LIMIT
                and asked_at >= rest.since
            ):
                del self.resting[deployment]

    def unwanted_until(self, tokens: int | None, now: float, deployment: str = "") -> float:
        """Return up to when its provider wants no request of so many tokens, to a deployment."""
        rest = self.resting.get(deployment)
        named = rest.until if rest is not None and rest.is_named else 0.0
        return max(self.named_until, self._lacks_until(tokens, now), named)

    def rests_by_guess(self, now: float) -> bool:
        """Say whether it cools down for its rate though its provider named no time."""
        is_rate = self.because is ErrorClass.RATE_LIMIT
        return is_rate and self.cooling_until > now >= max(self.named_until, self.used_up_until)

    def why_it_rests(self, now: float) -> str:
        """Say why it cools down."""
        return str(self.because) if self.cooling_until > now else USED_UP

    def lacking(self, now: float) -> str:
        """Say what its minute has left."""
        return f"its minute has {self._minute.words(now)} left" if self._minute is not None else ""

    def resets_at(self, now: float) -> float:
        """Return when its minute has more room than now."""
        return self._minute.resets_at(now) if self._minute is not None else now

    def report(self, now: float) -> dict[str, Any]:
        """Return its state as plain data."""
        is_cooling = self.cooling_until > now
        is_used_up = self.used_up_until > now
        return {
            "key": self.name,
            "in_flight": self.in_flight,
            "minute": self._minute.rows(now) if self._minute is not None else [],
            "cooling_until": self.cooling_until if is_cooling else None,
            "cooling_because": str(self.because) if is_cooling else None,
            "used_up_until": self.used_up_until if is_used_up else None,
            "told": [
                {"limit": limit.name, "left": int(self._left(limit)), "of": limit.limit}
                for limit, ends_at in self.told
                if ends_at > now
            ],
            "headroom": self.headroom(now),
            "resting": [
                {"deployment": name, "until": rest.until, "because": str(rest.because)}
                for name, rest in sorted(self.resting.items())
                if rest.until > now
            ],
        }


def _at_most(tokens: int | None, limit: int | None) -> int | None:
    if limit is None or tokens is None:
        return tokens if limit is None else limit
    return min(tokens, limit)
