"""The starter configuration: what was found, and every setting with its meaning and its default.

Rules of this file: the text about a setting is the schema's own; nothing is described twice. Keys
are never written, only where they are found.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from routerd.app.local_servers import LocalServer
from routerd.app.startup import Startup
from routerd.settings import Settings

__all__ = [
    "default_of",
    "meaning",
    "named_tables",
    "plain",
    "settings_of",
    "starter_file",
]

WIDTH = 96
# What stands for the name of a table that there may be many of.
PLACEHOLDERS: Final = {"keys": "KEY", "free": "MODEL", "arms": "ARM"}
HEAD = """\
# The configuration of routerd. Every setting is here; what is commented out shows its default.
# Check it with:  routerd check --config FILE
"""


def starter_file(startup: Startup, found: list[LocalServer]) -> str:
    """Return the text of a configuration file for what was found."""
    lines = [HEAD]
    for field in msgspec.structs.fields(Settings):
        kind = plain(field.type)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            lines += _section(field.name, kind)
        elif get_origin(kind) is not dict:
            lines[0] += f"\n{_comment(meaning(field))}\n{_setting(field)}\n"
    for kind, places in named_tables().items():
        lines += _named(kind, places)
    lines += _providers(startup, found)
    return "\n".join(lines)


def named_tables() -> dict[type[msgspec.Struct], list[str]]:
    """Return the tables that there may be many of, each with its places in the file."""
    places: dict[type[msgspec.Struct], list[str]] = {}
    for place, kind in _find_named(Settings, ""):
        places.setdefault(kind, []).append(place)
    return places


def _find_named(
    kind: type[msgspec.Struct], place: str
) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for field in msgspec.structs.fields(kind):
        inner, here = plain(field.type), f"{place}.{field.name}".removeprefix(".")
        if get_origin(inner) is dict:
            here, inner = f"{here}.{PLACEHOLDERS.get(field.name, 'NAME')}", get_args(inner)[1]
            yield here, inner
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from _find_named(inner, here)


def settings_of(kind: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    """Return the settings of a table, the tables inside it left out."""
    return [
        field for field in msgspec.structs.fields(kind) if get_origin(plain(field.type)) is not dict
    ]


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """Return a setting's default; NODEFAULT where it must be given."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _section(name: str, kind: type[msgspec.Struct]) -> list[str]:
    lines = [_comment(kind.__doc__ or ""), f"[{name}]"]
    for field in settings_of(kind):
        lines += [_comment(meaning(field)), _setting(field)]
    return [*lines, ""]


def _setting(field: msgspec.structs.FieldInfo) -> str:
    value = default_of(field)
    if value is not None:
        return f"# {field.name} = {msgspec.json.encode(value).decode()}"
    # An empty text is an unset one; TOML has nothing that is an unset number.
    is_text = str in get_args(plain(field.type))
    return f'# {field.name} = ""  # unset' if is_text else f"# {field.name}: unset"


def _named(kind: type[msgspec.Struct], places: list[str]) -> list[str]:
    return [
        *(f"# [{place}]" for place in places),
        _comment(kind.__doc__ or ""),
        "# Its settings:",
        *(_comment(f"{field.name}: {meaning(field)}", indent=2) for field in settings_of(kind)),
        "",
    ]


def _providers(startup: Startup, found: list[LocalServer]) -> list[str]:
    lines = []
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


def meaning(field: msgspec.structs.FieldInfo) -> str:
    """Return what is said about a setting, and the values it is one of."""
    text, choices = _description(field.type), _choices(field.type)
    is_told = all(choice in text for choice in choices)
    return text if is_told else f"{text} One of {', '.join(choices)}."


def plain(kind: Any) -> Any:
    """Return a setting's type without what is said about it."""
    return (
        get_args(kind)[0]
        if get_origin(kind) is not None and hasattr(kind, "__metadata__")
        else kind
    )


def _description(kind: Any) -> str:
    """Find the description in a setting's type."""
    if isinstance(kind, msgspec.Meta):
        return kind.description or ""
    for inner in (*get_args(kind), *getattr(kind, "__metadata__", ())):
        text = _description(inner)
        if text:
            return text
    return ""


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for inner in get_args(kind) for choice in _choices(inner)]


def _comment(text: str, indent: int = 0) -> str:
    first, following = f"# {' ' * indent}", f"# {' ' * indent * 2}"
    return "\n".join(textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=following))
