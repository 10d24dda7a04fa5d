"""Every mistake in a configuration file names the file, the key and what was expected."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import SettingsError
from routerd.settings import (
    Budget,
    CachedShortcut,
    FreeTier,
    KeySettings,
    ProviderSettings,
    Settings,
    ledger_path,
    load_settings,
    parse_settings,
    socket_path,
)

SECTIONS = (
    "socket",
    "limits",
    "timeouts",
    "ledger",
    "log",
    "egress",
    "discovery",
    "budgeting",
    "cache",
)
# Tables that there may be many of, at each of their places.
NAMED: dict[str, type[msgspec.Struct]] = {
    "providers.x": ProviderSettings,
    "providers.x.free.m": FreeTier,
    "providers.x.keys.k": KeySettings,
    "providers.x.keys.k.free.m": FreeTier,
    "budgets.b": Budget,
    "cache.shortcuts.s": CachedShortcut,
}


def mistake(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_settings(tomllib.loads(text), "routerd.toml")
    error = caught.value
    assert error.file == "routerd.toml"
    assert str(error) == f"routerd.toml: {error.key}: {error.expected}"
    return error


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text("")
    settings = load_settings(file)
    assert settings == Settings()
    assert settings.socket.mode == "0660"
    assert settings.socket.max_frame_bytes == 16 * 1024 * 1024
    assert settings.limits.in_flight == 2048
    assert settings.timeouts.total == 600.0
    assert settings.ledger.queue_limit == 10_000
    assert settings.log.level == "info"
    assert settings.discovery.local_servers is True
    assert settings.directory == []
    assert settings.providers == {}


def test_what_is_given_replaces_the_default_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(
        'directory = ["mine.toml"]\n'
        '[socket]\npath = "here.sock"\n'
        "[timeouts]\ntotal = 7\n"
        '[providers.anthropic]\n[providers.mine]\nkeyless = true\nboundary = "own-network"\n'
    )
    settings = load_settings(file)
    assert settings.socket.path == "here.sock"
    assert settings.socket.mode == Settings().socket.mode
    assert settings.timeouts.total == 7.0
    assert settings.directory == ["mine.toml"]
    assert settings.providers == {
        "anthropic": ProviderSettings(),
        "mine": ProviderSettings(keyless=True, boundary="own-network"),
    }


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("colour = 1", "colour", "unknown key; known here: socket, limits"),
        ('"a.b" = 1', "a.b", "unknown key; known here: socket, limits"),
        ('[socket]\nport = 1\npath = "x"', "socket.port", "unknown key; known here: path, mode"),
        ('[socket]\n"x.y" = 1', "socket.x.y", "unknown key; known here: path, mode"),
        ("[sockets]", "sockets", "unknown key"),
        ("[socket.path]\nx = 1", "socket.path", "Expected `str | null`, got `object`"),
        ("[providers.a]\nkey = 1", "providers.a.key", "unknown key; known here: enabled, adapter"),
        ("[providers.a.b]\nx = 1", "providers.a.b", "unknown key"),
        ("providers = 1", "providers", "expected a table"),
        ("[[providers]]", "providers", "expected a table"),
        ("providers.a = 1", "providers.a", "Expected `object`, got `int`"),
        ("socket = 1", "socket", "Expected `object`, got `int`"),
        ("[socket]\nmax_connections = true", "socket.max_connections", "Expected `int`"),
        ("[socket]\nmax_connections = 1.5", "socket.max_connections", "Expected `int`"),
        ('[socket]\nidle_seconds = "9"', "socket.idle_seconds", "Expected `float`, got `str`"),
        ("[socket]\nmode = 432", "socket.mode", "Expected `str`, got `int`"),
        ("[log]\ncalls = 1", "log.calls", "Expected `bool`, got `int`"),
        ("directory = 'a'", "directory", "Expected `array`, got `str`"),
        ("directory = ['a', 2]", "directory[1]", "Expected `str`, got `int`"),
        ("[log]\nlevel = 'loud'", "log.level", "expected one of debug, info, warning, error"),
        (
            "[providers.a]\nboundary = 'moon'",
            "providers.a.boundary",
            "expected one of machine, own-network, vendor",
        ),
        ("[socket]\nmode = '999'", "socket.mode", "matching regex"),
        ("[socket]\nmode = '17777'", "socket.mode", "matching regex"),
        ("[socket]\nmax_connections = 0", "socket.max_connections", ">= 1"),
        ("[socket]\nmax_frame_bytes = 1023", "socket.max_frame_bytes", ">= 1024"),
        ("[timeouts]\ntotal = 0", "timeouts.total", "> 0"),
        ("[timeouts]\ntotal = -1", "timeouts.total", "> 0"),
        ("[timeouts]\ntotal = inf", "timeouts.total", "expected a finite number, got inf"),
        ("[timeouts]\ntotal = nan", "timeouts.total", "expected a finite number, got nan"),
        ("[limits]\ndrain_seconds = -0.1", "limits.drain_seconds", ">= 0"),
        ("[egress]\nwarm_connections = 65", "egress.warm_connections", "<= 64"),
        ("[ledger]\nqueue_limit = 0", "ledger.queue_limit", ">= 1"),
        ("budgets = 1", "budgets", "expected a table"),
        ("budgets.a = 1", "budgets.a", "Expected `object`, got `int`"),
        ("[budgets.a]\nwindow = 'week'", "budgets.a.window", "matching regex"),
        ("[budgets.a]\neach = 'planet'", "budgets.a.each", "expected one of tenant, team"),
        ("[budgets.a]\nsoft_percent = 0", "budgets.a.soft_percent", "> 0"),
        ("cache = 1", "cache", "expected a table"),
        ("cache.shortcuts = 1", "cache.shortcuts", "expected a table"),
        ("[cache]\nmax_bytes = -1\n[cache.shortcuts.a]\nseconds = 1", "cache.max_bytes", ">= 0"),
        ("[cache.shortcuts.a]\nseconds = 0", "cache.shortcuts.a.seconds", "> 0"),
        ("[cache.shortcuts.a]", "cache.shortcuts.a", "missing required field `seconds`"),
        ("[providers.a]\nfree = 1", "providers.a.free", "expected a table"),
        ("[providers.a.free]\ncalls = 1", "providers.a.free.calls", "Expected `object`"),
        ("[providers.a.free.m]\ncalls = 0", "providers.a.free.m.calls", ">= 1"),
        (
            "[providers.a.free.m]\nresets_at = '24:00'",
            "providers.a.free.m.resets_at",
            "matching regex",
        ),
        ("[providers.a.keys]\nx = 1", "providers.a.keys.x", "Expected `object`, got `int`"),
        (
            "[providers.a.keys.x]\nkey = 1",
            "providers.a.keys.x.key",
            "unknown key; known here: key_env, key_file",
        ),
        (
            "[providers.a.keys.x.free.m]\nthen = 'stop'",
            "providers.a.keys.x.free.m.then",
            "expected one of paid, refused",
        ),
    ],
)
def test_a_mistake_names_the_key_and_what_was_expected(text: str, key: str, expected: str) -> None:
    error = mistake(text)
    assert error.key == key
    assert expected in error.expected


@pytest.mark.parametrize("section", [*SECTIONS, *NAMED])
def test_an_unknown_key_is_refused_in_every_section(section: str) -> None:
    assert mistake(f"[{section}]\nno_such_key = 1").key == f"{section}.no_such_key"


def leaves(kind: type, place: str = "") -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(kind):
        at = f"{place}.{field.name}" if place else field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from leaves(field.type, at)
        elif get_origin(field.type) is not dict:
            yield at, field.type


@pytest.mark.parametrize("place", [place for place, _ in leaves(Settings)])
def test_every_setting_refuses_a_value_of_another_type(place: str) -> None:
    section, _, name = place.rpartition(".")
    head = f"[{section}]\n" if section else ""
    assert mistake(f"{head}{name} = 2026-01-01").key == place


@pytest.mark.parametrize(
    "place", [place for at, kind in NAMED.items() for place, _ in leaves(kind, at)]
)
def test_every_setting_of_a_named_table_does_too(place: str) -> None:
    section, _, name = place.rpartition(".")
    # Of a list it is the item that is wrong.
    assert mistake(f"[{section}]\n{name} = [1]").key.removesuffix("[0]") == place


def test_every_setting_says_what_it_means() -> None:
    described = [*leaves(Settings)]
    for at, kind in NAMED.items():
        described += leaves(kind, at)
    assert len(described) > 60
    for place, kind in described:
        schema = msgspec.json.schema(kind)
        assert schema.get("description"), place


def test_tables_inside_tables_are_read() -> None:
    text = """
        [providers.vendor.keys.one]
        key_env = "ONE"
        free."m-1.5" = { calls = 7, then = "refused" }
        [providers.vendor.keys.two]
        calls_a_minute = 3
        [providers.other.free."*"]
        tokens = 9
        resets_at = "07:30"
        time_zone = "Europe/Paris"
        [budgets.all]
        dollars = 0.1
        [cache]
        max_bytes = 5
        shortcuts.extract = { seconds = 60 }
    """
    settings = parse_settings(tomllib.loads(text), "file")
    assert settings.providers["vendor"].keys == {
        "one": KeySettings(key_env="ONE", free={"m-1.5": FreeTier(calls=7, then="refused")}),
        "two": KeySettings(calls_a_minute=3),
    }
    assert settings.providers["other"].free == {
        "*": FreeTier(tokens=9, resets_at="07:30", time_zone="Europe/Paris")
    }
    assert settings.budgets == {"all": Budget(dollars=0.1)}
    assert settings.cache.max_bytes == 5
    assert settings.cache.shortcuts == {"extract": CachedShortcut(seconds=60)}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    with pytest.raises(SettingsError, match=r"none\.toml: no such file"):
        load_settings(file)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        load_settings(tmp_path)
    assert caught.value.file == str(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"= 1", "is not TOML"), (b"[a\n", "is not TOML"), (b"a = '\xff'", "cannot be read")],
)
def test_what_is_not_toml_is_said_so(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=expected) as caught:
        load_settings(file)
    assert caught.value.file == str(file)


known_names = st.sampled_from(
    [
        *SECTIONS,
        "providers",
        "budgets",
        "keys",
        "free",
        "shortcuts",
        "directory",
        "path",
        "mode",
        "level",
        "boundary",
    ]
)
toml_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.times(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | known_names, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(known_names | st.text(max_size=8), toml_values, max_size=4))
def test_whatever_a_file_holds_it_is_settings_or_a_settings_error(raw: dict[str, Any]) -> None:
    error: SettingsError | None = None
    try:
        settings = parse_settings(raw, "file")
    except SettingsError as raised:
        error = raised
    if error is None:
        assert isinstance(settings, Settings)
    else:
        assert error.file == "file"
        assert error.expected


SOCKET_PLACES = [
    ("[socket]\npath = 'a'", {"ROUTERD_SOCKET": "b", "XDG_RUNTIME_DIR": "/c"}, "a"),
    ("", {"ROUTERD_SOCKET": "b", "XDG_RUNTIME_DIR": "/c"}, "b"),
    ("", {"ROUTERD_SOCKET": "unix:/b"}, "/b"),
    ("", {"ROUTERD_SOCKET": "unix:///b"}, "/b"),
    ("", {"ROUTERD_SOCKET": "", "XDG_RUNTIME_DIR": "/c"}, "/c/routerd/routerd.sock"),
    ("", {"XDG_RUNTIME_DIR": ""}, "/run/routerd/routerd.sock"),
    ("", {}, "/run/routerd/routerd.sock"),
]


@pytest.mark.parametrize(("text", "environ", "expected"), SOCKET_PLACES)
def test_where_the_socket_is(text: str, environ: dict[str, str], expected: str) -> None:
    settings = parse_settings(tomllib.loads(text), "file")
    assert socket_path(settings, environ) == Path(expected)


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("[ledger]\npath = 'a.db'", {"STATE_DIRECTORY": "/s"}, "a.db"),
        ("", {"STATE_DIRECTORY": "/s:/other", "XDG_STATE_HOME": "/x"}, "/s/ledger.db"),
        ("", {"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/routerd/ledger.db"),
        ("", {"HOME": "/h"}, "/h/.local/state/routerd/ledger.db"),
        ("", {}, str(Path.home() / ".local/state/routerd/ledger.db")),
    ],
)
def test_where_the_ledger_is(text: str, environ: dict[str, str], expected: str) -> None:
    settings = parse_settings(tomllib.loads(text), "file")
    assert ledger_path(settings, environ) == Path(expected)
