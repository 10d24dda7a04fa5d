"""From settings to sources of access tokens: a command, a metadata server, or credentials.

Rules of this file: those of `keys`. A mistake is a SettingsError that names its place and shows no
secret.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from routerd.errors import SettingsError
from routerd.providers.tokens import CommandSource, MetadataSource, TokenSource, read_credentials
from routerd.providers.tokens.source import DEFAULT_SECONDS
from routerd.settings import KeySettings, ProviderSettings

__all__ = ["source_of_key", "source_of_settings"]

# It names a host and a port in place of the usual address; Google's own clients read it.
METADATA_HOST: Final = "GCE_METADATA_HOST"


def source_of_settings(
    item: ProviderSettings | KeySettings,
    environ: Mapping[str, str],
    file: Path | str,
    place: str,
) -> TokenSource | None:
    """Return the source that settings name in place of a key; None where they name none.

    Looking for a program blocks.
    """
    given = {
        "token_command": item.token_command is not None,
        "token_metadata": item.token_metadata is not None,
        "key_file": bool(item.key_file),
        "key_env": bool(item.key_env),
        "keyless": isinstance(item, ProviderSettings) and item.keyless,
    }
    named = [name for name, is_given in given.items() if is_given]
    if item.token_command is None and item.token_seconds != DEFAULT_SECONDS:
        raise SettingsError(
            "is for tokens of token_command, which is not set",
            file=file,
            key=f"{place}.token_seconds",
        )
    if not named or named[0] not in ("token_command", "token_metadata"):
        return None
    if len(named) > 1:
        raise SettingsError(
            f"is in place of a key: leave {' and '.join(named[1:])} out",
            file=file,
            key=f"{place}.{named[0]}",
        )
    if item.token_command is None:
        return MetadataSource(environ.get(METADATA_HOST) or None)
    words = tuple(item.token_command)
    if not words or shutil.which(words[0], path=environ.get("PATH")) is None:
        raise SettingsError(
            "expected a program that can be run, and its arguments",
            file=file,
            key=f"{place}.token_command",
        )
    return CommandSource(words, item.token_seconds)


def source_of_key(key: str | None, file: Path | str, place: str) -> TokenSource | None:
    """Return the source that a key is the credentials of; None where it is sent as it stands."""
    try:
        return read_credentials(key)
    except ValueError as mistake:
        raise SettingsError(str(mistake), file=file, key=place) from None
