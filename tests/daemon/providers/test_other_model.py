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
        ("gpt-5", "gpt-5-2025-08-07"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("gpt-4", "gpt-4-1106"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5-20251001"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
        ("mistral-large-latest", "mistral-large-2512"),
        ("mistral-large-latest", "mistral-large-4-0"),
        ("mistral-medium-2604", "mistral-medium-latest"),
        ("command-a", "command-a-03-2025"),
        ("gemini-2.0-flash", "gemini-2.0-flash-001"),
        ("Qwen/Qwen3-32B:novita", "qwen/qwen3-32b"),
        ("deepseek/deepseek-v3:free", "deepseek/deepseek-v3"),
        ("llama3.1", "llama3.1:latest"),
        ("qwen3:8b", "qwen3-8b-q4_K_M.gguf"),
        ("qwen3", "qwen3:8b"),
        ("gemini-2.5-flash-preview", "gemini-2.5-flash-preview-05-20"),
        ("x-ai/grok-4", "grok-4-07-09"),
    ],
)
def test_the_same_by_another_name_is_no_news(asked: str, answered: str | None) -> None:
    outcome = Outcome(model=answered)
    note_other_model(outcome, asked)
    assert outcome.notes == []


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-5", "gpt-5-mini"),
        ("gpt-5-mini", "gpt-5"),
        ("gpt-5", "gpt-5.1"),
        ("gpt-5", "gpt-5-mini-2025-08-07"),
        ("gpt-5-2025-08-07", "gpt-5-mini"),
        ("gpt-6-sol-2026-05-04", "gpt-6-sol-2026-09-01"),
        ("claude-opus-5", "claude-opus-5-5"),
        ("claude-sonnet-5-5", "claude-sonnet-5"),
        ("gemini-3.5-flash", "gemini-3.5-flash-lite"),
        ("mistral-large-2512", "mistral-large-4-0"),
        ("mistral-large-latest", "mistral-large-mini"),
        ("us.anthropic.claude-opus-5-v1:0", "claude-opus-5-5"),
        ("qwen3:8b", "qwen3:32b"),
        ("mixtral:text", "mixtral:instruct"),
        ("amazon.titan-embed-text-v1:0", "amazon.titan-embed-text-v2:0"),
        ("anthropic.claude-v2:0", "anthropic.claude-v2:1"),
        ("deepseek-v4", "deepseek-v4-flash"),
        ("gpt-4o", "g"),
    ],
)
def test_a_name_that_only_begins_alike_is_anothers(asked: str, answered: str) -> None:
    outcome = Outcome(model=answered)
    note_other_model(outcome, asked)
    assert outcome.notes == [f"another model answered: {answered}, asked for was {asked}"]


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
