"""docs/configuration.md says what the schema, the directory and the code say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from routerd.app.providers import wanted
from routerd.app.startup import find_settings_file
from routerd.budget.definitions import read_budgets
from routerd.cli.starter import named_tables, settings_of
from routerd.errors import SettingsError
from routerd.models import load_directory
from routerd.settings import Settings, parse_settings
from tools.configuration_tables import DOCUMENT, rewritten

TEXT = DOCUMENT.read_text(encoding="utf-8")
SOURCES = Path(__file__).parents[3] / "daemon" / "routerd"


def test_the_tables_are_those_of_the_schema() -> None:
    assert rewritten(TEXT) == TEXT, "run tools/configuration_tables.py"


def test_every_setting_has_a_meaning_and_a_row() -> None:
    kinds = [field.type for field in msgspec.structs.fields(Settings)]
    names = [
        field.name
        for kind in (*kinds, *named_tables())
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        for field in settings_of(kind)
    ]
    assert len(names) > 60
    for name in names:
        assert re.search(rf"^\| `{name}` \| [^|]+ \| [A-Z][^|]+\. \|$", TEXT, re.MULTILINE), name


def test_every_known_provider_and_its_key_is_named() -> None:
    for name, provider in load_directory().providers.items():
        if provider.key_env:
            assert f"| `{name}` | `${provider.key_env}` |" in TEXT
        else:
            assert provider.local_server or f"| `{name}` | " in TEXT


def test_every_table_that_there_may_be_many_of_has_a_section() -> None:
    places = [place for places in named_tables().values() for place in places]
    assert "providers.NAME.keys.KEY.free.MODEL" in places
    headings = [line for line in TEXT.splitlines() if line.startswith("### [")]
    for place in places:
        assert sum(f"[{place}]" in heading for heading in headings) == 1


@pytest.mark.parametrize(
    "start",
    [
        "    [providers.anthropic]",
        "    [providers.gpu-box]",
        "    [providers.mistral.keys.trial]",
        "    [budgeting]",
        "    [cache.shortcuts.extract]",
    ],
)
def test_an_example_is_a_valid_configuration(start: str) -> None:
    block = start + TEXT.partition(start)[2].partition("\n\n")[0]
    example = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    settings = parse_settings(tomllib.loads(example), "example")
    assert settings != Settings()


def test_the_examples_of_keys_and_budgets_can_be_used() -> None:
    def example(start: str) -> Settings:
        block = start + TEXT.partition(start)[2].partition("\n\n")[0]
        text = "\n".join(line.removeprefix("    ") for line in block.splitlines())
        return parse_settings(tomllib.loads(text), "example")

    settings = example("    [providers.mistral.keys.trial]")
    environ = {"MISTRAL_TRIAL_KEY": "trial"}
    keys = settings.providers["mistral"].keys
    assert keys["team"].key_file
    keys["team"] = msgspec.structs.replace(keys["team"], key_file=None, key_env="MISTRAL_TRIAL_KEY")
    with pytest.raises(SettingsError, match="is the same key as"):
        wanted(settings, load_directory(), environ, "example")
    keys["team"] = msgspec.structs.replace(keys["team"], key_env="TEAM_KEY")
    found = wanted(settings, load_directory(), environ | {"TEAM_KEY": "team"}, "example")
    assert [key.limits.name for key in found["mistral"].keys] == ["trial", "team"]
    settings = example("    [budgeting]")
    assert len(read_budgets(settings.budgets, settings.budgeting)) == 4


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
