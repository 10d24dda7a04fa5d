"""The circuit breakers of all providers: who is left alone, why, and who may try again.

Rules of this file: plain and synchronous, the time passed in, in seconds of a clock that never goes
back. One breaker a provider, not one a model: it is tripped when none of its endpoints takes
requests. An outcome counts when it is known, that of a stream at its end. What is tripped by hand
stays so until it is reset by hand; `trips` has these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from routerd.domain import Attempt
from routerd.errors import ErrorClass, Failure
from routerd.health.endpoint import Endpoint, State
from routerd.health.trips import Place, Trips
from routerd.health.window import Share
from routerd.models.schema import Deployment
from routerd.settings import USUAL_HEALTH, Health
from routerd.telemetry.events import (
    EndpointRecovered,
    EndpointTripped,
    Event,
    ProviderRecovered,
    ProviderTripped,
)

__all__ = ["NOTHING", "Breakers", "Unwell"]

# What shows that an endpoint is in trouble; the rest is the caller's, a key's or a model's doing.
FAULTS: Final = frozenset(
    {
        ErrorClass.CONNECTION,
        ErrorClass.TIMEOUT,
        ErrorClass.SERVER_ERROR,
        ErrorClass.OVERLOADED,
        ErrorClass.BAD_ANSWER,
    }
)
BACKING_OFF: Final = "it is overloaded and backs off"
RATE_LIMITED: Final = "who serves it behind its provider limits the rate"
# For how long another deployment is preferred then, where nobody says for how long.
RATE_LIMITED_SECONDS: Final = 10.0

Server = tuple[str, str]


class Unwell(Struct, frozen=True):
    """Where calls do not go now: why, by provider or deployment, and for how many seconds at least.

    What has no time is not to be tried at all. `last_resorts` are those of which no provider said
    so: they are what is left where nothing else answers.
    """

    why: dict[str, str] = {}
    seconds: dict[str, float] = {}
    last_resorts: tuple[str, ...] = ()


NOTHING: Final = Unwell()


class Breakers:
    """All endpoints, by provider and address.

    `on_trip` is called when there is something to test. `tell` hears what changes.
    """

    def __init__(
        self, limits: Health = USUAL_HEALTH, tell: Callable[[Event], None] = lambda _: None
    ) -> None:
        self.trips = Trips()
        self.on_trip: Callable[[], None] = lambda: None
        self._tell = tell
        self._limits = limits
        self._endpoints: dict[Server, Endpoint] = {}
        self._shares: dict[str, Share] = {}
        self._places: dict[str, Place] = {}
        # Those that calls may have to avoid: nearly always none.
        self._unwell: set[Server] = set()
        # By deployment: until when it rests, and whether its provider named that time.
        self._resting: dict[str, tuple[float, bool]] = {}

    def replace(self, places: Iterable[Place], limits: Health) -> None:
        """Watch these deployments from now on; what is known of an address stays."""
        is_other = limits != self._limits
        self._limits = limits
        self._places = {place.deployment: place for place in places}
        servers = {(place.provider, place.server) for place in self._places.values()}
        self._endpoints = {
            server: self._endpoints.get(server) or Endpoint(limits) for server in sorted(servers)
        }
        for endpoint in self._endpoints.values():
            endpoint.limit(limits)
        self._unwell &= servers
        if is_other:
            self._shares.clear()
        self.trips.replace(self._places.values())

    # --- what a decision and an attempt ask -------------------------------------------------------

    def unwell(self, deployments: Iterable[Deployment], now: float) -> Unwell:
        """Return which of these, or of their providers, are to be avoided."""
        if not self._unwell and not self.trips.held and not self._resting:
            return NOTHING
        why: dict[str, str] = {}
        seconds: dict[str, float] = {}
        last_resorts: list[str] = []
        for deployment in deployments:
            place = self._places.get(deployment.id)
            if place is None:
                continue
            by_hand = self.trips.why(place)
            if by_hand is not None:
                key, why[key] = by_hand
                seconds.pop(key, None)
            elif place.provider not in why:
                key, because, wait, is_last_resort = self._look_at(place, now)
                if key:
                    why[key], seconds[key] = because, round(wait, 3)
                if is_last_resort:
                    last_resorts.append(key)
        return Unwell(why, seconds, tuple(last_resorts)) if why else NOTHING

    def refuses(self, deployment: str, now: float, *, forced: bool) -> str | None:
        """Say why no request may be sent there now; None if one may.

        What is `forced` is tried even so: nothing else is left. What was tripped by hand never is.
        """
        if not self._unwell and not self.trips.held:
            return None
        place = self._places.get(deployment)
        if place is None:
            return None
        by_hand = self.trips.why(place)
        if by_hand is not None:
            return by_hand[1]
        endpoint = self._endpoints[place.provider, place.server]
        if forced or endpoint.takes(now):
            return None
        return _because(endpoint)

    def named_wait(self, deployment: str, now: float) -> float:
        """Return for how many seconds its provider asked to be left alone, 0 if it did not."""
        place = self._places.get(deployment)
        if place is None:
            return 0.0
        until, is_named = self._resting.get(deployment, (now, False))
        named = self._endpoints[place.provider, place.server].named_until
        return max(0.0, named - now, until - now if is_named else 0.0)

    def may_force(self, deployment: str, now: float) -> bool:
        """Say whether one request may go to who asked for none: one in so many seconds."""
        place = self._places.get(deployment)
        if place is None:
            return True
        endpoint = self._endpoints[place.provider, place.server]
        if now - endpoint.forced_at < self._limits.retest_seconds:
            return False
        endpoint.forced_at = now
        return True

    def begin(self, attempt: Attempt, now: float) -> None:
        """Note that an attempt is about to be sent."""
        endpoint = self._endpoints.get((attempt.provider, attempt.server))
        if endpoint is not None and endpoint.state != "passing":
            endpoint.begin(now)

    def end(self, attempt: Attempt, failure: Failure | None, began_at: float, now: float) -> None:
        """Learn from how an attempt ended; one that was cancelled, or refused, shows nothing."""
        server = (attempt.provider, attempt.server)
        endpoint = self._endpoints.get(server)
        if endpoint is None:
            return
        if failure is None and attempt.error_class is None:
            share = self._shares.get(attempt.provider) or self._share(attempt.provider)
            share.count(now, is_hit=False)
            was_tripped_at = endpoint.since
            if endpoint.succeed(began_at, now):
                self._recovered(server, now - was_tripped_at)
            if self._unwell and not endpoint.is_avoided(now):
                self._unwell.discard(server)
        elif failure is not None and (
            (failure.is_evidence and failure.error_class in FAULTS)
            or (failure.is_hint and endpoint.hint(began_at))
        ):
            self._fail(server, endpoint, failure, (began_at, now))
        elif failure is not None and not failure.is_of_key:
            wait = failure.retry_after
            until = now + (RATE_LIMITED_SECONDS if wait is None else wait)
            self._resting[attempt.deployment] = until, wait is not None
            endpoint.end(began_at)
        elif endpoint.state != "passing":
            endpoint.end(began_at)

    # --- what is sent to find out, and costs nothing ---------------------------------------------

    def begin_tests(self, now: float) -> list[Server]:
        """Return which tripped endpoints are tested from now on."""
        due = [
            server
            for server in sorted(self._unwell)
            if self._endpoints[server].state == "tripped" and self._endpoints[server].until <= now
        ]
        for server in due:
            self._endpoints[server].begin_test(now)
        return due

    def next_due(self) -> float | None:
        """Return when the next test is due, None where nothing is tripped."""
        times = (
            endpoint.until
            for server in self._unwell
            if (endpoint := self._endpoints[server]).state == "tripped"
        )
        return min(times, default=None)

    def tested(self, server: Server, *, answers: bool) -> None:
        """Hear how a test went."""
        endpoint = self._endpoints.get(server)
        if endpoint is not None:
            endpoint.tested(answers=answers)

    def probed(self, server: Server, now: float, *, answers: bool, every_seconds: float) -> None:
        """Hear how the probe of a minute went."""
        endpoint = self._endpoints.get(server)
        if endpoint is not None and endpoint.probed(
            now, answers=answers, every_seconds=every_seconds
        ):
            times = self._limits.failures_in_a_row
            self._trip(server, f"{times} probes in a row failed, and nothing else is sent", now)

    def is_used(self, server: Server, now: float, seconds: float) -> bool:
        """Say whether requests have shown within so many seconds how it is."""
        endpoint = self._endpoints.get(server)
        return endpoint is not None and now - endpoint.lived_at < seconds

    # --- by hand ---------------------------------------------------------------------------------

    def reset(self, places: Iterable[Place]) -> None:
        """Let what is at these places pass again, whatever was seen of it."""
        for place in places:
            self._resting.pop(place.deployment, None)
            server = (place.provider, place.server)
            endpoint = self._endpoints.get(server)
            if endpoint is not None:
                endpoint.pass_again()
                self._unwell.discard(server)
            self._share(place.provider).clear()

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return the state of every endpoint as plain data; times are seconds from now."""
        return [
            {
                "provider": provider,
                "endpoint": server,
                "state": self._state(provider, server, now),
                "because": _because(endpoint) if endpoint.is_avoided(now) else endpoint.because,
                "for_seconds": round(now - endpoint.since, 3) if endpoint.since else None,
                "retest_in_seconds": round(max(0.0, endpoint.until - now), 3)
                if endpoint.state == "tripped"
                else None,
                "failures_in_a_row": endpoint.in_a_row,
                "failure_percent": round(self._share(provider).percent(now), 1),
            }
            for (provider, server), endpoint in self._endpoints.items()
        ]

    # --- inside ----------------------------------------------------------------------------------

    def _state(self, provider: str, server: str, now: float) -> State | str:
        endpoint = self._endpoints[provider, server]
        if endpoint.state == "passing" and endpoint.backs_off_until > now:
            return "backing_off"
        return endpoint.state

    def _share(self, provider: str) -> Share:
        share = self._shares.get(provider)
        if share is None:
            share = self._shares[provider] = Share(self._limits.window_seconds)
        return share

    def _of(self, provider: str) -> Iterator[tuple[Server, Endpoint]]:
        return (item for item in self._endpoints.items() if item[0][0] == provider)

    def _look_at(self, place: Place, now: float) -> tuple[str, str, float, bool]:
        """Say what is to be avoided: a deployment, all of its provider, or nothing: no name.

        Beside the name: why, for how many seconds, and whether it is a last resort even so.
        """
        server = (place.provider, place.server)
        if server in self._unwell:
            endpoint = self._endpoints[server]
            if endpoint.is_avoided(now):
                wait = max(0.0, endpoint.until - now, endpoint.backs_off_until - now)
                is_last_resort = endpoint.is_last_resort(now)
                is_shared = all(
                    item.is_avoided(now) and item.is_last_resort(now) == is_last_resort
                    for _, item in self._of(place.provider)
                )
                key = place.provider if is_shared else place.deployment
                return key, _because(endpoint), wait, is_last_resort
            if endpoint.state == "passing":
                self._unwell.discard(server)
        until, is_named = self._resting.get(place.deployment, (now, False))
        if until > now:
            return place.deployment, RATE_LIMITED, until - now, not is_named
        self._resting.pop(place.deployment, None)
        return "", "", 0.0, False

    def _fail(
        self, server: Server, endpoint: Endpoint, failure: Failure, times: tuple[float, float]
    ) -> None:
        began_at, now = times
        if endpoint.is_stale(began_at):
            return
        provider = server[0]
        share = self._share(provider)
        share.count(now, is_hit=True)
        named = None if failure.retry_after is None else now + failure.retry_after
        said = _said(failure)
        was_passing = endpoint.state == "passing"
        is_overloaded = failure.error_class is ErrorClass.OVERLOADED
        if endpoint.fail(said, began_at, now, named=named, backs_off=is_overloaded):
            self._trip(server, f"{endpoint.in_a_row} failures in a row, the last: {said}", now)
        elif (
            was_passing
            and share.of >= self._limits.failure_volume
            and share.percent(now) >= self._limits.failure_percent
        ):
            because = f"{share.hits} of {share.of} requests failed, the last: {said}"
            for one, other in list(self._of(provider)):
                if other.state == "passing":
                    self._trip(one, because, now)
        if endpoint.state != "passing" or endpoint.backs_off_until > now:
            self._unwell.add(server)
        if endpoint.state == "tripped":
            self.on_trip()

    def _trip(self, server: Server, because: str, now: float) -> None:
        provider, address = server
        endpoint = self._endpoints[server]
        endpoint.trip(because, now, endpoint.named_until)
        self._unwell.add(server)
        others = [item for _, item in self._of(provider)]
        if all(item.state != "passing" for item in others):
            seconds = min(item.until for item in others) - now
            self._tell(ProviderTripped(provider=provider, reason=because, retest_seconds=seconds))
        else:
            self._tell(EndpointTripped(provider=provider, server=address, reason=because))
        self.on_trip()

    def _recovered(self, server: Server, seconds: float) -> None:
        provider, address = server
        self._share(provider).clear()
        others = [item for one, item in self._of(provider) if one != server]
        if any(item.state == "passing" for item in others):
            self._tell(EndpointRecovered(provider=provider, server=address, down_seconds=seconds))
        else:
            self._tell(ProviderRecovered(provider=provider, down_seconds=seconds))


def _because(endpoint: Endpoint) -> str:
    return endpoint.because or BACKING_OFF


def _said(failure: Failure) -> str:
    """Name a failure without a word of the provider's."""
    status = "" if failure.status is None else f" {failure.status}"
    phase = f" in phase {failure.phase}" if failure.phase else ""
    return f"{failure.error_class}{status}{phase}"
