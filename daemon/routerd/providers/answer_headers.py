"""What headers tell of an answer: by which id its provider knows it, and how long it took.

Rules of this file: pure, and cheap, since every answer passes through here. The names differ by
vendor; nothing else of a header is kept. An id is what a vendor's support asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
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
TIMES: Final = frozenset(
    {b"openai-processing-ms", b"x-amzn-bedrock-invocation-latency", b"server-timing"}
)
# How those names end, in whatever case: looking at that costs nothing, and most others differ.
ENDS: Final = frozenset(
    bytes(pair)
    for name in (*REQUEST_IDS, *TIMES)
    for pair in product(*({byte, *bytes([byte]).upper()} for byte in name[-2:]))
)
DURATION: Final = re.compile(r"(?:^|[;,\s])dur=([0-9.]+)")
MOST_MS: Final = 86_400_000


class HeadersTold(NamedTuple):
    """The id that the provider gave the request, and its own time for it in milliseconds."""

    request_id: str | None = None
    took_ms: int | None = None


NOTHING: Final = HeadersTold()


def read_told(headers: Iterable[tuple[bytes, bytes]]) -> HeadersTold:
    """Read the headers of an answer or an error; `headers` are as they came, in whatever case."""
    found: list[tuple[int, str]] = []
    took_ms = None
    for name, value in headers:
        if name[-2:] not in ENDS:
            continue
        known = name.lower()
        if known in REQUEST_IDS:
            request_id = as_code(value.decode("latin-1"))
            if request_id is not None:
                found.append((REQUEST_IDS[known], request_id))
        elif known in TIMES:
            took_ms = _milliseconds(value.decode("latin-1"))
    if not found and took_ms is None:
        return NOTHING
    return HeadersTold(min(found)[1] if found else None, took_ms)


def _milliseconds(text: str) -> int | None:
    match = DURATION.search(text)
    value = number(match[1] if match else text)
    return round(value) if value is not None and 0 <= value <= MOST_MS else None
