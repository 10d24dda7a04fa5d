"""The starter configuration: what was found, and every setting with its meaning and its default.

Rules of this file: the text about a setting is the schema's own; nothing is described twice. Keys
are never written, only where they are found.
"""

from __future__ import annotations

import textwrap
from typing import Any, get_args, get_origin

import msgspec

from routerd.app.local_servers import LocalServer
from routerd.app.startup import Startup
from routerd.settings import ProviderSettings, Settings

__all__ = ["description", "plain", "starter_file"]

WIDTH = 96
HEAD = """\
# The configuration of routerd. Every setting is here; what is commented out shows its default.
# Check it with:  routerd check --config FILE
"""


def starter_file(startup: Startup, found: list[LocalServer]) -> str:
    """Return the text of a configuration file for what was found."""
    lines = [HEAD]
    for field in msgspec.structs.fields(Settings):
        if field.name == "providers":
            continue
        kind = plain(field.type)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            lines += _section(field.name, kind)
        else:
            lines[0] += f"\n{_comment(description(field.type))}\n# {field.name} = []\n"
    lines += _providers(startup, found)
    return "\n".join(lines)


def _section(name: str, kind: type[msgspec.Struct]) -> list[str]:
    lines = [_comment(kind.__doc__ or ""), f"[{name}]"]
    for field in msgspec.structs.fields(kind):
        lines.append(_comment(description(field.type)))
        lines.append(f"# {field.name} = {_toml(field.default)}")
    return [*lines, ""]


def _providers(startup: Startup, found: list[LocalServer]) -> list[str]:
    lines = [
        _comment(ProviderSettings.__doc__ or ""),
        "# Its settings:",
        *(
            _comment(f"  {field.name}: {description(field.type)}")
            for field in msgspec.structs.fields(ProviderSettings)
        ),
        "",
    ]
    for name, item in startup.providers.items():
        lines += [f"[providers.{name}]", f'key_env = "{item.entry.key_env}"  # found', ""]
    for server in found:
        models = ", ".join(model.id for model in server.models)
        lines += [
            _comment(
                f"Found {server.provider.entry.id} with {models}. It is looked for at every start"
            ),
            "# while discovery.local_servers is true.",
            "",
        ]
    for name, entry in startup.directory.providers.items():
        if entry.key_env and name not in startup.providers:
            lines += [f"# [providers.{name}]", f'# key_env = "{entry.key_env}"', ""]
    return lines


def description(kind: Any) -> str:
    """Find the description in a setting's type."""
    if isinstance(kind, msgspec.Meta):
        return kind.description or ""
    for inner in (*get_args(kind), *getattr(kind, "__metadata__", ())):
        text = description(inner)
        if text:
            return text
    return ""


def plain(kind: Any) -> Any:
    """Return a setting's type without what is said about it."""
    return (
        get_args(kind)[0]
        if get_origin(kind) is not None and hasattr(kind, "__metadata__")
        else kind
    )


def _comment(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# "))


def _toml(value: Any) -> str:
    if value is None:
        return '""  # unset'
    return msgspec.json.encode(value).decode()
