"""The notes of all attempts become those of the call: each once, in order, and in one pass."""

from __future__ import annotations

from routerd.domain import Attempt
from routerd.execute.recording import begin_record, finish_record
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import make_call


class CountedNote(str):
    """Count how often it is compared with another one."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedNote.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def attempt(*notes: str) -> Attempt:
    return Attempt(
        deployment="d",
        model="m",
        provider="p",
        server="s",
        reason="first",
        started_us=0,
        notes=list(notes),
    )


async def test_each_is_there_once_behind_what_the_record_had() -> None:
    record = begin_record(make_call())
    record.notes = ["first"]
    record.attempts = [attempt("second", "first"), attempt("second", "third")]
    finish_record(record, None, Run().delivery, None)
    assert record.notes == ["first", "second", "third"]


async def test_the_notes_of_many_pieces_are_not_compared_with_each_other() -> None:
    record = begin_record(make_call())
    record.attempts = [attempt(CountedNote(f"note {number}")) for number in range(300)]
    CountedNote.compared = 0
    finish_record(record, None, Run().delivery, None)
    assert len(record.notes) == 300
    assert CountedNote.compared < 600
