"""Another model than the one asked for is pointed out."""

from __future__ import annotations

import pytest

from routerd.providers.base import Outcome, note_other_model


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-6-sol", "gpt-6-sol"),
        ("gpt-6-sol", "gpt-6-sol-2026-05-04"),
        ("gpt-6-sol-2026-05-04", "gpt-6-sol"),
        ("openai/gpt-6-sol", "gpt-6-sol-2026-05-04"),
        ("gpt-6-sol", "openai/GPT-6-Sol"),
        ("llama", "/models/llama.gguf"),
        ("gpt-6-sol", None),
        ("", "anything"),
    ],
)
def test_the_same_by_another_name_is_no_news(asked: str, answered: str | None) -> None:
    outcome = Outcome(model=answered)
    note_other_model(outcome, asked)
    assert outcome.notes == []


def test_another_one_is_noted_once() -> None:
    outcome = Outcome(model="totally-other-model")
    note_other_model(outcome, "gpt-6-sol")
    note_other_model(outcome, "gpt-6-sol")
    assert outcome.notes == ["another model answered: totally-other-model, asked for was gpt-6-sol"]


def test_a_sentence_in_place_of_an_id_is_not_quoted() -> None:
    outcome = Outcome(model="the prompt said: hello")
    note_other_model(outcome, "gpt-6-sol")
    (note,) = outcome.notes
    assert "hello" not in note
