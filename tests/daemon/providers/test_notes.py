"""Notes of one answer are few, short, and each there once, however many kinds there are."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from routerd.providers.base import MORE_NOTE, MOST_NOTES, Outcome, add_note, note_other_model
from routerd.providers.registry import build_adapter
from routerd.providers.request import Notes

Event = Callable[[int], dict[str, object]]


class CountedNote(str):
    """Count how often it is compared with another one."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedNote.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def claude_block(number: int) -> dict[str, object]:
    block = {"type": f"kind_{number}", "text": "x"}
    return {"type": "content_block_start", "index": number, "content_block": block}


def responses_item(number: int) -> dict[str, object]:
    item = {"type": f"kind_{number}", "id": f"i_{number}"}
    return {"type": "response.output_item.done", "output_index": number, "item": item}


@pytest.mark.parametrize(
    ("adapter", "event"), [("anthropic", claude_block), ("openai-responses", responses_item)]
)
def test_an_answer_of_new_kinds_alone_has_few_notes(adapter: str, event: Event) -> None:
    decoder = build_adapter(adapter).decoder(stream=True)
    for number in range(20 * MOST_NOTES):
        decoder.feed(f"data: {json.dumps(event(number))}\n\n".encode())
    notes = decoder.outcome.notes
    assert len(notes) == MOST_NOTES + 1
    assert "kind_0" in notes[0]
    assert notes[-1] == MORE_NOTE


def test_a_note_is_there_once_and_short() -> None:
    notes = Notes()
    for _ in range(3):
        notes.add("x" * 10_000)
    assert len(notes) == 1
    assert len(notes[0]) < 1_000


def test_the_thousandth_note_takes_no_longer_than_the_fortieth() -> None:
    notes: list[str] = [CountedNote(number) for number in range(MOST_NOTES)]
    add_note(notes, "one more")
    CountedNote.compared = 0
    for number in range(1_000):
        add_note(notes, f"kind {number}")
    assert CountedNote.compared == 0


def test_who_answered_is_noted_behind_any_number_of_others() -> None:
    outcome = Outcome(model="other", notes=[])
    for number in range(2 * MOST_NOTES):
        add_note(outcome.notes, f"kind {number}")
    note_other_model(outcome, "asked")
    assert outcome.notes[-1].startswith("another model answered: other")
