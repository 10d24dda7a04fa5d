"""The beginning of a body, which says whether it is a stream or one answer that comes whole.

Rules of this file: pure, and no vendor. A server that was asked for a stream may answer plainly,
and the other way round, so the first bytes decide. Gateways write lines of their own before a
stream: remarks, warnings, half an answer. An event behind them makes a stream of it, but never of a
web page, whose scripts may hold lines that look like one. A warning in a few tags is no page.
"""

from __future__ import annotations

import re
from typing import Final

from routerd.providers.excerpt import BLANKS

__all__ = ["Opening"]

LONGEST_START: Final = 6  # of what a stream of any framing begins with
REMARK, END_OF_REMARK = b"<!--", b"-->"
# A line of an event behind what looked like a plain answer: no JSON has one.
LATE_EVENT: Final = re.compile(rb"[\r\n](?:data|event):[ \t]*[\w{\[]")
# Behind a tag it has to be one whose data is an object, and no tag of a web page may come before.
EVENT_OR_PAGE: Final = re.compile(
    rb"(?P<page><(?:!doctype|html|head|body|title|script|style)\b)"
    rb"|[\r\n](?:event:[ \t]?[\w.-]{1,40}[\r\n]{1,2})?data:[ \t]?\{[ \t]?\"",
    re.IGNORECASE,
)
LONGEST_MARK: Final = 80  # of what the patterns find


class Opening:
    """A body until it is known to be a stream, and as long as it is none.

    `starts` is what only a stream begins with; `lines` says that its events are lines.
    """

    def __init__(self, starts: tuple[bytes, ...], *, expects_stream: bool, lines: bool) -> None:
        self._starts = starts
        self._expects_stream = expects_stream
        self._lines = lines
        self._body = bytearray()
        self._is_plain = self._is_page = False
        self._searched = 0

    def __len__(self) -> int:
        return len(self._body)

    def take(self, data: bytes) -> bytes | None:
        """Add what came; return all of it once it is a stream."""
        self._body += data
        if not (self._begins_stream() or self._goes_on_as_stream()):
            return None
        return self.whole()

    def whole(self) -> bytes:
        """Return all that came, and forget it."""
        body = bytes(self._body)
        self._body.clear()
        return body

    def _begins_stream(self) -> bool:
        if self._is_plain or not self._skip_remarks():
            return False
        body = self._body
        if body.startswith(self._starts):
            return True
        if body and self._expects_stream:
            self._is_plain = body.startswith((b"{", b"[", b"<"))
            return not self._is_plain
        self._is_plain = len(body) >= LONGEST_START
        return False

    def _skip_remarks(self) -> bool:
        """Leave out blanks and remarks; return False while one may still go on."""
        while True:
            if not self._searched:
                self._body = self._body.lstrip(BLANKS)
            body = self._body
            if not body.startswith(REMARK):
                return not (body and REMARK.startswith(body))
            end = body.find(END_OF_REMARK, max(self._searched, len(REMARK)))
            if end < 0:
                self._searched = max(0, len(body) - len(END_OF_REMARK))
                return False
            del body[: end + len(END_OF_REMARK)]
            self._searched = 0

    def _goes_on_as_stream(self) -> bool:
        """Return whether an event came after all, behind what began as no stream."""
        if not (self._is_plain and self._expects_stream) or self._is_page:
            return False
        behind_tag = self._body.startswith(b"<")
        if behind_tag and not self._lines:
            return False
        pattern = EVENT_OR_PAGE if behind_tag else LATE_EVENT
        found = pattern.search(self._body, self._searched)
        self._searched = max(0, len(self._body) - LONGEST_MARK)
        self._is_page = found is not None and "page" in pattern.groupindex and bool(found["page"])
        return found is not None and not self._is_page
