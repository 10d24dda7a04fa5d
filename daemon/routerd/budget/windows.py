"""The stretches of time that budgets and free tiers are for.

Rules of this file: pure, the time passed in as seconds since the epoch. A day and a month begin
where their time zone says, also where the clocks are changed. A rolling window is cut into steps; a
step counts until all of it lies outside the window, so that too much is counted for a moment and
never too little.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

__all__ = ["Span", "Window", "parse_window", "read_zone"]

STEPS: Final = 60
SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}


class Span(NamedTuple):
    """A stretch in which amounts are added up together.

    It takes amounts from `start` up to, not including, `until`, and counts up to `leaves`.
    """

    start: float
    until: float
    leaves: float


class Window(Struct, frozen=True):
    """A day, a month, or any `seconds` in a row.

    `begins` is when a day begins, in minutes after midnight of the zone.
    """

    kind: Literal["day", "month", "rolling"]
    zone: tzinfo = UTC
    seconds: int = 0
    begins: int = 0

    @property
    def days(self) -> int:
        """The days of UTC that a window may touch."""
        if self.kind == "rolling":
            return -(-self.seconds // 86_400) + 2
        return 2 if self.kind == "day" else 33

    @property
    def step(self) -> int:
        """The seconds that a rolling window adds up together."""
        return max(1, self.seconds // STEPS)

    def span(self, now: float) -> Span:
        """Return the stretch that takes what happens now."""
        if self.kind == "rolling":
            step = self.step
            start = now // step * step
            return Span(start, start + step, start + step + self.seconds)
        local = datetime.fromtimestamp(now, self.zone) - timedelta(minutes=self.begins)
        start = self._begin(local.year, local.month, local.day if self.kind == "day" else 1)
        # Where clocks go back, a time just before the edge may look like one just after it.
        if start > now:
            before = local - timedelta(days=1)
            start = self._begin(before.year, before.month, before.day)
        following = datetime.fromtimestamp(start, self.zone) + timedelta(
            days=1 if self.kind == "day" else 32, minutes=-self.begins
        )
        until = self._begin(
            following.year, following.month, following.day if self.kind == "day" else 1
        )
        return Span(start, until, until)

    def earliest(self, now: float) -> float:
        """Return the time from which on amounts count now."""
        if self.kind == "rolling":
            return (now - self.seconds) // self.step * self.step
        return self.span(now).start

    def __str__(self) -> str:
        """Write the window as the configuration does."""
        if self.kind != "rolling":
            return self.kind
        for unit in ("d", "h", "m"):
            count, rest = divmod(self.seconds, SECONDS[unit])
            if not rest:
                return f"{count}{unit}"
        return f"{self.seconds}s"

    def _begin(self, year: int, month: int, day: int) -> float:
        hours, minutes = divmod(self.begins, 60)
        return datetime(year, month, day, hours, minutes, tzinfo=self.zone).timestamp()


def parse_window(text: str, zone: tzinfo = UTC) -> Window:
    """Read `day`, `month`, or a count of minutes, hours or days such as `24h`."""
    if text == "day":
        return Window("day", zone)
    if text == "month":
        return Window("month", zone)
    return Window("rolling", zone, int(text[:-1]) * SECONDS[text[-1]])


def read_zone(name: str) -> tzinfo:
    """Return a time zone of the IANA database; ValueError where there is none of that name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f"{name!r} is no known time zone; expected a name of the IANA database such as "
            "Europe/Berlin"
        ) from None
