"""Writes the tables of docs/configuration.md from the schema of the settings.

    .venv/bin/python tools/configuration_tables.py

The text about a setting is the schema's own, so that the file, the document and `routerd init` say
the same. A test fails where the document was not written anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from routerd.cli.starter import default_of, meaning, named_tables, plain, settings_of
from routerd.settings import Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "configuration.md"
BEGIN = "<!-- written by tools/configuration_tables.py -->"
END = "<!-- end -->"
HEAD = "| setting | default | meaning |\n| --- | --- | --- |\n"


def tables() -> str:
    """Return the sections of the document, one table each."""
    texts = []
    loose = ""
    for field in settings_of(Settings):
        kind = plain(field.type)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            texts.append(section(f"[{field.name}]", kind))
        else:
            loose += row(field)
    for kind, places in named_tables().items():
        texts.append(section(" and ".join(f"[{place}]" for place in places), kind))
    first = f"### At the top of the file\n\nBefore the first section.\n\n{HEAD}{loose}"
    return "\n".join([first, *texts])


def section(name: str, kind: type[msgspec.Struct]) -> str:
    """Return one section of the file."""
    rows = "".join(row(field) for field in settings_of(kind))
    return f"### {name}\n\n{kind.__doc__}\n\n{HEAD}{rows}"


def row(field: msgspec.structs.FieldInfo) -> str:
    """Return one setting."""
    return f"| `{field.name}` | {default(field)} | {meaning(field)} |\n"


def default(field: msgspec.structs.FieldInfo) -> str:
    """Return the default as the file would write it."""
    value: Any = default_of(field)
    if value is msgspec.NODEFAULT:
        return "must be given"
    if value is None:
        return "unset"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{msgspec.json.encode(value).decode()}`"


def rewritten(text: str) -> str:
    """Return the document with its tables written anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {DOCUMENT}\n")
