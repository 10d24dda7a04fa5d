from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.models import (
    BOUNDARIES,
    Directory,
    UnknownTarget,
    load_directory,
    model_rows,
    shortcut_rows,
)

PACKAGED = load_directory()


def load_text(folder: Path, text: str) -> Directory:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return load_directory([path])


def test_a_shortcut_of_a_class_has_its_candidates_defaults_and_path() -> None:
    resolution = PACKAGED.resolve("vision")
    assert resolution.kind == "shortcut"
    assert resolution.model_class == "vision"
    assert resolution.candidates[0].model == PACKAGED.classes["vision"].candidates[0]
    assert resolution.ranks == {}
    resolution = PACKAGED.resolve("fast")
    assert resolution.defaults.reasoning == "none"
    assert [step.model_class for step in resolution.degraded] == ["open-weight"]
    assert resolution.boundary is None
    assert resolution.backups == ()


def test_a_shortcut_of_candidates_has_them_in_order() -> None:
    resolution = PACKAGED.resolve("workhorse")
    assert resolution.kind == "shortcut"
    assert resolution.model_class is None
    assert list(dict.fromkeys(item.model for item in resolution.candidates))[:2] == [
        "claude-sonnet-5-5",
        "gpt-6.1-terra",
    ]
    assert [step.model_class for step in resolution.degraded] == ["fast", "open-weight"]


def test_a_class_is_known_by_its_name() -> None:
    resolution = PACKAGED.resolve("flagship")
    assert (resolution.kind, resolution.model_class) == ("class", "flagship")
    assert resolution.candidates == PACKAGED.resolve("smart").candidates
    assert resolution.degraded[0].candidates == PACKAGED.resolve("fast").candidates


def test_a_model_has_its_deployments_and_its_backups() -> None:
    resolution = PACKAGED.resolve("gpt-6-luna")
    assert (resolution.kind, resolution.model_class) == ("model", "fast")
    assert [item.id for item in resolution.candidates] == ["openai/gpt-6-luna"]
    assert [item.id for item in resolution.backups] == [
        "anthropic/claude-haiku-5-5",
        "mistral/mistral-small-2603",
    ]
    assert resolution.degraded == ()


def test_a_deployment_is_first_itself() -> None:
    resolution = PACKAGED.resolve("openai/gpt-6-luna")
    assert (resolution.kind, resolution.model_class) == ("deployment", "fast")
    assert [item.id for item in resolution.candidates] == ["openai/gpt-6-luna"]
    assert [item.provider for item in resolution.backups] == ["anthropic", "mistral"]


def test_a_shortcut_comes_before_a_class_of_the_same_name() -> None:
    assert PACKAGED.resolve("fast").kind == "shortcut"


def test_a_model_that_nothing_serves_is_known_and_has_no_candidates() -> None:
    resolution = PACKAGED.resolve("qwen3-8b")
    assert resolution.kind == "model"
    assert resolution.candidates == ()


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("smrt", "smart"),
        ("claude-opus-5.5", "claude-opus-5-5"),
        ("gpt-6-lunar", "gpt-6-luna"),
        ("openai/gpt-6-lunar", "openai/gpt-6-luna"),
    ],
)
def test_an_unknown_name_is_told_what_resembles_it(target: str, near: str) -> None:
    with pytest.raises(UnknownTarget, match=near) as caught:
        PACKAGED.resolve(target)
    assert near in caught.value.near
    assert len(caught.value.near) <= 3


def test_an_unknown_name_that_resembles_nothing() -> None:
    with pytest.raises(UnknownTarget, match=r"^'%%%%' is not known$") as caught:
        PACKAGED.resolve("%%%%")
    assert caught.value.near == ()


def test_a_huge_unknown_name_is_neither_compared_nor_repeated_whole() -> None:
    with pytest.raises(UnknownTarget) as caught:
        PACKAGED.resolve("smart" * 1_000_000)
    assert len(str(caught.value)) < 300


@given(
    st.sampled_from(
        sorted({*PACKAGED.shortcuts, *PACKAGED.classes, *PACKAGED.models, *PACKAGED.deployments})
    )
)
def test_every_name_resolves_to_distinct_deployments(name: str) -> None:
    resolution = PACKAGED.resolve(name)
    assert resolution.name == name
    together = [*resolution.candidates, *resolution.backups]
    assert len({item.id for item in together}) == len(together)
    for item in together:
        assert PACKAGED.deployments[item.id] is item
        assert item.boundary in BOUNDARIES


def test_resolving_is_prepared_beforehand() -> None:
    assert PACKAGED.resolve("smart") is PACKAGED.resolve("smart")


def test_a_directory_cannot_be_changed() -> None:
    for section in ("providers", "models", "deployments", "classes", "shortcuts"):
        with pytest.raises(TypeError, match="does not support item"):
            getattr(PACKAGED, section)["x"] = None


def test_a_deployment_takes_over_what_it_does_not_say_itself(tmp_path: Path) -> None:
    directory = load_text(
        tmp_path,
        """
[deployments."mistral/large-eu"]
model = "claude-opus-4-8"
provider = "mistral"
provider_model = "large-eu"
region = "eu"
max_output_tokens = 1000
capabilities = { tools = true }
""",
    )
    model = directory.models["claude-opus-4-8"]
    deployment = directory.deployments["mistral/large-eu"]
    assert deployment.region == "eu"
    assert deployment.context_window == model.context_window
    assert deployment.max_output_tokens == 1000
    assert deployment.capabilities.tools
    assert not deployment.capabilities.vision
    assert [item.id for item in directory.resolve("claude-opus-4-8").candidates] == [
        "anthropic/claude-opus-4-8",
        "mistral/large-eu",
    ]


def test_rows_of_models() -> None:
    rows = {row.deployment or row.model: row for row in model_rows(PACKAGED)}
    assert len(rows) == len(model_rows(PACKAGED))
    assert {row.model for row in rows.values()} == set(PACKAGED.models)
    haiku = rows["anthropic/claude-haiku-4-5-20251001"]
    price = PACKAGED.deployments[haiku.deployment].price
    assert price is not None
    assert haiku.input_price == "$1.00"
    assert haiku.output_price == "$5.00"
    assert haiku.context_window == "200000"
    assert haiku.replacement == "claude-haiku-5-5"
    assert len(haiku.scores) == 8
    assert "" in haiku.scores
    unpriced = rows["mistral/mistral-large-4-0"]
    assert (unpriced.input_price, unpriced.output_price) == ("", "")
    unserved = rows["qwen3-8b"]
    assert (unserved.deployment, unserved.boundary, unserved.input_price) == ("", "", "")
    assert rows["openai/gpt-4.1-2025-04-14"].retires_on == "2027-01-14"


def test_rows_of_shortcuts() -> None:
    rows = {row.name: row for row in shortcut_rows(PACKAGED)}
    assert list(rows) == list(PACKAGED.shortcuts)
    assert rows["smart"].serves == "class flagship"
    assert rows["extract"].serves == "chosen from fast"
    assert rows["workhorse"].serves == "own list"
    assert rows["balanced"].serves == "alias of workhorse"
    assert rows["auto"].serves == "by complexity: fast, workhorse, smart"
    assert "temperature=0" in rows["extract"].defaults
    assert rows["workhorse"].models[0] == "claude-sonnet-5-5"
    assert rows["private"].boundary == "machine"
    assert rows["private"].degraded == "fail"
    assert rows["private"].models == ()
    assert rows["smart"].degraded == "fast > open-weight"


def test_a_local_model_shows_as_free() -> None:
    class Listed:
        id = "mine"
        context_window = None
        kind = None

    rows = {
        row.deployment: row for row in model_rows(PACKAGED.with_local_models("ollama", [Listed()]))
    }
    assert rows["ollama/mine"].input_price == "$0.00"
    assert rows["ollama/mine"].context_window == ""
    assert rows["ollama/mine"].boundary == "machine"
