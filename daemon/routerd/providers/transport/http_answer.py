"""Reading one answer of HTTP/1: bytes in, a head and pieces of its body out.

Rules of this file: pure, and no I/O. Bytes may be cut anywhere. What makes it unclear where the
answer ends is an error; what is only untidy is not (lines that end without a carriage return, a
header that goes on in the next line, spaces behind a chunk's size), because vendors' gateways do it
and other clients read it. Pieces that came before an error stay.

aiohttp's parser would do as well, but every chunk goes through eight more functions of its stream
there, and a stream of a model is nothing but chunks (`docs/performance.md`).
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import Final

__all__ = ["AnswerParser", "BrokenBodyError", "BrokenHeadError"]

Headers = tuple[tuple[bytes, bytes], ...]

BEGINNING: Final = b"HTTP/1."
HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
STATUS: Final = re.compile(rb"HTTP/1\.([01]) +([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
HEADER: Final = re.compile(
    rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\r\n\0]*[^\r\n\0 \t])?)[ \t]*\r?$", re.MULTILINE
)
FOLD: Final = re.compile(rb"\r?\n[ \t]+")
LENGTH: Final = re.compile(rb"[0-9]{1,18}")
CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?")
MOST_OF_A_LINE: Final = 8_192
MOST_OF_TRAILERS: Final = 8_192
LEAST_FINAL: Final = 200
SWITCHING_PROTOCOLS: Final = 101
WITHOUT_BODY: Final = frozenset({SWITCHING_PROTOCOLS, 204, 304})
UNTIL_THE_END: Final = -1
NAME, VALUE = itemgetter(0), itemgetter(1)


class BrokenHeadError(ValueError):
    """What came is no head of an answer."""


class BrokenBodyError(ValueError):
    """What came does not go on with the body that was announced."""


class AnswerParser:
    """Read one answer; `has_body` is False for that to a HEAD.

    `status` is 0 until the head of the final answer is here. `names` has its headers by their names
    in lower case, of several by one name the last. `pieces` are what came of the body and
    was not taken, of `buffered` bytes. `complete`: all of it is here; `left_over`: and more than
    that. `keeps_open` is whether the connection may carry another answer then.
    """

    __slots__ = (
        "_after_chunk",
        "_has_body",
        "_in_trailers",
        "_is_chunked",
        "_left",
        "_most_lines",
        "_most_of_a_line",
        "_rest",
        "buffered",
        "complete",
        "headers",
        "is_old",
        "keeps_open",
        "left_over",
        "names",
        "pieces",
        "status",
    )

    def __init__(self, max_header_bytes: int, max_headers: int, *, has_body: bool = True) -> None:
        self._most_of_a_line = max_header_bytes
        self._most_lines = max_headers
        self._has_body = has_body
        self._rest = b""
        self._is_chunked = self._after_chunk = self._in_trailers = False
        # Bytes that are missing of the body, or of its present chunk.
        self._left = 0
        self.status = 0
        self.headers: Headers = ()
        self.names: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.is_old = self.complete = self.left_over = False
        self.keeps_open = True

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection ends the body."""
        return self._left == UNTIL_THE_END

    def take(self) -> bytes:
        """Return all that came of the body, in one piece."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.buffered = 0
        return data

    def feed(self, data: bytes) -> None:
        """Take what came; raises BrokenHeadError or BrokenBodyError."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        while not self.status:
            found = self._read_head(data)
            if found is None:
                self._rest = data
                return
            data = data[found:]
        if self.complete:
            self.left_over = self.left_over or bool(data)
        elif self._is_chunked:
            self._read_chunks(data)
        else:
            self._read_plain(data)

    # --- the head -----------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> int | None:
        """Read one head; returns where it ends, None where it goes on."""
        start = 0 if data.startswith(BEGINNING) else _beginning_of(data)
        end = HEAD_END.search(data, start)
        if end is None:
            if len(data) > self._most_of_a_line * 2:
                raise BrokenHeadError("its head is too long")
            return None
        status = STATUS.match(data, start)
        if status is None:
            raise BrokenHeadError("its first line says no status")
        code = int(status[2])
        # An interim answer, such as 103, is followed by the one that counts.
        if code >= LEAST_FINAL or code == SWITCHING_PROTOCOLS:
            self.is_old = status[1] == b"0"
            self._read_headers(data[status.end() : end.start()])
            self.status = code
            self._frame()
        return end.end()

    def _read_headers(self, block: bytes) -> None:
        lines = block.count(b"\n") + 1 if block else 0
        found = HEADER.findall(block)
        if len(found) != lines:
            block = FOLD.sub(b" ", block)
            lines = block.count(b"\n") + 1
            found = HEADER.findall(block)
            if len(found) != lines:
                raise BrokenHeadError("one of its headers is none")
        if lines > self._most_lines:
            raise BrokenHeadError("it has too many headers")
        if len(block) > self._most_of_a_line and any(
            len(name) + len(value) > self._most_of_a_line for name, value in found
        ):
            raise BrokenHeadError("one of its headers is too long")
        self.headers = tuple(found)
        self.names = dict(zip(map(bytes.lower, map(NAME, found)), map(VALUE, found), strict=True))

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header, by its name in lower case."""
        if name not in self.names:
            return []
        if len(self.names) == len(self.headers):  # no name came twice, as nearly always
            return [self.names[name]]
        return [value for given, value in self.headers if given.lower() == name]

    def _frame(self) -> None:
        """Find out where the body ends."""
        names = self.names
        if b"connection" in names or self.is_old:
            options = b",".join(self.values(b"connection")).lower()
            self.keeps_open = b"close" not in options and (
                not self.is_old or b"keep-alive" in options
            )
        if self.status in WITHOUT_BODY or not self._has_body:
            self.complete = True
            # Of an answer to a HEAD some servers send the body all the same.
            self.keeps_open = self.keeps_open and self.status != SWITCHING_PROTOCOLS
        elif b"transfer-encoding" in names:
            codings = b",".join(self.values(b"transfer-encoding")).lower().split(b",")
            self._is_chunked = codings[-1].strip() == b"chunked"
            if not self._is_chunked:
                self._goes_on_until_the_end()
            # Whoever says both may mean either, and the next answer is not told from this one.
            if b"content-length" in names:
                self.keeps_open = False
        elif b"content-length" in names:
            length, *others = self.values(b"content-length")
            if LENGTH.fullmatch(length) is None or others.count(length) < len(others):
                raise BrokenHeadError("its length is none")
            self._left = int(length)
            self.complete = not self._left
        else:
            self._goes_on_until_the_end()

    def _goes_on_until_the_end(self) -> None:
        self._left = UNTIL_THE_END
        self.keeps_open = False

    # --- the body -----------------------------------------------------------------------------

    def _read_plain(self, data: bytes) -> None:
        """Read a body of so many bytes, or one that the end of the connection ends."""
        left, size = self._left, len(data)
        if not data:
            return
        if left != UNTIL_THE_END:
            if size > left:
                data, size, self.left_over = data[:left], left, True
            self._left = left - size
            self.complete = size == left
        self.pieces.append(data)
        self.buffered += size

    def _read_chunks(self, data: bytes) -> None:
        position, end, left = 0, len(data), self._left
        while not self._in_trailers:
            if position == end:
                self._left = left
                return
            if left:
                stop = position + left
                self.pieces.append(data[position:stop])
                if stop > end:
                    self.buffered += end - position
                    self._left = stop - end
                    return
                self.buffered += left
                position, left = stop, 0
                # Nearly always its line end is here too; else it is read as a line, later.
                self._after_chunk = not data.startswith(b"\r\n", position)
                position += 0 if self._after_chunk else 2
            line_end = data.find(b"\n", position)
            if line_end < 0:
                self._left = 0
                self._wait_for_line(data[position:])
                return
            left = self._read_line(data[position:line_end])
            position = line_end + 1
        self._left = 0
        self._read_trailers(data[position:])

    def _wait_for_line(self, rest: bytes) -> None:
        self._rest = rest
        if self._after_chunk and rest not in (b"", b"\r"):
            raise BrokenBodyError("a chunk is longer than it said")
        if len(rest) > MOST_OF_A_LINE:
            raise BrokenBodyError("the line of a chunk is too long")

    def _read_line(self, line: bytes) -> int:
        """Read a line between chunks; returns the size of the chunk that follows, 0 for none."""
        if self._after_chunk:
            if line not in (b"\r", b""):
                raise BrokenBodyError("a chunk is longer than it said")
            self._after_chunk = False
            return 0
        size = CHUNK.fullmatch(line)
        if size is None:
            raise BrokenBodyError("the size of a chunk is none")
        left = int(size[1], 16)
        self._in_trailers = not left
        return left

    def _read_trailers(self, data: bytes) -> None:
        """Read on to the line without anything; what stands before it is of no use here."""
        if data.startswith((b"\r\n", b"\n")):
            end = data.index(b"\n") + 1
        else:
            found = HEAD_END.search(data)
            if found is None:
                if len(data) > MOST_OF_TRAILERS:
                    raise BrokenBodyError("what follows its body is too long")
                self._rest = data
                return
            end = found.end()
        self.complete = True
        self.left_over = len(data) > end


def _beginning_of(data: bytes) -> int:
    """Return where a head begins behind empty lines: what is left of the body before, say."""
    start = 0
    while data.startswith((b"\r\n", b"\n"), start):
        start = data.index(b"\n", start) + 1
    beginning = data[start : start + len(BEGINNING)]
    if not BEGINNING.startswith(beginning) and beginning != b"\r":
        raise BrokenHeadError("it is no HTTP/1")
    return start
