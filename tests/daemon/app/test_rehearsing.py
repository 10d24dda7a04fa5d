"""Stand-ins for keys: only where none is to be had, or for all where a simulator is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from routerd.app.rehearsing import with_stand_ins
from routerd.models import load_directory
from routerd.settings import Settings, read_key

DIRECTORY = load_directory()


def settings(providers: dict[str, Any]) -> Settings:
    return msgspec.convert({"providers": providers}, Settings)


def test_a_key_that_is_there_stays_and_one_that_is_not_gets_a_stand_in() -> None:
    environ = {"OPENAI_API_KEY": "real"}
    own = settings({"openai": {}, "anthropic": {}, "mistral": {"key_file": "/nowhere"}})
    found = with_stand_ins(own, DIRECTORY, environ, "own.toml")
    assert found.missing == ("anthropic", "mistral")
    assert found.settings.providers["openai"] == own.providers["openai"]
    keys = [
        read_key(name, found.settings.providers[name], found.environ)
        for name in ("anthropic", "mistral")
    ]
    assert keys == list(found.stand_ins.values()) == ["drill-1", "drill-2"]
    assert found.environ["OPENAI_API_KEY"] == "real"


def test_for_all_no_real_key_is_read() -> None:
    own = settings({"openai": {"key_file": "/nowhere"}, "anthropic": {"key_env": "MINE"}})
    found = with_stand_ins(own, DIRECTORY, {"MINE": "real"}, "own.toml", for_all=True)
    assert found.missing == ()
    keys = [
        read_key(name, table, found.stand_ins) for name, table in found.settings.providers.items()
    ]
    assert keys == ["drill-1", "drill-2"]


def test_each_of_several_keys_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("real", encoding="utf-8")
    keys = {"team": {"key_file": str(tmp_path / "key")}, "trial": {"key_env": "TRIAL"}}
    own = settings({"mistral": {"keys": keys}})
    found = with_stand_ins(own, DIRECTORY, {}, "own.toml")
    made = found.settings.providers["mistral"].keys
    assert made["team"] == own.providers["mistral"].keys["team"]
    assert read_key("mistral", made["trial"], found.environ, name="trial") == "drill-1"
    made = (
        with_stand_ins(own, DIRECTORY, {}, "own.toml", for_all=True)
        .settings.providers["mistral"]
        .keys
    )
    assert [item.key_env for item in made.values()] == [
        "ROUTERD_DRILL_KEY_1",
        "ROUTERD_DRILL_KEY_2",
    ]


def test_who_takes_no_key_and_who_is_not_used_is_left_alone() -> None:
    box = {"adapter": "openai", "base_url": "http://10.0.0.5/v1", "boundary": "own-network"}
    own = settings({"box": box, "openai": {"keyless": True}, "xai": {"enabled": False}})
    for for_all in (False, True):
        found = with_stand_ins(own, DIRECTORY, {}, "own.toml", for_all=for_all)
        assert (found.settings, dict(found.stand_ins)) == (own, {})
