"""What headers tell of an answer: by which id its provider knows it, and how long it took.

Rules of this file: pure, and cheap, since every answer passes through here. The names differ by
vendor; nothing else of a header is kept. An id is what a vendor's support asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from routerd.providers.waiting import number
from routerd.telemetry.plain import as_code

__all__ = ["HeadersTold", "read_told"]

# By name in lower case. Azure's own comes before the one that it passes through.
REQUEST_IDS: Final = {
    b"apim-request-id": 0,
    b"x-request-id": 1,
    b"request-id": 1,
    b"x-amzn-requestid": 1,
    b"x-debug-trace-id": 1,
}
# In milliseconds; Google's says it among other things.
TIMES: Final = (
    b"openai-processing-ms",
    b"x-amzn-bedrock-invocation-latency",
    b"server-timing",
)
KNOWN: Final = frozenset((*REQUEST_IDS, *TIMES))
DURATION: Final = re.compile(r"(?:^|[;,\s])dur=([0-9.]+)")
MOST_MS: Final = 86_400_000


class HeadersTold(NamedTuple):
    """The id that the provider gave the request, and its own time for it in milliseconds."""

    request_id: str | None = None
    took_ms: int | None = None


NOTHING: Final = HeadersTold()


def read_told(headers: Mapping[bytes, bytes]) -> HeadersTold:
    """Read the headers of an answer or an error, by their names in lower case."""
    if KNOWN.isdisjoint(headers):
        return NOTHING
    ids = [
        (rank, request_id)
        for name, rank in REQUEST_IDS.items()
        if name in headers and (request_id := as_code(headers[name].decode("latin-1"))) is not None
    ]
    times = [
        took_ms
        for name in TIMES
        if name in headers
        and (took_ms := _milliseconds(headers[name].decode("latin-1"))) is not None
    ]
    return HeadersTold(min(ids)[1] if ids else None, times[0] if times else None)


def _milliseconds(text: str) -> int | None:
    match = DURATION.search(text)
    value = number(match[1] if match else text)
    return round(value) if value is not None and 0 <= value <= MOST_MS else None
