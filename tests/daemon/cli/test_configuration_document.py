"""docs/configuration.md says what the schema, the directory and the code say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from routerd.app.startup import find_settings_file
from routerd.models import load_directory
from routerd.settings import ProviderSettings, Settings, parse_settings
from tools.configuration_tables import DOCUMENT, rewritten

TEXT = DOCUMENT.read_text(encoding="utf-8")
SOURCES = Path(__file__).parents[3] / "daemon" / "routerd"


def test_the_tables_are_those_of_the_schema() -> None:
    assert rewritten(TEXT) == TEXT, "run tools/configuration_tables.py"


def test_every_setting_has_a_meaning_and_a_row() -> None:
    kinds = [ProviderSettings, *(field.type for field in msgspec.structs.fields(Settings))]
    names = [
        field.name
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        for field in msgspec.structs.fields(kind)
    ]
    assert len(names) > 30
    for name in names:
        assert re.search(rf"^\| `{name}` \| [^|]+ \| [A-Z][^|]+\. \|$", TEXT, re.MULTILINE), name


def test_every_known_provider_and_its_key_is_named() -> None:
    for name, provider in load_directory().providers.items():
        if provider.key_env:
            assert f"| `{name}` | `${provider.key_env}` |" in TEXT
        else:
            assert provider.local_server


@pytest.mark.parametrize("start", ["    [providers.anthropic]", "    [providers.gpu-box]"])
def test_an_example_is_a_valid_configuration(start: str) -> None:
    block = start + TEXT.partition(start)[2].partition("\n\n")[0]
    example = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    settings = parse_settings(tomllib.loads(example), "example")
    assert settings.providers


def test_the_example_of_a_directory_is_valid(tmp_path: Path) -> None:
    block = TEXT.partition("    # mine.toml\n")[2].partition("\n\n")[0]
    file = tmp_path / "mine.toml"
    file.write_text("\n".join(line.removeprefix("    ") for line in block.splitlines()))
    assert "tagger" in load_directory([file]).shortcuts


def test_every_variable_that_is_named_is_read() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py"))
    keys = {entry.key_env for entry in load_directory().providers.values()}
    table = TEXT.partition("## Environment")[2]
    named = re.findall(r"`([A-Z]+_[A-Z_]+)`", table)
    assert len(named) > 15
    for name in named:
        assert name in keys or name in code or name.lower() in code, name


def test_the_usual_places_are_the_ones_listed(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    place = tmp_path / ".config" / "routerd" / "routerd.toml"
    place.parent.mkdir(parents=True)
    place.touch()
    assert find_settings_file(environ) == place
    assert f"`~/{place.relative_to(tmp_path)}`" in TEXT
    own = tmp_path / "own"
    (own / "routerd").mkdir(parents=True)
    (own / "routerd" / "routerd.toml").touch()
    assert (
        find_settings_file(environ | {"XDG_CONFIG_HOME": str(own)}) == own / "routerd/routerd.toml"
    )
    assert find_settings_file({"ROUTERD_CONFIG": "x.toml", **environ}) == Path("x.toml")
