"""How long a provider asks to wait before the next request.

Rules of this file: no clock. Times of day count from the answer's own `date` header, which no
clock skew can spoil; without that header they are not read. Seconds everywhere. The order: the
vendors' explicit headers, then the message, then the reset of a limit that is used up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["MAX_WAIT_SECONDS", "answered_at", "duration", "number", "reset_wait", "retry_after"]

# Longer than this is not a wait but a mistake, or a quota: who reads it need not tell them apart.
MAX_WAIT_SECONDS: Final = 86_400.0
UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
IN_MESSAGE: Final = re.compile(
    r"(?:try again|retry) (?:in|after) "
    r"((?:\d+(?:\.\d+)?(?:ms|[mhd]|s(?!econd)))+|\d+(?:\.\d+)? ?s)(?:econds?)?"
)
REMAINING: Final = re.compile(r"(.*ratelimit-)(?:(.+)-)?remaining(?:-(.+))?")
MILLISECOND_EPOCH: Final = 1e12
SECOND_EPOCH: Final = 1e9


def retry_after(
    headers: Mapping[str, str], message: str = "", exhausted: str | None = None
) -> float | None:
    """Return the seconds to wait, None where the provider does not say.

    `exhausted` names the limit that the error itself says is used up, such as `tokens`.
    """
    now = answered_at(headers)
    milliseconds = number(headers.get("retry-after-ms", ""))
    readings: tuple[Callable[[], float | None], ...] = (
        lambda: None if milliseconds is None else milliseconds / 1000,
        lambda: _header_wait(headers.get("retry-after", ""), now),
        lambda: _message_wait(message),
        lambda: _reset_wait(headers, now, exhausted),
    )
    for read in readings:
        seconds = read()
        if seconds is not None and seconds > 0:
            return min(seconds, MAX_WAIT_SECONDS)
    return None


def answered_at(headers: Mapping[str, str]) -> datetime | None:
    """Return when an answer was written by its provider's clock, None where it does not say."""
    return _date(headers.get("date", ""))


def duration(text: str) -> float | None:
    """Read a duration such as `1h2m3.5s` or `26ms`, or a plain number of seconds."""
    text = text.strip()
    if (seconds := number(text)) is not None:
        return seconds
    pieces = DURATION.findall(text)
    if not pieces or "".join(value + unit for value, unit in pieces) != text:
        return None
    return sum(float(value) * UNIT_SECONDS[unit] for value, unit in pieces)


def number(text: str) -> float | None:
    """Read a number, None where there is none or it has no end."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> datetime | None:
    """Read an HTTP date or a time of RFC 3339."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            time = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return None


def _until(time: datetime | None, now: datetime | None) -> float | None:
    return None if time is None or now is None else (time - now).total_seconds()


def _header_wait(value: str, now: datetime | None) -> float | None:
    seconds = number(value)
    return _until(_date(value), now) if seconds is None else seconds


def _message_wait(message: str) -> float | None:
    match = IN_MESSAGE.search(message.lower())
    return duration(match[1].replace(" ", "")) if match else None


def _reset_wait(
    headers: Mapping[str, str], now: datetime | None, exhausted: str | None
) -> float | None:
    """Return the longest reset among the limits that are used up."""
    waits = []
    for name, value in headers.items():
        match = REMAINING.fullmatch(name)
        if match is None:
            continue
        remaining = number(value)
        dimension = match[2] or match[3]
        if (remaining is not None and remaining <= 0) or (dimension and dimension == exhausted):
            reset = headers.get(name.replace("remaining", "reset"), "")
            if (seconds := reset_wait(reset, now)) is not None:
                waits.append(seconds)
    return max(waits, default=None)


def reset_wait(value: str, now: datetime | None) -> float | None:
    """Return the seconds until the moment of a reset, None where that cannot be told."""
    seconds = duration(value)
    if seconds is None:
        return _until(_date(value), now)
    if seconds < SECOND_EPOCH:
        return seconds
    moment = seconds / 1000 if seconds >= MILLISECOND_EPOCH else seconds
    return None if now is None else moment - now.timestamp()
