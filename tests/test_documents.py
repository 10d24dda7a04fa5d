"""What the documents show can be used as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from routerd.app.policy import build_book
from routerd.app.startup import prepare
from routerd.decide.reasons import INCAPABLE, NOT_HERE
from routerd.providers.base import ListedModel
from routerd.providers.registry import search_wires

ROUTING = Path(__file__).parents[1] / "docs" / "routing.md"
BLOCKS = re.findall(
    r"^```toml( directory)?\n(.*?)^```", ROUTING.read_text("utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if not kind])
def test_the_configurations_of_the_page_on_routing_hold(tmp_path: Path, block: str) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(f"{block}\n[providers.anthropic]\nkeyless = true\n", encoding="utf-8")
    startup = prepare(file, {})
    book = build_book(startup, startup.directory, startup.providers)
    assert book.document.providers == ("anthropic",)


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if kind])
def test_the_directories_of_the_page_on_routing_hold(tmp_path: Path, block: str) -> None:
    (tmp_path / "own.toml").write_text(block, encoding="utf-8")
    file = tmp_path / "routerd.toml"
    text = 'directory = ["own.toml"]\n[providers.anthropic]\nkeyless = true\n'
    file.write_text(text, encoding="utf-8")
    assert prepare(file, {}).directory.resolve("support").candidates


def test_the_page_on_routing_explains_every_code() -> None:
    text = ROUTING.read_text("utf-8")
    source = (ROUTING.parents[1] / "daemon" / "routerd" / "decide").glob("*.py")
    said = {
        code
        for file in source
        for code in re.findall(r'Dropped\([^"]*"([a-z_]+)"', file.read_text("utf-8"))
    }
    assert {"window", "budget", "region", "near_cap", "other_vectors"} <= said
    # What puts a candidate in its place is not what drops it.
    for code in (
        (said - {"replacement"}) | INCAPABLE | NOT_HERE | {"policy", "boundary", "moving_alias"}
    ):
        assert f"`{code}`" in text, code


def test_servers_of_ones_own_embed_as_the_page_on_search_says(tmp_path: Path) -> None:
    text = (ROUTING.parent / "search.md").read_text("utf-8")
    server, model = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "own.toml").write_text(model, encoding="utf-8")
    file = tmp_path / "routerd.toml"
    file.write_text(f'directory = ["own.toml"]\n{server}[providers.ollama]\n', encoding="utf-8")
    startup = prepare(file, {})
    assert startup.providers["box"].adapter.models_path == "/info"
    listed = [ListedModel("nomic-embed-text:latest")]
    directory = startup.directory.with_local_models("ollama", listed)
    directory = directory.with_local_models("box", [ListedModel("nomic-ai/nomic-embed-text")])
    found = directory.resolve("nomic-embed-text")
    assert found.serves == "embedding"
    assert {item.id for item in found.candidates} == {
        "ollama/nomic-embed-text:latest",
        "box/nomic-ai/nomic-embed-text",
    }


def test_the_page_on_search_names_the_limits_that_hold() -> None:
    text = (ROUTING.parent / "search.md").read_text("utf-8")
    openai = [("openai", dialect) for dialect in ("openai", "mistral", "tei")]
    for adapter, dialect in (*openai, ("cohere", None)):
        for wire in search_wires(adapter, dialect).values():
            for limit in (wire.limits.texts, wire.limits.tokens):
                assert limit is None or f"{limit:,}" in text
