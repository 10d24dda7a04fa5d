"""One endpoint of a provider: whether requests go there, and how it gets them back.

Rules of this file: plain and synchronous, the time passed in, in seconds of a clock that never goes
back. Only what a request met counts against it; what is the caller's doing is no evidence, and only
a row of hasty callers who heard nothing at all amounts to some. An endpoint that was tripped is
asked something unbilled first, then gets one request on trial, and only an answer to that closes
it. What began before it was tripped, or before it recovered, says nothing about it since.
"""

from __future__ import annotations

from typing import Final, Literal

from routerd.settings import Health

__all__ = ["Endpoint", "State"]

State = Literal["passing", "tripped", "probing"]
# How long the first overloaded answer keeps other calls away; it doubles with each in a row.
BACK_OFF_SECONDS: Final = 1.0
MOST_DOUBLINGS: Final = 4
# So many callers in a row whose own hurry ended the silence are worth one failure.
HINTS_A_FAILURE: Final = 3


class Endpoint:
    """The state of one server.

    `because` says why it is not passing, `since` when that began. Until `until` nothing is sent to
    a tripped one; until `backs_off_until` calls that can go elsewhere do. `named_until` is the
    latest time that its provider named.
    """

    __slots__ = (
        "_limits",
        "_probe_failures",
        "_trial_at",
        "backs_off_until",
        "because",
        "failed_at",
        "forced_at",
        "hints",
        "in_a_row",
        "lived_at",
        "named_until",
        "passed_at",
        "since",
        "state",
        "until",
    )

    def __init__(self, limits: Health) -> None:
        self.state: State = "passing"
        self.because = ""
        self.since = self.until = 0.0
        self.backs_off_until = self.named_until = 0.0
        self.in_a_row = self.hints = 0
        # When a request last showed something of it, good or bad; when it last failed, and when it
        # was last closed.
        self.lived_at = self.failed_at = self.passed_at = float("-inf")
        # When a request last went there though its provider wanted none.
        self.forced_at = float("-inf")
        self._limits = limits
        self._probe_failures = 0
        self._trial_at: float | None = None

    def limit(self, limits: Health) -> None:
        """Go by other limits from now on."""
        self._limits = limits

    def takes(self, now: float) -> bool:
        """Say whether a request may be sent."""
        if self.state == "passing":
            return True
        # A trial that does not end must not keep the next one waiting.
        return self.state == "probing" and (
            self._trial_at is None or now - self._trial_at >= self._limits.retest_seconds
        )

    def is_avoided(self, now: float) -> bool:
        """Say whether a call that can go elsewhere does."""
        return not self.takes(now) or self.backs_off_until > now

    def is_last_resort(self, now: float) -> bool:
        """Say whether it is avoided by our own reckoning alone: what else fails may go there."""
        return self.state == "passing" and self.backs_off_until > now >= self.named_until

    def begin(self, now: float) -> None:
        """Note that a request is sent; the first one on trial is the only one."""
        if self.state == "probing":
            self._trial_at = now

    def succeed(self, began_at: float, now: float) -> bool:
        """Count a whole answer; says whether that closes it."""
        self.lived_at = now
        if self.state == "passing":
            self.in_a_row = self.hints = self._probe_failures = 0
            if began_at >= self.failed_at:
                # What was asked before says nothing of a time that was named since.
                self.backs_off_until = self.named_until = 0.0
            return False
        if began_at < self.since:
            return False
        self.pass_again()
        self.passed_at = now
        return True

    def hint(self, began_at: float) -> bool:
        """Note a hasty caller who heard nothing; says whether there were enough for a failure."""
        if began_at < max(self.since, self.passed_at):
            return False
        self.hints += 1
        if self.hints < HINTS_A_FAILURE:
            return False
        self.hints = 0
        return True

    def is_stale(self, began_at: float) -> bool:
        """Say whether what began then belongs to a bad time that is over."""
        return self.state == "passing" and began_at < self.passed_at

    def fail(
        self, because: str, began_at: float, now: float, *, named: float | None, backs_off: bool
    ) -> bool:
        """Count a failure of its own; says whether that trips it.

        `named` is when the provider says it may be asked again. Of two times the later holds.
        """
        self.lived_at = self.failed_at = now
        if named is not None:
            self.named_until = max(self.named_until, named)
            self.backs_off_until = max(self.backs_off_until, named)
        elif backs_off:
            seconds = BACK_OFF_SECONDS * 2 ** min(self.in_a_row, MOST_DOUBLINGS)
            self.backs_off_until = max(self.backs_off_until, now + seconds)
        if self.state != "passing":
            if began_at >= self.since:
                self.trip(because, now, named)
            elif named is not None:
                self.until = max(self.until, named)
            return False
        self.in_a_row += 1
        return self.in_a_row >= self._limits.failures_in_a_row

    def end(self, began_at: float) -> None:
        """Note that a request ended without showing anything: after a trial the next may be one."""
        if self._trial_at == began_at:
            self._trial_at = None

    def trip(self, because: str, now: float, named: float | None = None) -> None:
        """Send nothing more before it was tested."""
        if self.state == "passing":
            self.since = now
        self.state, self.because, self._trial_at = "tripped", because, None
        self.until = max(self.until, now + self._limits.retest_seconds, named or 0.0)

    def pass_again(self) -> None:
        """Send as if nothing had been."""
        self.state, self.because = "passing", ""
        self.since = self.until = self.backs_off_until = self.named_until = 0.0
        self.in_a_row = self.hints = self._probe_failures = 0
        self._trial_at = None

    def begin_test(self, now: float) -> None:
        """Note that it is asked something unbilled: the next time is counted from here."""
        self.until = max(self.until, now + self._limits.retest_seconds)

    def tested(self, *, answers: bool) -> None:
        """Hear how an unbilled request to a tripped one went: it permits a trial, no more."""
        if self.state == "tripped" and answers:
            self.state, self._trial_at = "probing", None

    def probed(self, now: float, *, answers: bool, every_seconds: float) -> bool:
        """Hear how the probe of a minute went; says whether it trips an endpoint nobody uses.

        What requests showed since the last probe is better evidence, and a list of models that
        comes says nothing about answers.
        """
        if answers or now - self.lived_at < every_seconds:
            self._probe_failures = 0
            return False
        self._probe_failures += 1
        return self.state == "passing" and self._probe_failures >= self._limits.failures_in_a_row
