"""Adjustments of prompts in the directory: read, checked, carried to every deployment."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from routerd.errors import SettingsError
from routerd.models import Directory, PromptAdjustments, load_directory
from routerd.models.prompt import added_tokens

MODEL = "claude-haiku-5-5"
DEPLOYMENT = "anthropic/claude-haiku-5-5"


def load(folder: Path, table: str) -> Directory:
    path = folder / "own.toml"
    path.write_text(f'[models."{MODEL}".prompt]\n{table}\n', encoding="utf-8")
    return load_directory([path])


def test_an_own_file_says_how_a_model_wants_to_be_asked(tmp_path: Path) -> None:
    directory = load(
        tmp_path,
        """
        system_before = "Answer in English."
        system_role = "user"
        drop = ["seed", "top_p"]
        stop_parameter = "stop_sequences"
        """,
    )
    expected = PromptAdjustments(
        system_before="Answer in English.",
        system_role="user",
        drop=("seed", "top_p"),
        stop_parameter="stop_sequences",
    )
    assert directory.models[MODEL].prompt == expected
    deployment = directory.deployments[DEPLOYMENT]
    assert deployment.prompt == expected
    assert (deployment.prompt_tokens, deployment.prompt_tokens_bound) == added_tokens(expected)
    assert deployment.prompt_tokens_bound >= len("Answer in English.") >= deployment.prompt_tokens
    assert b"Answer in English." in directory.document()


def test_what_adds_nothing_counts_nothing() -> None:
    assert added_tokens(None) == (0, 0)
    assert added_tokens(PromptAdjustments(system_role="user", drop=("seed",))) == (0, 0)


def test_text_is_counted_in_bytes() -> None:
    ascii_bound = added_tokens(PromptAdjustments(system_after="e" * 100))[1]
    assert added_tokens(PromptAdjustments(system_after="\u20ac" * 100))[1] == ascii_bound + 200


@pytest.mark.parametrize(
    ("table", "key", "what"),
    [
        ('drop = ["tools"]', "drop[0]", "expected one of temperature, top_p, stop, seed"),
        ('drop = ["max_output_tokens"]', "drop[0]", "expected one of"),
        ('system_role = "tool"', "system_role", "expected one of system, developer, user"),
        ('system_before = ""', "system_before", "length >= 1"),
        ('stop_parameter = "messages"', "stop_parameter", "stop"),
        ('sytem_before = "a"', "sytem_before", "known here: system_before"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, table: str, key: str, what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, table)
    assert f"models.{MODEL}.prompt.{key}" in str(caught.value)
    assert what in str(caught.value)


def test_adjustments_survive_being_written_down() -> None:
    given = PromptAdjustments(system_before="a", drop=("stop",), stop_parameter="unsupported")
    assert msgspec.json.decode(msgspec.json.encode(given), type=PromptAdjustments) == given


def test_the_packaged_directory_adjusts_nothing_without_a_fact() -> None:
    # What is known today is capabilities (sampling) or the wire's own (dialects). Who adds one
    # names its source here.
    adjusted = {name for name, model in load_directory().models.items() if model.prompt}
    assert adjusted == set()
