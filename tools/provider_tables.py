"""Writes the tables of docs/providers.md: who is known, the dialects, and what each wire carries.

    .venv/bin/python tools/provider_tables.py

The last comes from tests/daemon/providers/coverage: tables.toml names the wires and the features,
and a file for each wire says of every feature what is true and which tests show it. How the servers
of the compatible family differ stands in family.toml, a test for each feature with a case for each
server. A test fails where the document was not written anew, where a cell is missing, or where a
test that is named does not exist.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct, convert

from routerd.models import load_directory
from routerd.providers.registry import KNOWN

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "providers.md"
TESTS = ROOT / "tests"
COVERAGE = TESTS / "daemon" / "providers" / "coverage"
FAMILY_TESTS = "daemon/providers/openai/test_servers.py"
BEGIN = "<!-- {} written by tools/provider_tables.py -->"
END = "<!-- end -->"


class Cell(Struct, frozen=True, forbid_unknown_fields=True):
    """What one wire does with one feature.

    `how` says it in a few words. `tests` are `path::name` or `path::class::name`, the path from
    the folder of the tests, with the cases that are meant in brackets where not all of them are.
    """

    verdict: Literal["carried", "left out", "refused", "none"]
    how: str
    tests: tuple[str, ...]


class Column(Struct, frozen=True, forbid_unknown_fields=True):
    """One wire: its title, what it is called in cases of tests, and the folder of its own tests."""

    title: str
    names: tuple[str, ...]
    home: str


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """One table: the titles of its features, and its wires, each in order and by name."""

    title: str
    features: dict[str, str]
    wires: dict[str, Column]


class Difference(Struct, frozen=True, forbid_unknown_fields=True):
    """One feature of the compatible family: its title, its test, and the servers of each value."""

    title: str
    test: str
    values: dict[str, tuple[str, ...]]

    def of(self, server: str) -> str:
        """Return what one server does; ValueError unless exactly one value is its own."""
        [value] = [value for value, servers in self.values.items() if server in servers]
        return value


class Family(Struct, frozen=True, forbid_unknown_fields=True):
    """The servers of the compatible family, and how they differ, each in order."""

    servers: tuple[str, ...]
    features: dict[str, Difference]


def read_family() -> Family:
    """Return how the servers of the compatible family differ."""
    text = (COVERAGE / "family.toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text), Family)


def read_tables() -> dict[str, Table]:
    """Return the tables by name."""
    text = (COVERAGE / "tables.toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text), dict[str, Table])


def read_cells(table: str, wire: str) -> dict[str, Cell]:
    """Return what a wire does with each feature."""
    text = (COVERAGE / table / f"{wire}.toml").read_text(encoding="utf-8")
    rows = convert(tomllib.loads(text), dict[str, list[str]])
    return {
        feature: convert({"verdict": row[0], "how": row[1], "tests": row[2:]}, Cell)
        for feature, row in rows.items()
    }


def providers() -> str:
    """Return the table of the providers that the directory knows."""
    lines = ["| provider | wire | address |", "| --- | --- | --- |"]
    for name, entry in load_directory().providers.items():
        dialect = f", dialect `{entry.dialect}`" if entry.dialect else ""
        lines.append(f"| `{name}` | `{entry.adapter}`{dialect} | `{entry.base_url}` |")
    return "\n".join(lines) + "\n"


def dialects() -> str:
    """Return the table of the wires and their dialects."""
    lines = ["| wire | dialects |", "| --- | --- |"]
    for name, known in KNOWN.items():
        lines.append(f"| `{name}` | {', '.join(f'`{one}`' for one in known) or 'none'} |")
    return "\n".join(lines) + "\n"


def coverage() -> str:
    """Return the tables of what each wire carries."""
    return "\n".join(section(name, table) for name, table in read_tables().items())


def family() -> str:
    """Return the table of the servers of the compatible family."""
    found = read_family()
    titles = " | ".join(f"`{server}`" for server in found.servers)
    lines = [f"| | {titles} | shown by |", "| --- |" + " --- |" * (len(found.servers) + 1)]
    for feature in found.features.values():
        values = " | ".join(map(feature.of, found.servers))
        lines.append(f"| {feature.title} | {values} | {link(f'{FAMILY_TESTS}::{feature.test}')} |")
    return "\n".join(lines) + "\n"


def section(name: str, table: Table) -> str:
    """Return a table of all wires, and what each cell of it rests on, wire by wire."""
    cells = {wire: read_cells(name, wire) for wire in table.wires}
    titles = " | ".join(column.title for column in table.wires.values())
    lines = [f"### {table.title}", "", f"| | {titles} |", "| --- |" + " --- |" * len(cells)]
    for feature, title in table.features.items():
        verdicts = " | ".join(cells[wire][feature].verdict for wire in table.wires)
        lines.append(f"| {title} | {verdicts} |")
    for wire, column in table.wires.items():
        lines += ["", f"#### {table.title}: {column.title}", ""]
        lines += ["| feature | | how | shown by |", "| --- | --- | --- | --- |"]
        lines += [row(feature, cells[wire][name_of]) for name_of, feature in table.features.items()]
    return "\n".join(lines) + "\n"


def row(feature: str, cell: Cell) -> str:
    """Return one feature of one wire."""
    return f"| {feature} | {cell.verdict} | {cell.how} | {', '.join(map(link, cell.tests))} |"


def link(test: str) -> str:
    """Return the name of a test with the cases that are meant, and the way to its file."""
    path, function, meant = parted(test)
    cases = f"[{', '.join(meant)}]" if meant else ""
    return f"[`{function.rpartition('::')[2]}{cases}`](../tests/{path})"


def parted(test: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the file of a test, its name there, and the cases that are meant, () for all."""
    path, _, name = test.partition("::")
    function, _, cases = name.partition("[")
    return path, function, tuple(filter(None, cases.removesuffix("]").split(", ")))


BLOCKS: dict[str, Callable[[], str]] = {
    "providers": providers,
    "dialects": dialects,
    "coverage": coverage,
    "family": family,
}


def rewritten(text: str) -> str:
    """Return the document with its tables written anew."""
    for name, write in BLOCKS.items():
        begin = BEGIN.format(name)
        before, found, rest = text.partition(begin)
        _, end, after = rest.partition(END)
        if not found or not end:
            raise ValueError(f"the document has no {begin} and {END}")
        text = f"{before}{begin}\n\n{write()}\n{END}{after}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {DOCUMENT}\n")
