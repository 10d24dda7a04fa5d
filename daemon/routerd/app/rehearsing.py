"""What a rehearsal starts with: the user's own settings, and stand-ins for keys that are not there.

Rules of this file: nothing is sent with a stand-in to a vendor. A key that can be read is left
where it is, because a server of your own may ask for it before it names its models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from routerd.errors import SettingsError
from routerd.models.directory import Directory
from routerd.models.schema import Provider
from routerd.settings import KeySettings, ProviderSettings, Settings, read_key

__all__ = ["Rehearsed", "with_stand_ins"]

# What a key in the environment cannot stand beside.
NO_OTHER: Final[dict[str, Any]] = {
    "key_file": None,
    "token_command": None,
    "token_metadata": None,
}


class Rehearsed(Struct, frozen=True):
    """Settings whose every key can be read in `environ`, where the `stand_ins` are.

    `missing` are the providers without a key.
    """

    settings: Settings
    environ: Mapping[str, str]
    stand_ins: Mapping[str, str]
    missing: tuple[str, ...]


def with_stand_ins(
    settings: Settings,
    directory: Directory,
    environ: Mapping[str, str],
    file: Path | str,
    *,
    for_all: bool = False,
) -> Rehearsed:
    """Put a throw-away key in the place of each that cannot be read, or `for_all` of every one.

    Reading keys blocks.
    """
    added: dict[str, str] = {}
    missing: list[str] = []
    providers = dict(settings.providers)

    def stand_in() -> str:
        name = f"ROUTERD_DRILL_KEY_{len(added) + 1}"
        added[name] = f"drill-{len(added) + 1}"
        return name

    def is_there(
        provider: str, table: ProviderSettings | KeySettings, name: str | None = None
    ) -> bool:
        if for_all or table.token_command is not None or table.token_metadata is not None:
            return not for_all  # a token is asked for later, by whoever needs one
        try:
            read_key(provider, table, environ, file, name=name, may_be_credentials=True)
        except SettingsError:
            missing.append(provider)
            return False
        return True

    for provider, table in settings.providers.items():
        if not table.enabled:
            continue
        if table.keys:
            keys = {
                name: item
                if is_there(provider, item, name)
                else structs.replace(item, key_env=stand_in(), **NO_OTHER)
                for name, item in table.keys.items()
            }
            providers[provider] = structs.replace(table, keys=keys)
            continue
        only = _with_only_key(table, directory.providers.get(provider))
        if only is not None and not is_there(provider, only):
            providers[provider] = structs.replace(table, key_env=stand_in(), **NO_OTHER)
    return Rehearsed(
        structs.replace(settings, providers=providers),
        {**environ, **added},
        added,
        tuple(dict.fromkeys(missing)),
    )


def _with_only_key(table: ProviderSettings, known: Provider | None) -> ProviderSettings | None:
    """Return the settings of a provider with one key as it is found; None if it takes none."""
    key_env = table.key_env or (known.key_env if known is not None else None)
    is_given = key_env or any(getattr(table, name) is not None for name in NO_OTHER)
    return structs.replace(table, key_env=key_env) if is_given and not table.keyless else None
