"""The starter file: what is commented out in it is the default, and it holds no key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from routerd.app.startup import prepare, prepare_transport
from routerd.cli.starter import named_tables, settings_of, starter_file
from routerd.settings import Budgeting, Settings, ledger_path, parse_settings, socket_path

KEYS = {"OPENAI_API_KEY": "sk-one-key", "MISTRAL_API_KEY": "sk-another-key"}
SETTING = re.compile(r"# (\w+ = .*)")
UNSET = re.compile(r"# (\w+): unset")


def uncommented(text: str) -> str:
    """Return the file with every setting in force; tables that are commented out stay so."""
    text = re.split(r"# \[providers\.[a-z]", text)[0]
    lines = text.splitlines()
    return "\n".join(match[1] if (match := SETTING.fullmatch(line)) else line for line in lines)


@pytest.mark.parametrize("environ", [{}, KEYS])
def test_every_default_survives_the_way_into_the_file_and_back(environ: dict[str, str]) -> None:
    text = starter_file(prepare(None, environ), [])
    raw = tomllib.loads(uncommented(text))
    settings = parse_settings(raw, "starter")
    first, *tables_text = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)
    sections = {"": first} | dict(zip(tables_text[::2], tables_text[1::2], strict=True))
    for name in Settings.__struct_fields__:
        if name == "providers":
            continue
        read, default = getattr(settings, name), getattr(Settings(), name)
        if isinstance(default, msgspec.Struct):
            # An unset text is written as an empty one, which means the same.
            read = {key: value or None for key, value in msgspec.structs.asdict(read).items()}
            default = {key: value or None for key, value in msgspec.structs.asdict(default).items()}
            tables = {"shortcuts"} & default.keys()
            # The same name may be unset in one table and not in another.
            unset = set(UNSET.findall(sections[name]))
            assert set(raw[name]) == default.keys() - unset - tables
        assert read == default
    assert set(settings.providers) == ({"openai", "mistral"} if environ else set())


def test_as_it_is_written_it_changes_nothing() -> None:
    text = starter_file(prepare(None, {}), [])
    assert parse_settings(tomllib.loads(text), "starter") == Settings()


def test_it_holds_no_key_and_fits_a_screen() -> None:
    text = starter_file(prepare(None, KEYS), [])
    assert not any(key in text for key in KEYS.values())
    assert 'key_env = "OPENAI_API_KEY"  # found' in text
    assert '# key_env = "ANTHROPIC_API_KEY"' in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_every_setting_of_every_table_is_in_it() -> None:
    text = starter_file(prepare(None, {}), [])
    for kind, places in named_tables().items():
        first = "".join(f"# [{place}]\n" for place in places)
        _, found, block = text.partition(first)
        assert found, first
        block = block.partition("\n\n")[0]
        for field in settings_of(kind):
            assert f"#   {field.name}: " in block
    for field in settings_of(Budgeting):
        assert f"# {field.name}" in text


def test_choices_are_told() -> None:
    text = " ".join(starter_file(prepare(None, {}), []).replace("\n#", "").split())
    assert "One of refuse, allow." in text
    assert "One of tenant, team, agent, user, feature, provider, model." in text


def test_an_empty_text_is_an_unset_one(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text('[egress]\nca_file = ""\n[socket]\npath = ""\n[ledger]\npath = ""\n')
    startup = prepare(file, {"HOME": "/home/app"})
    prepare_transport(startup)  # trusts what the system trusts
    assert socket_path(startup.settings, {}) == Path("/run/routerd/routerd.sock")
    assert ledger_path(startup.settings, {"HOME": "/home/app"}).name == "ledger.db"
