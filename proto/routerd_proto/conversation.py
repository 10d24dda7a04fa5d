"""The legal order of frames on one connection, the same table for both sides.

Rules of this file: everything that says which frame may follow which lives here, and it is a
table. It does not know which side it runs on: a side reads only the other side's kinds of frames,
so that a frame from the wrong side is already an unknown frame to the codec. One call at a time: a
connection is cheap, so a client that wants two calls at once opens two.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from routerd_proto.errors import ProtocolError, error_info
from routerd_proto.frames import (
    CALL_FRAMES,
    CONTENT_FRAMES,
    RESULT_FRAMES,
    CallEnded,
    CallRestarted,
    CallStarted,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
)

__all__ = ["TRANSITIONS", "Conversation", "State"]


class State(Enum):
    """Where a connection stands."""

    NEW = "new"  # nothing was said
    GREETED = "greeted"  # the client said hello; the daemon has not yet
    CALL_SENT = "call_sent"  # a call travelled with the hello
    COMMAND_SENT = "command_sent"  # a command travelled with the hello
    IDLE = "idle"  # both said hello; the next request may come
    CALL_WAITING = "call_waiting"  # a call was requested
    CALL_RUNNING = "call_running"  # its answer has started
    COMMAND_WAITING = "command_waiting"
    ENDED = "ended"  # nothing may follow

    # Members are singletons; Enum's own hash is a Python call for every frame.
    __hash__ = object.__hash__


TRANSITIONS: Final[dict[tuple[State, type], State]] = {
    (State.NEW, ClientHello): State.GREETED,
    (State.GREETED, DaemonHello): State.IDLE,
    **{(State.GREETED, kind): State.CALL_SENT for kind in CALL_FRAMES},
    (State.GREETED, CommandRequested): State.COMMAND_SENT,
    (State.CALL_SENT, DaemonHello): State.CALL_WAITING,
    (State.COMMAND_SENT, DaemonHello): State.COMMAND_WAITING,
    **{(State.IDLE, kind): State.CALL_WAITING for kind in CALL_FRAMES},
    (State.IDLE, CommandRequested): State.COMMAND_WAITING,
    (State.CALL_WAITING, CallStarted): State.CALL_RUNNING,
    (State.CALL_WAITING, CallEnded): State.IDLE,
    (State.CALL_RUNNING, CallRestarted): State.CALL_RUNNING,
    (State.CALL_RUNNING, CallEnded): State.IDLE,
    (State.COMMAND_WAITING, CommandAnswered): State.IDLE,
    **{
        (State.CALL_RUNNING, kind): State.CALL_RUNNING for kind in (*CONTENT_FRAMES, *RESULT_FRAMES)
    },
    # A daemon may close at any time, but says why.
    **{(state, ConnectionEnded): State.ENDED for state in State if state is not State.ENDED},
}


class Conversation:
    """Follow one connection; each side advances it by every frame it sends and receives."""

    def __init__(self) -> None:
        self.state = State.NEW

    def __repr__(self) -> str:
        return f"<Conversation {self.state.value}>"

    def advance(self, *frames: msgspec.Struct) -> None:
        """Take the next frames of either side; ProtocolError for one that may not come now."""
        state = self.state
        try:
            for frame in frames:
                state = TRANSITIONS[state, type(frame)]
        except KeyError:
            raise ProtocolError(
                error_info(
                    "protocol_error",
                    f"a {type(frame).__name__} frame may not come in state {state.value}",
                    details={"frame": type(frame).__name__, "state": state.value},
                )
            ) from None
        finally:
            self.state = state
