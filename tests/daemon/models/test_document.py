"""A directory is written down with every decision, and read back to make the decision again."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.domain import Kind
from routerd.models import Directory, load_directory

PACKAGED = load_directory()


class Listed:
    def __init__(self, name: str) -> None:
        self.id = name
        self.context_window: int | None = None
        self.kind: Kind | None = None


def same(before: Directory, after: Directory) -> None:
    assert after.document() == before.document()
    for section in ("providers", "models", "deployments", "classes", "shortcuts"):
        assert list(getattr(after, section).items()) == list(getattr(before, section).items())
    for name in (*before.shortcuts, *before.classes, *before.models, *before.deployments):
        assert after.resolve(name) == before.resolve(name), name


def test_the_packaged_directory_comes_back_as_it_was() -> None:
    same(PACKAGED, Directory.from_document(PACKAGED.document()))


def test_so_does_one_with_local_models_prices_and_a_file_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        """
[shortcuts.a-first]
description = "Named before the others."
class = "fast"
defaults = { latency = 750 }
[deployments."bedrock/eu.anthropic.claude-opus-5-5"]
model = "claude-opus-5-5"
provider = "bedrock"
provider_model = "eu.anthropic.claude-opus-5-5"
weight = 3
speed = { first_token_seconds = 0.5, source = "mine", confidence = 1 }
""",
        encoding="utf-8",
    )
    directory = load_directory([own])
    price = PACKAGED.deployments["openai/gpt-6-luna"].price
    assert price is not None
    directory = directory.with_prices({"openai/gpt-6-astra": price})
    directory = directory.with_local_models("vllm", [Listed("nobody-knows"), Listed("qwen3:8b")])
    directory = directory.with_local_models("ollama", [Listed("qwen3:8b")])
    same(directory, Directory.from_document(directory.document()))
    entry = directory.deployments["bedrock/eu.anthropic.claude-opus-5-5"]
    assert (entry.weight, entry.model_class, entry.kind) == (3, "flagship", "chat")
    assert entry.speed is not None


def test_who_answered_first_does_not_decide_who_serves() -> None:
    one = PACKAGED.with_local_models("vllm", [Listed("qwen3-8b")])
    one = one.with_local_models("ollama", [Listed("qwen3:8b")])
    other = PACKAGED.with_local_models("ollama", [Listed("qwen3:8b")])
    other = other.with_local_models("vllm", [Listed("qwen3-8b")])
    same(one, other)


@pytest.mark.parametrize("document", [b"", b"{}", b"[1]", b"[{}, {}]", b"\xff"])
def test_what_is_no_directory_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="is no directory"):
        Directory.from_document(document)


def test_what_a_deployment_carries_for_the_planner() -> None:
    deployment = PACKAGED.deployments["openai/o4-mini-2025-04-16"]
    assert (deployment.kind, deployment.model_class, deployment.pinned) == (
        "chat",
        "fast",
        "dated",
    )
    assert str(deployment.retires_on) == "2026-10-23"
    assert deployment.replacement == "gpt-5.4-mini-2026-03-17"
    assert deployment.speed is not None
    assert deployment.weight == 1


def test_what_a_name_serves() -> None:
    kinds = {name: PACKAGED.resolve(name).serves for name in ("embed", "rerank", "smart", "auto")}
    assert kinds == {"embed": "embedding", "rerank": "rerank", "smart": "chat", "auto": "chat"}
    assert PACKAGED.resolve("text-embedding-3-large").serves == "embedding"
    assert PACKAGED.resolve("voyage/rerank-3").serves == "rerank"


def test_auto_names_targets_instead_of_candidates() -> None:
    resolution = PACKAGED.resolve("auto")
    assert resolution.candidates == ()
    assert list(resolution.by_complexity) == ["simple", "medium", "complex"]
    for target in resolution.by_complexity.values():
        assert PACKAGED.resolve(target).candidates


def test_an_alias_is_what_it_stands_for_under_its_own_name() -> None:
    alias, target = PACKAGED.resolve("balanced"), PACKAGED.resolve("workhorse")
    assert alias.name == "balanced"
    assert alias.candidates == target.candidates
    assert alias.degraded == target.degraded
