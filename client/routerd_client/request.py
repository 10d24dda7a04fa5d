"""One call or command under way: what was sent, what came back, and whether to send it again.

Rules of this file: no I/O and no waiting. The two drivers, blocking and asyncio, ask here what a
frame or a lost connection means.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from routerd_client.errors import Failed, Lost, RouterdError, broken_protocol, error_from
from routerd_client.reply import Reply, assemble
from routerd_proto import ErrorInfo, ProtocolError, encode_frame, error_info
from routerd_proto.frames import (
    CONTENT_FRAMES,
    CallEnded,
    CallRequested,
    CallRestarted,
    CallStarted,
    CommandAnswered,
    CommandRequested,
    DaemonFrame,
    Part,
)
from routerd_proto.search import SearchRequested

__all__ = ["UNFINISHED", "Call", "Command", "ModelCall", "Request", "StreamPart"]

StreamPart = Part | CallRestarted

MAX_RESENDS: Final = 2
CONTENT: Final[frozenset[type]] = frozenset(CONTENT_FRAMES)


class Request(ABC):
    """What calls and commands have in common.

    `deadline` is the `time.monotonic` moment after which nobody waits any longer, None for never.
    `failure` says why there will be no (whole) answer.
    """

    # As every request begins: set on the class, which costs a call nothing.
    deadline: float | None = None
    ended = False
    failure: ErrorInfo | None = None
    heard = False
    resends = 0

    def __init__(
        self,
        frame: CallRequested | SearchRequested | CommandRequested,
        local_timeout: float | None = None,
    ) -> None:
        self.frame = frame
        self.local_timeout = local_timeout

    def encode(self) -> bytearray:
        """Encode the request. Raises Failed (`invalid_request`) if it holds what cannot travel."""
        try:
            return encode_frame(self.frame)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Failed(
                error_info("invalid_request", f"the request cannot be encoded: {error}")
            ) from error

    @abstractmethod
    def take(self, frame: DaemonFrame) -> StreamPart | None:
        """Take a frame of the answer; return it if it is for the caller."""

    def error(self) -> RouterdError:
        """Build the exception for `failure`, with what had arrived."""
        return error_from(self.failure or UNFINISHED)

    def begin(self) -> None:
        """Start the clock."""
        if self.local_timeout is not None:
            self.deadline = time.monotonic() + self.local_timeout

    @property
    def is_open(self) -> bool:
        """Whether there is more to come."""
        return not self.ended and self.failure is None

    def fail(self, info: ErrorInfo) -> None:
        """Note why there will be no answer."""
        self.failure = info

    def interrupt(self, error: Exception | None, *, reused: bool = False) -> None:
        """Decide what an error on the way means: prepare to send again, or fail.

        None: the caller left. `reused`: an earlier request was answered on the same connection.
        """
        if not self.is_open:
            return
        match error:
            case Lost():
                self._lost(error, reused=reused)
            case Failed():
                self.fail(error.info)
            case ProtocolError():
                self.fail(broken_protocol(error.info))
            case TimeoutError():
                self.fail(LATE)
            case _:
                self.fail(LEFT)

    def _lost(self, loss: Lost, *, reused: bool) -> None:
        """Decide after a lost connection.

        A reused connection that was dead all along costs nothing. Any other loss counts, and
        nothing is sent again once a part of the answer has arrived.
        """
        info = loss.info
        if reused and not self.heard and (info is None or info.retryable):
            self._prepare_again()
        elif self._may_send_again() and (info is None or info.code == "shutting_down"):
            self.resends += 1
            self._prepare_again()
        else:
            self.fail(info or error_info("connection_lost", str(loss)))

    def _may_send_again(self) -> bool:
        return False

    def _prepare_again(self) -> None:
        self.heard = False


class ModelCall(Request):
    """What calls to a model have in common, whatever they ask for."""

    frame: CallRequested | SearchRequested
    decision_id = ""
    trace_id = ""
    end: CallEnded | None = None

    def note(self, frame: DaemonFrame) -> None:
        """Note that the call began or ended, if this says so."""
        if type(frame) is CallStarted:
            self.decision_id = frame.decision_id
            self.trace_id = frame.trace_id
        elif type(frame) is CallEnded:
            self.decision_id = frame.decision_id or self.decision_id
            self.failure = frame.error
            self.end = frame
            self.ended = True

    @property
    @abstractmethod
    def has_content(self) -> bool:
        """Whether a part of the answer has arrived."""

    def _may_send_again(self) -> bool:
        return self.resends < MAX_RESENDS and not self.has_content

    def _prepare_again(self) -> None:
        super()._prepare_again()
        self.frame = msgspec.structs.replace(self.frame, sends=self.frame.sends + 1)


class Call(ModelCall):
    """One call to a model that writes."""

    frame: CallRequested
    _restarted = False
    _reply: Reply | None = None

    def __init__(self, frame: CallRequested, local_timeout: float | None = None) -> None:
        super().__init__(frame, local_timeout)
        self.parts: list[Part] = []

    def take(self, frame: DaemonFrame) -> StreamPart | None:
        """Take a frame of the answer; return it if it is for the caller."""
        kind = type(frame)
        self.heard = True
        if kind in CONTENT:
            self.parts.append(frame)  # type: ignore[arg-type]  # `in` does not narrow a union
            return frame  # type: ignore[return-value]  # the same
        if type(frame) is CallRestarted:
            return self._restart(frame)
        self.note(frame)
        return None

    def _restart(self, frame: CallRestarted) -> CallRestarted | None:
        allowed = self.frame.options.restart
        if self.frame.stream and not allowed and self.parts:
            raise ProtocolError(
                error_info("protocol_error", "it began a new answer, which was not allowed")
            )
        self._restarted = True
        self.parts.clear()
        return frame if allowed else None

    def error(self) -> RouterdError:
        """Build the exception for `failure`, with what had arrived of the answer."""
        asked = self.decision_id or self.parts
        return error_from(
            self.failure or UNFINISHED, self.so_far() if asked else None, self.decision_id
        )

    def reply(self) -> Reply:
        """Return the whole answer. Raises the typed error if there is none (yet)."""
        if not self.ended or self.failure is not None:
            raise self.error()
        if self._reply is None:
            self._reply = self.so_far()
        return self._reply

    def so_far(self) -> Reply:
        """Return what has arrived, as a reply that ends in an error if it was cut."""
        end = self.end or CallEnded("error", self.decision_id, error=self.failure)
        return assemble(self.parts, end, self.trace_id)

    @property
    def has_content(self) -> bool:
        """Whether a part of the answer has arrived, or had before it began anew."""
        return bool(self.parts) or self._restarted


class Command(Request):
    """One command to the daemon; sent again only where the connection was dead before it."""

    body: Any = None

    def take(self, frame: DaemonFrame) -> StreamPart | None:
        """Take the answer."""
        self.heard = True
        if isinstance(frame, CommandAnswered):
            self.body = frame.body
            self.failure = frame.error
            self.ended = True
        return None


LATE: Final = error_info(
    "deadline_exceeded", "the daemon did not answer within the call's timeout and a little more"
)
LEFT: Final = error_info("cancelled", "the caller left before the answer was complete")
UNFINISHED: Final = error_info("cancelled", "the answer is not complete: read it to its end")
