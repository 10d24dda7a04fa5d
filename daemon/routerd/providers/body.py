"""The reading of one answer's body, whatever the vendor: find its shape, hand on its events.

Rules of this file: no vendor. Whether a body is a stream its beginning says, whatever was asked for
(see `opening`). A decoder on top of this never raises: what cannot be read is counted in
`outcome.malformed_events`. An event is read by the book, and only what typed decoding refuses is
read again as plain data. An error is looked for in everything that says nothing the wire knows.
Every part that leaves here fits a frame: long texts in several parts, a vendor's own data not
at all where it does not.
"""

from __future__ import annotations

import contextlib
import re
from abc import abstractmethod
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from routerd.domain import Part
from routerd.providers.base import Outcome
from routerd.providers.bounds import MAX_PART_CHARACTERS, is_too_long, split_texts
from routerd.providers.cut_json import whole_items
from routerd.providers.excerpt import BLANKS, is_html, text_excerpt
from routerd.providers.json_text import JSON_ERRORS, read_json, read_json_strictly
from routerd.providers.loose import JsonShape
from routerd.providers.opening import Opening
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES, Event, SseParser
from routerd.providers.surrogates import LOST_NOTE, SurrogateJoiner
from routerd.providers.telling import AnswerTeller
from routerd_proto.frames import TextDelta, ToolCallStarted

__all__ = ["BodyDecoder"]

Shape = TypeVar("Shape", bound=Struct)

END_OF_STREAM: Final = b"[DONE]"
ERROR_NAME: Final = b"error"
BEHIND_NOTE: Final = "what came behind the end of the answer could not be read"
# Where JSON may begin in lines that are none of an event, and how many such places are looked at.
PLAIN_JSON: Final = re.compile(rb"^[ \t]*(?=[{\[]\s*[{\"])", re.MULTILINE)
MAX_PLACES: Final = 100
EVENT_LINE: Final = re.compile(rb"[\r\n](?:data|event):")


class EventParser(Protocol):
    """Cut a stream of one framing into events.

    `starts` is what only such a stream begins with. `problem` says why reading has stopped.
    `stray` is text that stood between the events.
    """

    starts: tuple[bytes, ...]
    problem: str | None
    stray: bytearray

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order."""
        ...

    def end(self) -> list[Event]:
        """Take the end of the stream; what may still be an event comes out."""
        ...


class BodyDecoder(AnswerTeller, Generic[Shape]):
    """Turn the bytes of one answer into parts; a vendor's decoder fills in the hooks.

    Parts go to the list that a hook is given. `events` is the shape of an event. `max_body_bytes`
    bounds a plain answer and a single event: DEFAULT_MAX_EVENT_BYTES, 64 MiB, unless a vendor's
    decoder is told otherwise. `parser` cuts the stream, None for server-sent events.
    `answers_as_events`: a plain answer has the shape of an event.
    """

    answers_as_events: ClassVar[bool] = False

    def __init__(
        self,
        events: JsonShape[Shape],
        vendor: str,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        parser: EventParser | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(vendor, outcome)
        self._shape = events
        self._read = events.read
        self._parser = SseParser(max_body_bytes) if parser is None else parser
        self._max_body_bytes = max_body_bytes
        self._opening = Opening(self._parser.starts, expects_stream=stream, lines=parser is None)
        self._is_stream = False  # as far as that is known
        self._joiner: SurrogateJoiner | None = None
        self._ended = False
        self._fed_bytes = 0
        self._has_events = False
        # Whether the vendor's own mark of a whole answer was seen.
        self._done = False

    # --- what a vendor fills in -------------------------------------------------------------------

    @abstractmethod
    def _take(self, name: bytes, event: Shape, parts: list[Part]) -> bool:
        """Read one event; return False if it says nothing that this wire knows."""

    def _take_answer(self, answer: dict[str, Any], parts: list[Part]) -> None:
        """Read a plain answer; those that are no events are read by their vendor's decoder."""
        self._take_value(b"", answer, parts)
        self._end_plain()

    def _take_answers(self, answers: list[Any], parts: list[Part]) -> None:
        """Read a plain answer that is a list, as far as it is whole: it should hold one."""
        if answers and isinstance(answers[0], dict):
            self._take_answer(answers[0], parts)
        elif answers:
            self._fail("the answer is no object")

    @abstractmethod
    def _end_content(self, parts: list[Part]) -> bool:
        """End what is open in a whole answer, once or more; return whether it calls tools."""

    def _take_end_mark(self, parts: list[Part]) -> None:
        """Take `[DONE]`; most vendors have a better mark of the end."""

    # --- bytes ------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that `data` completes, in order."""
        self._fed_bytes += len(data)
        if not self._is_stream:
            if (begun := self._opening.take(data)) is None:
                self._check_size()
                return []
            data, self._is_stream = begun, True
        parts: list[Part] = []
        parser = self._parser
        self._take_events(parser.feed(data), parts)
        if parser.problem is not None:
            self._take_problem(parser.problem)
        if self._joiner is not None:
            parts = self._joiner.join(parts)
        return parts if self._fed_bytes <= MAX_PART_CHARACTERS else self._bounded(parts)

    def end(self) -> list[Part]:
        """Take the end of the body; what is still whole comes out, and `outcome` is final."""
        if self._ended:
            return []
        self._ended = True
        parts: list[Part] = []
        if self._is_stream:
            # The last event may be cut off: then it is not malformed, only missing.
            malformed = self.outcome.malformed_events
            self._take_events(self._parser.end(), parts)
            self.outcome.malformed_events = malformed
            if not self._done:
                self._look_at_stray(parts)
        else:
            self._read_plain(parts)
        self._close(parts)
        if self._joiner is not None:
            parts = self._joiner.join(parts) + self._joiner.end()
            if self._joiner.lost:
                self._note(LOST_NOTE)
        return self._bounded(parts)

    def _take_problem(self, problem: str) -> None:
        """Take that reading has stopped: of an answer that is whole it says nothing any more."""
        if self.outcome.complete:
            self._note(BEHIND_NOTE)
        else:
            self._fail(problem)

    def _check_size(self) -> None:
        if len(self._opening) > self._max_body_bytes:
            self._opening.whole()
            self._fail(f"the answer is larger than {self._max_body_bytes} bytes")

    def _read_plain(self, parts: list[Part]) -> None:
        body = self._opening.whole().strip(BLANKS)
        if self.outcome.failure is not None:
            return
        if not body:
            self._fail("the answer is empty")
        elif is_html(body):
            # The page alone: what an event behind it says is of an answer.
            page = EVENT_LINE.split(body, 1)[0]
            self._fail(f"the answer is a web page: {text_excerpt(page)}")
        else:
            self._take_whole(body, parts)

    def _bounded(self, parts: list[Part]) -> list[Part]:
        for part in parts:
            if type(part) is not TextDelta or len(part.text) > MAX_PART_CHARACTERS:
                break
        else:
            return parts  # what nearly all of a long answer is
        for position, part in enumerate(parts):
            if isinstance(part, ToolCallStarted) and is_too_long(part):
                self._fail("the answer calls a tool by a name that is too long to be one")
                parts = parts[:position]
                break
        return split_texts(parts)

    # --- events -----------------------------------------------------------------------------------

    def _take_events(self, events: list[Event], parts: list[Part]) -> None:
        read, take = self._read, self._take
        if events:
            self._has_events = True
        for name, data in events:
            try:
                try:
                    event = read(data)
                except JSON_ERRORS:
                    was_read = self._take_odd(name, data, parts)
                else:
                    was_read = take(name, event, parts) or self._take_unknown(name, data)
            except RecursionError:  # nested nearly too deep to be read, and then too deep to use
                was_read = False
            if not was_read:
                self.outcome.malformed_events += 1

    def _take_odd(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        """Read an event that typed decoding refused; return False if it cannot be read.

        An event by the name of `error` is one whatever it holds.
        """
        if data.strip() == END_OF_STREAM:
            self._take_end_mark(parts)
            return True
        try:
            was_read = self._take_value(name, read_json(data), parts)
        except JSON_ERRORS:
            was_read = False
        if not was_read and name == ERROR_NAME:
            self._note_error(data.decode("utf-8", "replace"))
        return was_read

    def _take_value(self, name: bytes, value: Any, parts: list[Part]) -> bool:
        """Read plain data as an event, or as several; return False where it is neither."""
        if isinstance(value, list):
            were_read = [self._take_value(name, item, parts) for item in value]
            return any(were_read)
        event = self._shape.loosely(value)
        if event is None:
            return False
        self._join_surrogates()
        if not self._take(name, event, parts):
            self._look_at_unknown(name, value)
        return True

    def _take_unknown(self, name: bytes, data: bytes) -> bool:
        """Read again what says nothing that this wire knows; it was read, whatever it is."""
        with contextlib.suppress(*JSON_ERRORS):  # typed decoding passes over more than this reads
            self._look_at_unknown(name, read_json(data))
        return True

    def _look_at_unknown(self, name: bytes, value: Any) -> None:
        """Look for an error, as gateways put them into any stream."""
        if not self._find_error(value) and name == ERROR_NAME:
            self._note_error(value)

    def _look_at_stray(self, parts: list[Part]) -> None:
        """Find what stood between the events, or after them, as plain JSON.

        It may be an error; or a whole answer behind remarks, where no event came. Behind one it
        never ends an answer: what was cut must not look whole.
        """
        stray, outcome = bytes(self._parser.stray), self.outcome
        for match in list(PLAIN_JSON.finditer(stray))[-MAX_PLACES:]:
            for item in whole_items(b"[" + stray[match.end() :]):
                if outcome.failure is not None or self._find_error(item):
                    continue
                if isinstance(item, dict) and not (self._has_events or self._done):
                    self._take_answer(item, parts)

    # --- whole answers ----------------------------------------------------------------------------

    def _take_whole(self, body: bytes, parts: list[Part]) -> None:
        try:
            problem = "" if self._take_plain(body, parts) else "the answer is not whole JSON"
        except RecursionError:
            problem = "the answer is nested too deeply"
        if problem:
            self.outcome.malformed_events += 1
            self._fail(problem)

    def _take_plain(self, body: bytes, parts: list[Part]) -> bool:
        """Read a plain answer; return False if it is not whole JSON."""
        if self.answers_as_events and self._take_as_event(body, parts):
            return True
        try:
            value = read_json_strictly(body)
        except JSON_ERRORS:
            self._join_surrogates()
            try:
                value = read_json(body)
            except JSON_ERRORS:
                self._take_answers(whole_items(body), parts)
                return False
        if isinstance(value, dict):
            self._take_answer(value, parts)
        elif isinstance(value, list):
            self._take_answers(value, parts)
        return isinstance(value, dict | list) and value != []

    def _take_as_event(self, body: bytes, parts: list[Part]) -> bool:
        """Read a plain answer by the book as the event that it is; False where that fails."""
        try:
            event = self._read(body)
        except JSON_ERRORS:
            return False
        if not self._take(b"", event, parts):
            self._take_unknown(b"", body)
        self._end_plain()
        return True

    def _end_plain(self) -> None:
        """Take the end of a plain answer."""
        self._done = True

    def _close(self, parts: list[Part]) -> None:
        """Give out what is open at the end of a whole answer; called once or more."""
        outcome = self.outcome
        if outcome.failure is not None or not self._done:
            return
        calls_tools = self._end_content(parts)
        if outcome.failure is not None:
            return
        if outcome.finish in (None, "stop"):
            # Some servers never say why an answer ended, or say `stop` after tool calls.
            outcome.finish = "tool_calls" if calls_tools else "stop"
        outcome.complete = True

    def _join_surrogates(self) -> None:
        """Look for split characters from here on: a lone half of one may have been seen."""
        if self._joiner is None:
            self._joiner = SurrogateJoiner()
