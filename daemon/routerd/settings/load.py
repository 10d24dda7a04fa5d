"""From a file to settings, and from settings to paths and keys.

Rules of this file: every mistake becomes a SettingsError that names the file, the key and what was
expected. Reading blocks, so it happens before the event loop runs. A key leaves this file only as
the return value of `read_key`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from routerd.errors import SettingsError
from routerd.settings.mistakes import explain_mistake
from routerd.settings.money import Budget, CachedShortcut, Caching, FreeTier, KeySettings
from routerd.settings.promises import Promise
from routerd.settings.routing import Arm, Experiment, PolicySettings, Rule, Shadow
from routerd.settings.schema import ProviderSettings, Settings

__all__ = ["ledger_path", "load_settings", "read_key", "shipped_rules", "socket_path"]

Section = TypeVar("Section", bound=msgspec.Struct)

# Tables of tables are read one by one, so that a mistake is named with its place.
TABLES: Final[dict[type, dict[str, type]]] = {
    Settings: {
        "providers": ProviderSettings,
        "budgets": Budget,
        "cache": Caching,
        "rules": Rule,
        "policies": PolicySettings,
        "experiments": Experiment,
        "shadows": Shadow,
        "promises": Promise,
    },
    Experiment: {"arms": Arm},
    Caching: {"shortcuts": CachedShortcut},
    ProviderSettings: {"keys": KeySettings, "free": FreeTier},
    KeySettings: {"free": FreeTier},
}
SINGLE: Final = frozenset({Caching})


def load_settings(path: Path) -> Settings:
    """Read a TOML file; SettingsError names the file, the key and what was expected."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError("no such file", file=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", file=path) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"is not TOML: {error}", file=path) from error
    return parse_settings(raw, path)


def shipped_rules() -> dict[str, Rule]:
    """Return the rules that come with routerd; reading them blocks."""
    file = files(__package__) / "data" / "rules.toml"
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    return parse_settings(raw, str(file)).rules


def parse_settings(raw: dict[str, Any], file: Path | str) -> Settings:
    """Check a parsed file against the schema."""
    _refuse_infinite(raw, file)
    return _convert_tables(raw, Settings, file, "")


def _convert_tables(raw: Any, section: type[Section], file: Path | str, prefix: str) -> Section:
    """Check a table and, each on its own, the tables of tables in it."""
    nested = TABLES.get(section, {})
    if not isinstance(raw, dict) or not nested.keys() & raw.keys():
        return _convert(raw, section, file, prefix)
    found: dict[str, Any] = {}
    for name, kind in nested.items():
        if name not in raw:
            continue
        tables, key = raw[name], f"{prefix}.{name}".removeprefix(".")
        if not isinstance(tables, dict):
            raise SettingsError("expected a table", file=file, key=key)
        if kind in SINGLE:
            found[name] = _convert_tables(tables, kind, file, key)
        else:
            found[name] = {
                inner: _convert_tables(table, kind, file, f"{key}.{inner}")
                for inner, table in tables.items()
            }
    rest = {key: value for key, value in raw.items() if key not in nested}
    return msgspec.structs.replace(_convert(rest, section, file, prefix), **found)


def _convert(raw: Any, section: type[Section], file: Path | str, prefix: str) -> Section:
    try:
        return msgspec.convert(raw, section)
    except msgspec.ValidationError as error:
        inner, what = explain_mistake(error, section)
        raise SettingsError(what, file=file, key=_key(prefix, inner)) from None


def _key(prefix: str, inner: tuple[str, ...]) -> str:
    """Write a place as people do: `providers.openai.base_url`, `directory[1]`."""
    key = prefix
    for part in inner:
        key += f"[{part}]" if part.isdecimal() else f".{part}"
    return key.removeprefix(".")


def _refuse_infinite(raw: Any, file: Path | str, key: str = "") -> None:
    """Refuse TOML's `inf` and `nan`: no timer can be set to them, and no range excludes them."""
    if isinstance(raw, dict):
        for name, value in raw.items():
            _refuse_infinite(value, file, f"{key}.{name}" if key else name)
    elif isinstance(raw, float) and not math.isfinite(raw):
        raise SettingsError(f"expected a finite number, got {raw}", file=file, key=key)


def socket_path(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return where the socket is to be: the setting, the environment, else the usual places."""
    if settings.socket.path:
        return Path(settings.socket.path)
    if environ.get("ROUTERD_SOCKET"):
        return Path(environ["ROUTERD_SOCKET"].removeprefix("unix://").removeprefix("unix:"))
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / "routerd" / "routerd.sock"
    return Path("/run/routerd/routerd.sock")


def ledger_path(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return where the ledger is to be."""
    if settings.ledger.path:
        return Path(settings.ledger.path)
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0]) / "ledger.db"
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"]) / "routerd" / "ledger.db"
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return home / ".local/state/routerd/ledger.db"


def read_key(
    provider: str,
    settings: ProviderSettings | KeySettings,
    environ: Mapping[str, str],
    file: Path | str = "",
    *,
    name: str | None = None,
    may_be_credentials: bool = False,
) -> str | None:
    """Return the only key of a provider, or the one called `name`; None if it takes none.

    `may_be_credentials` says that a document in JSON may be in its place, of any number of lines.

    A key file comes first, then a systemd credential (`provider`, or `provider.name`), then the
    environment variable: a file can be replaced before a reload and is not seen in /proc.
    SettingsError where a key is needed and none is found.
    """
    place, credential_name, way_out = f"providers.{provider}", provider, " (or set enabled = false)"
    if name is not None:
        place, credential_name, way_out = f"{place}.keys.{name}", f"{provider}.{name}", ""
    if isinstance(settings, ProviderSettings) and settings.keyless:
        return None
    if settings.key_file:
        path = Path(settings.key_file)
        return _read_key_file(path, file, f"{place}.key_file", is_lenient=may_be_credentials)
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent") / credential_name
    if credential.is_file():
        return _read_key_file(credential, file, place, is_lenient=may_be_credentials)
    key = environ.get(settings.key_env or "", "").strip()
    if key:
        source = f"${settings.key_env}"
        _check_key(key, source, file, f"{place}.key_env", is_lenient=may_be_credentials)
        return key
    wanted = f"the environment variable {settings.key_env}, " if settings.key_env else ""
    raise SettingsError(
        f"no key: expected {wanted}a key_file, or a systemd credential named {credential_name}"
        f"{way_out}",
        file=file,
        key=f"{place}.{'key_env' if settings.key_env else 'key_file'}",
    )


def _read_key_file(path: Path, file: Path | str, setting: str, *, is_lenient: bool) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error}", file=file, key=setting) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not text", file=file, key=setting) from None
    if not key:
        raise SettingsError(f"{path} is empty; expected a key", file=file, key=setting)
    _check_key(key, str(path), file, setting, is_lenient=is_lenient)
    return key


def _check_key(key: str, source: str, file: Path | str, setting: str, *, is_lenient: bool) -> None:
    """Refuse what no header can carry: it would fail at every call instead of at the start."""
    if is_lenient and key.startswith("{"):
        return
    if not all("!" <= character <= "~" for character in key):
        raise SettingsError(
            f"{source} holds no key: expected one line of ASCII without spaces",
            file=file,
            key=setting,
        )
