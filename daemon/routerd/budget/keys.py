"""Which key of a provider serves an attempt: of those that are ready the free ones first.

Rules of this file: plain and synchronous, the time passed in. A cool-down only changes the order:
no call is refused because of one. Nothing is awaited between the choice and the hold.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from routerd.budget.cooling import Cooling, look_at, look_for
from routerd.budget.key import Key, KeyLimits, Rest
from routerd.budget.quota import Exhausted, Quota, tier_of
from routerd.domain import FreeQuota
from routerd.errors import ErrorClass
from routerd.models.lineup import Lineup
from routerd.models.schema import Deployment
from routerd.providers.rate_limits import LimitLeft

__all__ = ["Day", "KeyHold", "KeyRefusal", "Keys"]

# Deployment and key of a free tier, and since when its day is counted.
Day = tuple[str, str | None, float]

# What is the key's fault, and for how many seconds other keys are preferred where the provider does
# not say: nobody mends an account or a key in less than minutes.
COOL_DOWNS: Final = {
    ErrorClass.RATE_LIMIT: 10.0,
    ErrorClass.QUOTA: 600.0,
    ErrorClass.AUTH: 600.0,
}


class KeyRefusal(Struct, frozen=True):
    """No key may serve an attempt now: why, and when the first of the reasons is over."""

    code: str
    detail: str
    resets_at: float


class KeyHold:
    """One key in use by one attempt; ends once, whatever is said of it later.

    `name` is the key's, `index` its place among the provider's. `free` says that its free tier pays
    for the attempt: it costs nothing, and that is measured, not guessed.
    """

    __slots__ = (
        "_held",
        "_open",
        "_quota",
        "at",
        "deployment",
        "free",
        "has_ended",
        "key",
        "tokens",
    )

    def __init__(
        self,
        key: Key,
        quota: Quota | None,
        asked: tuple[str, int | None, float],
        open_holds: set[KeyHold],
        *,
        free: bool,
    ) -> None:
        self.free = free
        self.has_ended = False
        self.key = key
        self.deployment, self.tokens, self.at = asked
        self._quota = quota
        self._held = key.hold(*asked)
        self._open = open_holds
        open_holds.add(self)

    @property
    def name(self) -> str | None:
        """The key's name, None for a provider's only one."""
        return self.key.name

    @property
    def index(self) -> int:
        """The key's place among those of its provider."""
        return self.key.index

    def settle(self, tokens: int, *, sent: bool) -> None:
        """Count what was used in the place of what is held; of what was not sent, nothing."""
        if self.has_ended:
            return
        self.has_ended = True
        self._open.discard(self)
        self.key.in_flight -= 1
        for tally, held in self._held:
            tally.hold(0, -1, -held)
            if sent:
                tally.spend(0, 1, tokens)

    def count_in(self, quota: Quota, now: float) -> None:
        """Be held in a quota too that came after it."""
        self._held.append(quota.hold_earlier(self.tokens, self.at, now))

    def release(self) -> None:
        """Give everything back: the provider never saw the request."""
        self.settle(0, sent=False)

    def hear(self, limits: Iterable[LimitLeft], now: float) -> None:
        """Hear what its provider says is left of the key's limits."""
        if limits or self.key.told:
            self.key.hear(limits, now)

    def answered(self) -> None:
        """Hear that the attempt was answered whole: a rate limit of before is over."""
        self.key.answered(self.at, self.deployment)

    def failed(
        self,
        error_class: ErrorClass,
        retry_after: float | None,
        now: float,
        *,
        is_of_deployment: bool = False,
    ) -> None:
        """Hear why the attempt failed: where the key is at fault, it cools down.

        What was `is_of_deployment` is for this one alone: the key serves others as before.
        """
        if error_class is ErrorClass.QUOTA and self._quota is not None:
            self._quota.exhaust(now)
        elif error_class in COOL_DOWNS:
            seconds = COOL_DOWNS[error_class]
            if retry_after is not None and error_class is not ErrorClass.QUOTA:
                # Of a refused key only the source of its tokens says when it may work again.
                seconds = retry_after
            elif retry_after is not None:
                # Nobody mends an account because a minute is over.
                seconds = max(seconds, retry_after)
            is_named = retry_after is not None and error_class is ErrorClass.RATE_LIMIT
            until = now + seconds
            if is_of_deployment:
                self.key.rest(self.deployment, Rest(until, error_class, now, is_named))
            else:
                self.key.cool(until, error_class, now, is_named=is_named)


# What decides between two keys, the smaller first: when it has cooled down, whether it costs money,
# how many attempts it is busy with, where it stands in the file.
Rank = tuple[float, bool, int, int]
Candidate = tuple[Rank, Key, Quota | None]


class Keys:
    """The keys of all providers, with what is left of their limits and free tiers.

    A provider that is not among `limits` has one key without any.
    """

    def __init__(
        self, limits: Mapping[str, Sequence[KeyLimits]], deployments: Iterable[Deployment]
    ) -> None:
        # The providers whose keys are to be looked at; shared by all `Keys` one after the other.
        self._stirred: dict[str, None] = {}
        self._rings = {
            provider: tuple(
                Key(index, item, provider, self._stirred) for index, item in enumerate(items)
            )
            for provider, items in limits.items()
        }
        # Of all attempts that run; shared by all `Keys` one after the other.
        self._open: set[KeyHold] = set()
        # By deployment: its quotas, and what it means that they are used up.
        self._free: dict[str, tuple[list[Quota], Exhausted]] = {}
        for deployment in deployments:
            self._add_quotas(deployment)

    def new_days(
        self,
        limits: Mapping[str, Sequence[KeyLimits]],
        deployments: Iterable[Deployment],
        now: float,
    ) -> list[Day]:
        """Return those of the `days` that `replaced` would have and nobody counts so far."""
        found = []
        for deployment in deployments:
            known = {key.name: key for key in self._rings.get(deployment.provider, ())}
            for item in limits.get(deployment.provider, ()):
                tier = tier_of(deployment, item.free)
                key = known.get(item.name)
                if tier is None or (key is not None and key.counts(deployment.id, tier)):
                    continue
                found.append((deployment.id, item.name, tier.window.earliest(now)))
        return found

    def replaced(
        self,
        limits: Mapping[str, Sequence[KeyLimits]],
        deployments: Iterable[Deployment],
        renewed: Container[tuple[str, str | None]] = (),
    ) -> Keys:
        """Return the keys for calls to come; those that stay keep what is counted and held.

        Calls that run choose among the keys they began with. `renewed` are provider and name of
        the keys whose secret is another one now.
        """
        deployments = tuple(deployments)
        keys = Keys({}, ())
        keys._open, keys._stirred = self._open, self._stirred
        for provider in (*limits, *(item.provider for item in deployments)):
            if provider not in keys._rings:
                known = {key.name: key for key in self._rings.get(provider, ())}
                ring = []
                for index, item in enumerate(limits.get(provider, (KeyLimits(),))):
                    key = known.get(item.name) or Key(index, item, provider, self._stirred)
                    key.change(index, item, is_renewed=(provider, item.name) in renewed)
                    ring.append(key)
                keys._rings[provider] = tuple(ring)
        for deployment in deployments:
            keys._add_quotas(deployment)
        return keys

    def hold_open(self, days: Iterable[Day], now: float) -> None:
        """Count the attempts that run in quotas that are new."""
        new = {(deployment, key) for deployment, key, _ in days}
        for hold in self._open:
            if (hold.deployment, hold.name) not in new:
                continue
            for quota in self._free[hold.deployment][0]:
                if quota.key == hold.name:
                    hold.count_in(quota, now)

    def choose(
        self, deployment: str, provider: str, bound_tokens: int | None, now: float
    ) -> KeyHold | KeyRefusal:
        """Take the best key for an attempt and hold its bound, or say why there is none.

        `bound_tokens` is None where nothing bounds them.
        """
        found = self._candidates(deployment, provider, bound_tokens, now)
        if not found:
            return self._refusal(deployment, provider, bound_tokens, now)
        best = found[0]
        if len(found) > 1:
            best = min(found, key=lambda candidate: candidate[0])
        (_, costs, _, _), key, quota = best
        asked = (deployment, bound_tokens, now)
        return KeyHold(key, quota, asked, self._open, free=not costs)

    def is_ready(
        self, deployment: str, provider: str, bound_tokens: int | None, now: float
    ) -> bool:
        """Say whether a key would be chosen that is not cooling down, such as another one."""
        found = self._candidates(deployment, provider, bound_tokens, now)
        return any(ready_at == 0 for (ready_at, *_), _, _ in found)

    def named_wait(
        self, deployment: str, provider: str, bound_tokens: int | None, now: float
    ) -> float:
        """Return for how many seconds the key that would be chosen is to rest, by its provider."""
        found = self._candidates(deployment, provider, bound_tokens, now)
        if not found:
            return 0.0
        _, key, _ = min(found, key=lambda candidate: candidate[0])
        return max(0.0, key.unwanted_until(bound_tokens, now, deployment) - now)

    def free_quotas(self, deployments: Iterable[str], now: float) -> tuple[FreeQuota, ...]:
        """Return what is left of the free tiers of candidates, for a decision."""
        if not self._free:
            return ()  # nearly always
        return tuple(
            quota.as_seen(now, means)
            for deployment in deployments
            if deployment in self._free
            for quotas, means in (self._free[deployment],)
            for quota in quotas
        )

    def left(self, lineup: Lineup, now: float) -> tuple[dict[str, int], dict[str, Cooling]]:
        """Return the thousandths of rate limits left, by deployment, and who cools down.

        Of several keys that of the one with the most; nothing where one is not limited. A provider
        cools down when all of its keys do, a deployment when none of them serves it.
        """
        headroom: dict[str, int] = {}
        cooling: dict[str, Cooling] = {}
        for provider in self._stirred:
            names, ring = lineup.by_provider.get(provider), self._rings.get(provider)
            if names is None or not ring:
                continue
            most = look_at(provider, ring, now, cooling)
            if most is not None:
                headroom.update(dict.fromkeys(names, most))
            if provider not in cooling and any(key.resting for key in ring):
                for name in names:
                    look_for(name, ring, now, cooling)
        return headroom, cooling

    def warm_up(self, provider: str) -> None:
        """End all cool-downs of a provider's keys."""
        for key in self._rings.get(provider, ()):
            key.warm_up()

    def days(self, now: float) -> list[Day]:
        """Return deployment and key of every free tier, and since when its day is counted."""
        return [(quota.deployment, quota.key, quota.starts_at(now)) for quota in self._quotas()]

    def seed(
        self, deployment: str, key: str | None, at: float, now: float, amounts: tuple[int, int]
    ) -> None:
        """Count requests and tokens that were sent before, at a time of one of the `days`."""
        quotas, _ = self._free.get(deployment, ((), "paid"))
        for quota in quotas:
            if quota.key == key:
                quota.seed(at, now, amounts)

    def report_free(self, now: float) -> list[dict[str, Any]]:
        """Return what is left of every free tier, as plain data."""
        return [
            {**row, "cooling_until": key.ready_at(quota, now) or None}
            for ring in self._rings.values()
            for key in ring
            for quota in key.quotas.values()
            for row in quota.report(now)
        ]

    def report_keys(self, now: float) -> list[dict[str, Any]]:
        """Return the state of every key, as plain data."""
        return [
            {"provider": provider, **key.report(now)}
            for provider, ring in self._rings.items()
            for key in ring
        ]

    def _ring(self, provider: str) -> tuple[Key, ...]:
        ring = self._rings.get(provider)
        if ring is None:
            ring = self._rings[provider] = (Key(0, KeyLimits(), provider, self._stirred),)
        return ring

    def _add_quotas(self, deployment: Deployment) -> None:
        ring = self._ring(deployment.provider)
        quotas = [quota for key in ring if (quota := key.add_quota(deployment)) is not None]
        if quotas:
            # Another key may go on for money where this one does not.
            is_refused = len(quotas) == len(ring) and all(
                quota.then == "refused" for quota in quotas
            )
            self._free[deployment.id] = quotas, "refused" if is_refused else "paid"

    def _candidates(
        self, deployment: str, provider: str, tokens: int | None, now: float
    ) -> list[Candidate]:
        found: list[Candidate] = []
        for key in self._rings.get(provider) or self._ring(provider):
            quota = key.quotas.get(deployment)
            terms = quota.terms(tokens, now) if quota is not None else "paid"
            if terms != "refused" and key.has_room(tokens, now):
                costs = terms == "paid"
                busy = key.in_flight if costs else 0
                ready_at = key.ready_at(quota, now, tokens)
                if key.resting:
                    ready_at = max(ready_at, key.rests_until(deployment, now))
                found.append(((ready_at, costs, busy, key.index), key, quota))
        return found

    def _refusal(
        self, deployment: str, provider: str, tokens: int | None, now: float
    ) -> KeyRefusal:
        """Say of every key why it may not serve."""
        code, reasons, resets = "free_tier", [], []
        for key in self._ring(provider):
            quota = key.quotas.get(deployment)
            if quota is not None and quota.terms(tokens, now) == "refused":
                reason, resets_at = quota.lacking(tokens, now), quota.resets_at(now)
            else:
                code = "key_limit"
                reason, resets_at = key.lacking(now), key.resets_at(now)
            reasons.append(reason if key.name is None else f"key {key.name}: {reason}")
            resets.append(resets_at)
        return KeyRefusal(code, f"{provider}: {'; '.join(reasons)}", min(resets))

    def _quotas(self) -> Iterator[Quota]:
        return (quota for quotas, _ in self._free.values() for quota in quotas)
