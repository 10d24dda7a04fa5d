"""Server-sent events, cut from a byte stream.

Rules of this file: bytes in, whole events out; no JSON, no vendor, no I/O. It follows the WHATWG
rules: LF, CR LF and CR end a line, also where a chunk ends between them; one byte order mark at
the start is skipped; `:` starts a comment; one space after the colon is not part of the value;
several `data` lines are joined by LF. Nothing else ends a line: U+2028, U+0085 and form feed are
text. A whole read is cut at once, and only odd events are looked at line by line. Two deliberate
differences: an event without data is not reported, and `end` gives out an event whose closing
blank line never came, for its reader to judge. Lines that are none of an event are kept aside:
gateways write errors there.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DEFAULT_MAX_EVENT_BYTES", "Event", "SseParser"]

DEFAULT_MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""The most that is held and read at once: of one event, or of an answer that is not streamed."""

# As numbers: a byte is found in bytes eight times as fast by its number.
LINE_FEED: Final = 10
RETURN: Final = 13
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Of the lines that are none of an event, the last ones are kept: about this much.
MAX_STRAY_BYTES: Final = 64 * 1024
OTHER_FIELDS: Final = (b"id", b"retry", b"")

Event = tuple[bytes, bytes]
"""The event's name, empty where it has none, and its data."""


class SseParser:
    """Cut one stream into events.

    `problem` says why reading has stopped: an event of more than `max_event_bytes` came. `starts`
    is what only a stream begins with. `stray` holds the last lines that are none of an event.
    """

    starts: tuple[bytes, ...] = (b"data:", b"event:", b":", b"id:", b"retry:")

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.problem: str | None = None
        self.stray = bytearray()
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()
        self._between_events = False
        self._at_start = True
        self._after_return = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order."""
        if self._between_events and data.endswith(b"\n\n") and RETURN not in data:
            # Nearly every read is one event of a common shape, or several of the same one.
            if data.startswith(b"data: "):
                if LINE_FEED not in (payload := data[6:-2]):
                    return [(b"", payload)] if payload else []
            elif data.startswith(b"event: "):
                name, _, payload = data[7:-2].partition(b"\ndata: ")
                if payload and LINE_FEED not in payload and LINE_FEED not in name:
                    return [(name, payload)]
            return _cut_alike(data) or self._cut_lines(data)
        events = self._feed_any(data)
        self._between_events = not (
            self._rest or self._at_start or self._after_return or self.problem
        )
        return events

    def end(self) -> list[Event]:
        """Take the end of the stream: the event whose closing blank line is missing, if any."""
        event = self._read_lines(bytes(self._rest))
        self._rest.clear()
        return [] if event is None else [event]

    def _feed_any(self, data: bytes) -> list[Event]:
        if self.problem is not None:
            return []
        if self._at_start:
            data = self._skip_mark(data)
        if self._after_return or RETURN in data:
            data = self._unify_line_ends(data)
        if self._rest:
            whole = self._add_to_rest(data)
            if whole is None:
                return []
            data = whole
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._rest += data
            self._check_size()
            return []
        if end < len(data):
            self._rest += data[end:]
            self._check_size()
            data = data[:end]
        return _cut_alike(data) or self._cut_lines(data)

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
            self.problem = f"an event of the answer is larger than {self._max_event_bytes} bytes"
            self._rest.clear()

    def _cut_lines(self, whole: bytes) -> list[Event]:
        """Read whole events of any shape, line by line."""
        blocks = whole[:-2].split(b"\n\n")
        return [event for block in blocks if (event := self._read_lines(block)) is not None]

    def _read_lines(self, block: bytes) -> Event | None:
        name = b""
        values: list[bytes] = []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                values.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
            elif field not in OTHER_FIELDS:
                self._keep_stray(line)
        data = b"\n".join(values)
        return (name, data) if data else None

    def _keep_stray(self, line: bytes) -> None:
        stray = self.stray
        stray += line[-MAX_STRAY_BYTES:] + b"\n"
        if len(stray) > 2 * MAX_STRAY_BYTES:
            del stray[:-MAX_STRAY_BYTES]


def _cut_alike(data: bytes) -> list[Event] | None:
    """Cut events that all have the same common shape at once; None where one has another.

    They are one line of data, or a name and one line of data.
    """
    events: list[Event] = []
    if data.startswith(b"data: "):
        for payload in data[6:-2].split(b"\n\ndata: "):
            if LINE_FEED in payload:
                return None
            if payload:
                events.append((b"", payload))
        return events
    if not data.startswith(b"event: "):
        return None
    for block in data[7:-2].split(b"\n\nevent: "):
        name, _, payload = block.partition(b"\ndata: ")
        if not payload or LINE_FEED in payload or LINE_FEED in name:
            return None
        events.append((name, payload))
    return events
