"""Any order of frames either follows the table or is refused, and two ends never disagree."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from routerd_proto import Conversation, ProtocolError, State
from routerd_proto.conversation import TRANSITIONS
from routerd_proto.errors import error_info
from routerd_proto.frames import (
    CALL_FRAMES,
    CLIENT_FRAMES,
    CONTENT_FRAMES,
    DAEMON_FRAMES,
    RESULT_FRAMES,
    CallEnded,
    CallRequested,
    CallRestarted,
    CallStarted,
    CitationAdded,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
    LogprobsAdded,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStarted,
)
from routerd_proto.search import (
    EmbedRequested,
    Ranked,
    RankingAdded,
    RerankRequested,
    VectorsAdded,
)

STOPPING = error_info("shutting_down", "the daemon is stopping")
FROM_CLIENT: list[msgspec.Struct] = [
    ClientHello(1),
    CallRequested("c1", "smart", "hi"),
    CommandRequested("status"),
    EmbedRequested("c1", "embed", ["a"]),
    RerankRequested("c1", "rerank", "a", ["b"]),
]
FROM_DAEMON: list[msgspec.Struct] = [
    DaemonHello(1),
    ConnectionEnded(STOPPING),
    CallStarted("d1"),
    TextDelta("a"),
    ReasoningDelta("a"),
    ReasoningEnded(),
    RefusalDelta("a"),
    ToolCallStarted(0, "t1", "f"),
    ToolCallDelta(0, "{}"),
    CitationAdded("openai", {}),
    LogprobsAdded([TokenLogprob("a", -0.5)]),
    VectorsAdded(0, 1, bytes(4)),
    RankingAdded([Ranked(0, 0.5)]),
    CallRestarted(STOPPING),
    CallEnded("stop", "d1"),
    CommandAnswered(),
]
REQUESTS = (CallRequested, CommandRequested, EmbedRequested, RerankRequested)
ANSWERS = (CallEnded, CommandAnswered)


def test_the_examples_here_hold_every_kind_of_frame() -> None:
    assert [type(frame) for frame in FROM_CLIENT] == list(CLIENT_FRAMES)
    assert [type(frame) for frame in FROM_DAEMON] == list(DAEMON_FRAMES)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.NEW} | set(TRANSITIONS.values())
    left = {state for state, _ in TRANSITIONS}
    assert reached == set(State)
    assert set(State) - left == {State.ENDED}


@settings(max_examples=300)
@given(st.lists(st.sampled_from(FROM_CLIENT + FROM_DAEMON), max_size=12))
def test_a_frame_follows_the_table_or_is_refused(frames: list[Any]) -> None:
    conversation = Conversation()
    for frame in frames:
        before = conversation.state
        if (before, type(frame)) in TRANSITIONS:
            conversation.advance(frame)
            assert conversation.state is TRANSITIONS[before, type(frame)]
            continue
        with pytest.raises(ProtocolError) as caught:
            conversation.advance(frame)
        assert conversation.state is before
        assert caught.value.info.code == "protocol_error"
        assert caught.value.info.details == {
            "frame": type(frame).__name__,
            "state": before.value,
        }


class TwoEnds(RuleBasedStateMachine):
    """Both ends of one connection; frames are on their way for as long as it pleases them.

    Each end sends whatever its own conversation allows. What it allowed must then be right at the
    other end as well, whatever crossed it on the way, unless that end has closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client = Conversation()
        self.daemon = Conversation()
        self.to_daemon: deque[msgspec.Struct] = deque()
        self.to_client: deque[msgspec.Struct] = deque()
        self.seen_by_client: list[type] = []

    @rule(frame=st.sampled_from(FROM_CLIENT))
    def client_sends(self, frame: msgspec.Struct) -> None:
        try:
            self.client.advance(frame)
        except ProtocolError:
            return
        self.seen_by_client.append(type(frame))
        self.to_daemon.append(frame)

    # Ending is one choice in a dozen, or no connection would live long enough to be of interest.
    @rule(frame=st.sampled_from(FROM_DAEMON))
    def daemon_sends(self, frame: msgspec.Struct) -> None:
        try:
            self.daemon.advance(frame)
        except ProtocolError:
            return
        self.to_client.append(frame)

    @precondition(lambda self: self.to_daemon)
    @rule()
    def daemon_receives(self) -> None:
        frame = self.to_daemon.popleft()
        if self.daemon.state is not State.ENDED:
            self.daemon.advance(frame)

    @precondition(lambda self: self.to_client)
    @rule()
    def client_receives(self) -> None:
        frame = self.to_client.popleft()
        self.client.advance(frame)
        self.seen_by_client.append(type(frame))

    @invariant()
    def both_ends_agree_when_nothing_is_on_its_way(self) -> None:
        if not self.to_daemon and not self.to_client:
            assert self.client.state is self.daemon.state

    @invariant()
    def the_client_saw_a_sensible_story(self) -> None:
        check_story(self.seen_by_client)


def check_story(kinds: list[type]) -> None:
    """Check what must hold of every conversation, without the table."""
    assert not kinds or kinds[0] in (ClientHello, ConnectionEnded)
    assert ConnectionEnded not in kinds[:-1], "nothing follows connection_ended"
    for hello in (ClientHello, DaemonHello):
        assert kinds.count(hello) <= 1
    open_request: type | None = None
    started = False
    for kind in kinds:
        if kind in REQUESTS:
            assert open_request is None, "one request at a time"
            assert ClientHello in kinds[: kinds.index(kind)]
            open_request, started = kind, False
        elif kind is CallStarted:
            assert open_request in CALL_FRAMES
            assert not started, "a call starts once"
            started = True
        elif kind in (*CONTENT_FRAMES, *RESULT_FRAMES, CallRestarted):
            assert open_request in CALL_FRAMES
            assert started, "content comes after call_started"
        elif kind in ANSWERS:
            asked = CALL_FRAMES if kind is CallEnded else (CommandRequested,)
            assert open_request in asked
            assert DaemonHello in kinds
            open_request = None


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(max_examples=200, stateful_step_count=40)


def test_two_calls_on_one_connection() -> None:
    conversation = Conversation()
    for frame in (
        ClientHello(1),
        CallRequested("c1", "smart", "hi"),
        DaemonHello(1),
        CallStarted("d1"),
        TextDelta("a"),
        CallRestarted(STOPPING),
        TextDelta("b"),
        CallEnded("stop", "d1"),
    ):
        conversation.advance(frame)
    assert conversation.state is State.IDLE
    conversation.advance(CallRequested("c2", "smart", "again"))
    conversation.advance(CallEnded("error", "d2", error=STOPPING))
    assert conversation.state is State.IDLE
    conversation.advance(CommandRequested("status"))
    with pytest.raises(ProtocolError) as caught:
        conversation.advance(CallRequested("c3", "smart", "too early"))
    assert str(caught.value) == "a CallRequested frame may not come in state command_waiting"
    conversation.advance(CommandAnswered({}))
    conversation.advance(ConnectionEnded(STOPPING))
    assert repr(conversation) == "<Conversation ended>"
