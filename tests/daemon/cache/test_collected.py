"""What is gathered of an answer says what passed, in parts that fit, and in bounded memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.cache import Collected
from routerd.cache import collected as room
from routerd.domain import Part
from routerd.providers.bounds import MAX_PART_CHARACTERS
from routerd_client.reply import assemble
from routerd_proto.frames import (
    CONTENT_FRAMES,
    CallEnded,
    CitationAdded,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from tests.daemon.providers.drive import chat_parts
from tests.proto.arbitrary import frames_of

PARTS = st.lists(
    frames_of(*CONTENT_FRAMES)
    | st.builds(TextDelta, st.text(max_size=3))
    | st.builds(ToolCallStarted, st.integers(0, 1), st.just("i"), st.just("f"))
    | st.builds(ToolCallDelta, st.integers(0, 1), st.text(max_size=3)),
    max_size=30,
)
ENDED = CallEnded("stop", "0" * 32)


def gather(parts: list[Part], max_bytes: int = 1 << 20) -> tuple[Part, ...] | None:
    collected = Collected(max_bytes)
    collected.add(parts)
    return collected.parts()


@given(st.lists(PARTS, max_size=4))
def test_an_app_reads_the_same_answer_from_what_was_gathered(batches: list[list[Part]]) -> None:
    collected = Collected(1 << 20)
    for batch in batches:
        collected.add(batch)
    passed = [part for batch in batches for part in batch]
    gathered = collected.parts()
    assert gathered is not None
    assert assemble(chat_parts(gathered), ENDED) == assemble(chat_parts(passed), ENDED)
    assert len(gathered) <= len(passed)


def test_pieces_of_one_kind_in_a_row_become_one_part() -> None:
    assert gather(
        [
            ReasoningDelta("a"),
            ReasoningDelta("b"),
            ReasoningEnded("v", {"s": 1}),
            TextDelta("ü"),
            TextDelta("€"),
            CitationAdded("v", {}),
            TextDelta("c"),
            RefusalDelta("d"),
            RefusalDelta("e"),
            ToolCallStarted(0, "i", "f"),
            ToolCallStarted(1, "j", "g"),
            ToolCallDelta(0, "1"),
            ToolCallDelta(0, "2"),
            ToolCallDelta(1, "3"),
            ToolCallDelta(0, "4"),
        ]
    ) == (
        ReasoningDelta("ab"),
        ReasoningEnded("v", {"s": 1}),
        TextDelta("ü€"),
        CitationAdded("v", {}),
        TextDelta("c"),
        RefusalDelta("de"),
        ToolCallStarted(0, "i", "f"),
        ToolCallStarted(1, "j", "g"),
        ToolCallDelta(0, "12"),
        ToolCallDelta(1, "3"),
        ToolCallDelta(0, "4"),
    )


def test_nothing_gathered_is_an_answer_without_parts() -> None:
    assert gather([]) == ()


def test_what_was_gathered_can_be_looked_at_in_between() -> None:
    collected = Collected(100)
    collected.add([TextDelta("a")])
    assert collected.parts() == collected.parts() == (TextDelta("a"),)
    collected.add([TextDelta("b")])
    assert collected.parts() == (TextDelta("a"), TextDelta("b"))


def test_half_a_character_stays_what_it_is() -> None:
    assert gather([TextDelta("a\ud83d"), TextDelta("b")]) == (TextDelta("a\ud83db"),)


@given(st.lists(st.text("aü€", max_size=12), max_size=30))
def test_a_joined_part_fits_a_frame(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "MAX_PART_CHARACTERS", 16)
        gathered = gather([TextDelta(text) for text in texts])
    assert gathered is not None
    pieces = [part.text for part in gathered if isinstance(part, TextDelta)]
    assert "".join(pieces) == "".join(texts)
    assert all(len(piece) <= 16 for piece in pieces)


def test_the_bound_of_a_joined_part_is_that_of_every_part() -> None:
    half = "x" * (MAX_PART_CHARACTERS // 2)
    gathered = gather([TextDelta(half)] * 4, max_bytes=1 << 30)
    assert gathered == (TextDelta(half * 2), TextDelta(half * 2))


LARGE: list[Any] = [
    TextDelta("x" * 101),
    TextDelta("€" * 34),
    ReasoningDelta("x" * 101),
    RefusalDelta("x" * 101),
    ToolCallDelta(0, "x" * 101),
    ToolCallStarted(0, "i", "x" * 101),
    ReasoningEnded("v", {"data": "x" * 101}),
    CitationAdded("v", {"url": "x" * 101}),
    CitationAdded("v", {"data": "\ud800", "number": 2**70, "url": "x" * 101}),
]


@pytest.mark.parametrize("part", LARGE)
def test_more_than_the_bound_is_given_up(part: Part) -> None:
    collected = Collected(100)
    collected.add([TextDelta("a"), part, TextDelta("b")])
    assert collected.parts() is None
    collected.add([TextDelta("c")])
    assert collected.parts() is None


def test_as_much_as_the_bound_is_gathered() -> None:
    assert gather([TextDelta("x" * 60), TextDelta("y" * 40)], 100) == (
        TextDelta("x" * 60 + "y" * 40),
    )
    assert gather([TextDelta("x" * 60), TextDelta("y" * 41)], 100) is None


def test_a_new_answer_has_all_the_room_again() -> None:
    collected = Collected(100)
    collected.add([TextDelta("a" * 90), CitationAdded("v", {})])
    collected.restart()
    assert collected.parts() == ()
    collected.add([TextDelta("b" * 100)])
    assert collected.parts() == (TextDelta("b" * 100),)
    collected.add([TextDelta("b")])
    assert collected.parts() is None
    collected.restart()
    collected.add([TextDelta("c")])
    assert collected.parts() == (TextDelta("c"),)
