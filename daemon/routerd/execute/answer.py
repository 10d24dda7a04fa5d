"""Reading one answer: from the bytes of its body to the parts the caller gets.

Rules of this file: parts of a streamed answer go on as they come. Those of an answer that the
caller gets in one piece are held back until it is whole, because until then another provider may
still give a better one. An answer whose end mark is missing is whole if the vendor's rules say so.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from routerd.cache.collected import joined
from routerd.domain import Attempt, Part
from routerd.errors import ErrorClass, Failure
from routerd.execute.delivery import Delivery, written_bytes
from routerd.execute.watchdog import Watchdog
from routerd.providers.base import AnswerDecoder, Outcome
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd.providers.transport import Answer, content_chunks
from routerd.settings import Timeouts

__all__ = ["AnswerReader"]

# After the end mark only the end of the body is missing. Reading it keeps the connection.
END_OF_BODY_SECONDS: Final = 0.1
# After a finish reason only the usage and the end mark are; some servers send neither.
END_MARK_SECONDS: Final = 2.0
NEVER: Final = float("inf")
# Fewer in a window are no trickle: a model that thinks may say a word in between.
LEAST_PARTS: Final = 2
NO_END_MARK: Final = "the provider's end mark never came; the answer was whole by its finish reason"


class AnswerReader:
    """Read one answer with status 200; `outcome` is what it amounts to so far.

    `stream` says that it comes in parts, `whole` that its caller gets it in one piece.
    """

    # Until when signs of life are believed, on the clock of the watchdog.
    thinking_until: float | None = None
    # When the throughput of a stream is looked at next, and what had come when its window began.
    _window_ends = NEVER
    _bytes_before = 0
    _parts_since = 0
    _whole_until: float | None = None
    _complete_until: float | None = None
    _finish_is_last = True

    def __init__(
        self,
        decoder: AnswerDecoder,
        attempt: Attempt,
        delivery: Delivery,
        watchdog: Watchdog,
        *,
        stream: bool,
        whole: bool,
        timeouts: Timeouts,
    ) -> None:
        self.outcome: Outcome = decoder.outcome
        self._decoder = decoder
        self._attempt = attempt
        self._delivery = delivery
        self._watchdog = watchdog
        self._stream = stream
        self._whole = whole
        self._timeouts = timeouts
        self._between_parts = timeouts.between_parts
        self._held_back: list[Part] = []

    async def read(self, answer: Answer) -> None:
        """Hand on parts as they come, to the end of the body or an error inside it."""
        outcome = self.outcome
        async for data in content_chunks(answer):
            had_finish = outcome.finish is not None
            parts = self._decoder.feed(data)
            del data  # or it would be held until the next comes
            if parts:
                # Some servers give a reason with every piece.
                self._finish_is_last = not had_finish
                if self._take(parts):
                    await self._wait_for_caller()
            if outcome.failure is not None:
                return
            if outcome.complete or (
                self._stream and (not parts or outcome.finish is not None)
            ):  # for an answer in one piece one limit holds from sending to the end
                self._watch_silence()
            if outcome.failure is not None:
                return
        parts = self._decoder.end()
        if parts and self._take(parts):
            await self._wait_for_caller()

    def take_as_whole(self) -> bool:
        """Take what came before a cut or a silence as the answer, if it is a whole one.

        If it is not, `outcome` stays what it was: what the cut did to the last bytes is not the
        provider's doing.
        """
        before = structs.replace(self.outcome, notes=[*self.outcome.notes])
        parts = self._decoder.end()
        if not self.outcome.complete or self.outcome.failure is not None:
            self.outcome = before
            return False
        if parts:
            self._count(parts)
            self._held_back += parts
        self.outcome.notes.append(NO_END_MARK)
        return True

    def finish(self) -> None:
        """Send what was held back of an answer that is whole."""
        if self._held_back:
            # What came in a thousand parts need not be read as a thousand.
            is_one = self._stream and self._whole
            parts = joined(self._held_back) if is_one else self._held_back
            self._delivery.send(parts, are_last=True)
        self._delivery.end()

    def _take(self, parts: list[Part]) -> bool:
        """Hand on parts; returns whether the caller reads so slowly that it is to be waited for."""
        self._count(parts)
        watchdog, delivery = self._watchdog, self._delivery
        if not self._stream or watchdog.expired is not None:
            # The time may be over in the very turn in which the bytes come: what is cancelled in
            # its next step must not commit the call.
            self._held_back += parts
            return False
        if self._whole:
            self._hold_back(parts)
        else:
            delivery.send(parts)
        now = watchdog.expect("content", self._between_parts)
        self._parts_since += 1
        if now >= self._window_ends:
            self._look_at_throughput(now)
        elif self._window_ends == NEVER and self._timeouts.least_bytes_per_second:
            self._begin_window(now)
        return delivery.congested

    async def _wait_for_caller(self) -> None:
        """Wait until it has read enough: that is no silence of the provider's, and no trickle."""
        began_at = self._watchdog.pause()
        await self._delivery.drain()
        now = self._watchdog.expect("content", self._between_parts)
        self._window_ends += now - began_at

    def _hold_back(self, parts: list[Part]) -> None:
        self._held_back += parts
        if self._delivery.output_bytes > DEFAULT_MAX_EVENT_BYTES:
            text = f"the answer is larger than {DEFAULT_MAX_EVENT_BYTES} bytes"
            self.outcome.failure = Failure(ErrorClass.BAD_ANSWER, text)

    def _begin_window(self, now: float) -> None:
        self._window_ends = now + self._timeouts.throughput_seconds
        self._bytes_before, self._parts_since = self._delivery.output_bytes, 0

    def _look_at_throughput(self, now: float) -> None:
        """Cut a stream that trickles: parts come, and hardly anything is in them.

        Where only signs of life come, a model thinks.
        """
        came = self._delivery.output_bytes - self._bytes_before
        seconds = self._timeouts.throughput_seconds
        least = self._timeouts.least_bytes_per_second * seconds
        if self._parts_since >= LEAST_PARTS and came < least and self.outcome.finish is None:
            text = f"the provider sent {came} bytes of content in {seconds:g} s"
            self.outcome.failure = Failure(ErrorClass.TIMEOUT, text, phase="throughput")
        else:
            self._begin_window(now)

    def _count(self, parts: list[Part]) -> None:
        attempt = self._attempt
        attempt.last_content_us = now_us = self._delivery.elapsed_us()
        if attempt.first_content_us is None:
            attempt.first_content_us = now_us
        self._delivery.output_bytes += written_bytes(parts)

    def _watch_silence(self) -> None:
        """Say how long the next bytes may take; what ends an answer is waited for once."""
        watchdog, outcome = self._watchdog, self.outcome
        if outcome.complete:
            if self._complete_until is None:
                self._complete_until = watchdog.now() + END_OF_BODY_SECONDS
            watchdog.expect("content", self._complete_until - watchdog.now())
        elif outcome.finish is not None and self._finish_is_last:
            if self._whole_until is None:
                self._whole_until = watchdog.now() + END_MARK_SECONDS
            watchdog.expect("content", self._whole_until - watchdog.now())
        elif self._attempt.first_content_us is not None:
            now = watchdog.alive(self._between_parts)
            if now >= self._window_ends:
                self._look_at_throughput(now)
        elif self.thinking_until is not None:
            watchdog.alive(min(self._timeouts.first_content, self.thinking_until - watchdog.now()))
