"""Server-sent events, cut from a byte stream.

Rules of this file: bytes in, whole events out; no JSON, no vendor, no I/O. It follows the WHATWG
rules: LF, CR LF and CR end a line, also where a chunk ends between them; one byte order mark at
the start is skipped; `:` starts a comment; one space after the colon is not part of the value;
several `data` lines are joined by LF. Nothing else ends a line: U+2028, U+0085 and form feed are
text. Two deliberate differences: an event without data is not reported, and `end` gives out an
event whose closing blank line never came, for its reader to judge.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DEFAULT_MAX_EVENT_BYTES", "Event", "SseParser"]

DEFAULT_MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""The most that is held and read at once: of one event, or of an answer that is not streamed."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Event = tuple[bytes, bytes]
"""The event's name, empty where it has none, and its data."""


class SseParser:
    """Cut one stream into events.

    An event of more than `max_event_bytes` sets `overflowed`; from then on nothing is read.
    """

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.overflowed = False
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()
        self._between_events = False
        self._at_start = True
        self._after_return = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order."""
        if (
            self._between_events
            and data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and b"\r" not in data
        ):
            # Nearly every read is whole events of one `data` line each, and most are one event: two
            # line ends an event.
            if data.count(b"\n") == 2 and len(data) > 8:
                return [(b"", data[6:-2])]
            payloads = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") == 2 * len(payloads):
                return [(b"", payload) for payload in payloads if payload]
        events = self._feed_any(data)
        self._between_events = not (
            self._rest or self._at_start or self._after_return or self.overflowed
        )
        return events

    def end(self) -> list[Event]:
        """Take the end of the stream: the event whose closing blank line is missing, if any."""
        event = _read_lines(bytes(self._rest))
        self._rest.clear()
        return [] if event is None else [event]

    def _feed_any(self, data: bytes) -> list[Event]:
        if self.overflowed:
            return []
        if self._at_start:
            data = self._skip_mark(data)
        if self._after_return or b"\r" in data:
            data = self._unify_line_ends(data)
        if self._rest:
            whole = self._add_to_rest(data)
            if whole is None:
                return []
            data = whole
        blocks = data.split(b"\n\n")
        if tail := blocks.pop():
            self._rest += tail
            self._check_size()
        return _read_blocks(blocks)

    def _skip_mark(self, data: bytes) -> bytes:
        data = bytes(self._rest) + data
        self._rest.clear()
        if len(data) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(data):
            self._rest += data
            return b""
        self._at_start = False
        return data.removeprefix(BYTE_ORDER_MARK)

    def _unify_line_ends(self, data: bytes) -> bytes:
        if self._after_return and data:
            data = data.removeprefix(b"\n")
            self._after_return = False
        if data.endswith(b"\r"):
            self._after_return = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _add_to_rest(self, data: bytes) -> bytes | None:
        """Return all bytes that wait once they hold a whole event.

        Only the new ones are searched, so that one large event is not searched again and again.
        """
        rest = self._rest
        searched = len(rest) - 1
        rest += data
        if rest.find(b"\n\n", searched) < 0:
            self._check_size()
            return None
        whole = bytes(rest)
        rest.clear()
        return whole

    def _check_size(self) -> None:
        if len(self._rest) > self._max_event_bytes:
            self.overflowed = True
            self._rest.clear()


def _read_blocks(blocks: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for block in blocks:
        # The other common shape is read without looking at single lines.
        if block.startswith(b"event: "):
            name, _, payload = block.partition(b"\ndata: ")
            if payload and b"\n" not in payload and b"\n" not in name:
                events.append((name[7:], payload))
                continue
        if (event := _read_lines(block)) is not None:
            events.append(event)
    return events


def _read_lines(block: bytes) -> Event | None:
    name = b""
    values: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            values.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    data = b"\n".join(values)
    return (name, data) if data else None
