"""What traffic shows of deployments: how fast they begin, how busy they are, and which are gone.

Rules of this file: plain and synchronous, the time passed in as seconds since the epoch. Only what
calls saw counts; what is older than its time says nothing any more, so that a deployment that was
slow or gone once is tried again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

from msgspec import Struct

from routerd.domain import Attempt, Record
from routerd.errors import ErrorClass

__all__ = ["Seen", "Session", "Traffic"]

# How much one call moves an estimate: five of them are two thirds of it.
NEWEST_COUNTS: Final = 0.2
LATENCY_SECONDS: Final = 600.0
# A provider that has no such model will not have it in the next minutes either.
GONE_SECONDS: Final = 600.0
# The longest time that a vendor keeps a prompt for cheap.
SESSION_SECONDS: Final = 3_600.0
MOST_SESSIONS: Final = 10_000

# Whose session, of what was asked for, by which name: two tenants may call theirs alike, and a
# session that asks for two jobs has a place for each.
Session = tuple[str | None, str, str]


class Seen(Struct, frozen=True):
    """What was seen of some deployments, by their ids; see `Snapshot`."""

    latency_ms: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    gone: dict[str, str] = {}
    session_on: str | None = None


NOTHING: Final = Seen()


class Traffic:
    """Estimates and counters of all deployments that calls went to."""

    def __init__(self) -> None:
        # When each was last timed, the estimate, and the same as it is told.
        self._latency: dict[str, tuple[float, float, int]] = {}
        self._in_flight: dict[str, int] = {}
        self._gone: dict[str, tuple[float, str]] = {}
        self._sessions: OrderedDict[Session, tuple[float, str]] = OrderedDict()

    def seen(self, deployments: Collection[str], session: Session | None, now: float) -> Seen:
        """Return what is known of some deployments, and where a session was last."""
        if not (self._latency or self._in_flight or self._gone or self._sessions):
            return NOTHING
        since = now - LATENCY_SECONDS
        latency_ms = {
            name: milliseconds
            for name, (at, _, milliseconds) in self._latency.items()
            if name in deployments and at > since
        }
        in_flight = {name: busy for name, busy in self._in_flight.items() if name in deployments}
        gone = {}
        if self._gone:
            gone = {
                name: why
                for name, (at, why) in self._gone.items()
                if name in deployments and now - at < GONE_SECONDS
            }
        return Seen(
            latency_ms,
            in_flight,
            gone,
            None if session is None else self._session(session, now),
        )

    def forget_gone(self) -> None:
        """Ask again for what was gone: addresses and keys may be others now."""
        self._gone.clear()

    def found_again(self, deployments: Iterable[str]) -> None:
        """Ask again for these, whatever their provider said of them."""
        for name in deployments:
            self._gone.pop(name, None)

    def report(self, now: float) -> dict[str, str]:
        """Return why nothing is sent to some deployments, by their ids."""
        return {name: why for name, (at, why) in self._gone.items() if now - at < GONE_SECONDS}

    def begin(self, deployment: str) -> None:
        """Count a request that is about to be sent."""
        self._in_flight[deployment] = self._in_flight.get(deployment, 0) + 1

    def end(self, deployment: str) -> None:
        """Count it no more."""
        left = self._in_flight[deployment] - 1
        if left:
            self._in_flight[deployment] = left
        else:
            del self._in_flight[deployment]

    def learn(self, record: Record, now: float) -> None:
        """Take from a call that ended what its attempts showed."""
        for attempt in record.attempts:
            if attempt.error_class is not None and _is_gone(attempt):
                self._gone[attempt.deployment] = now, _not_found(attempt)
            elif attempt.first_content_us is not None:
                self._gone.pop(attempt.deployment, None)
                # An answer that is not streamed has its first content when all of it is there.
                if attempt.streamed:
                    self._time(
                        attempt.deployment, attempt.first_content_us - attempt.started_us, now
                    )
        session = record.features.session if record.features is not None else None
        if session is not None and record.deployment and not record.cached:
            serves = record.plan.serves if record.plan is not None else record.target
            key = (record.tenant, serves, session)
            self._sessions[key] = now, record.deployment
            self._sessions.move_to_end(key)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def _time(self, deployment: str, microseconds: int, now: float) -> None:
        milliseconds = microseconds / 1000
        at, before, _ = self._latency.get(deployment, (0.0, milliseconds, 0))
        if now - at >= LATENCY_SECONDS:
            before = milliseconds
        estimate = before + NEWEST_COUNTS * (milliseconds - before)
        self._latency[deployment] = now, estimate, round(estimate)

    def _session(self, session: Session, now: float) -> str | None:
        at, deployment = self._sessions.get(session, (0.0, None))
        return deployment if now - at < SESSION_SECONDS else None


def _is_gone(attempt: Attempt) -> bool:
    """Say whether a provider said in its own words that it has no such model.

    A bare 404 is an address that is wrong; other codes are read from sentences that may quote a
    caller.
    """
    is_not_found = attempt.error_class == ErrorClass.NOT_FOUND
    return is_not_found and attempt.status in (404, 410) and attempt.error_code is not None


def _not_found(attempt: Attempt) -> str:
    return f"its provider does not have it: {attempt.status} {attempt.error_code}"
