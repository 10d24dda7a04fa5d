"""What a project declares to need: pyproject.toml, requirements*.txt, package.json.

Rules of this file: pure. Lock files are not looked at: what is in them somebody else asked for.
JSON has no comments, so that package.json allows a package in a table of its own:
`"routerd": {"allow": {"openai": "WHY"}}`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from routerd.lint.findings import Finding, keep_unallowed, unreadable
from routerd.lint.names import find_distribution, find_package
from routerd.lint.saying import IN_PYTHON, OVER_THE_SOCKET, found

__all__ = ["check_package_json", "check_pyproject", "check_requirements"]

NAME: Final = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
TOML_PLACE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
NPM_TABLES: Final = (
    "dependencies",
    "devDependencies",
    "peerDependencies",
    "optionalDependencies",
)


def check_requirements(text: str) -> list[Finding]:
    """Return the requirements that lead to a vendor."""
    lines = text.split("\n")
    findings = []
    for number, line in enumerate(lines, 1):
        match = NAME.match(line)
        if match is not None and (vendor := find_distribution(match["name"])):
            place = (number, match.start("name") + 1)
            findings.append(
                found(vendor, "dependency", *place, name=match["name"], instead=IN_PYTHON)
            )
    return keep_unallowed(findings, lines)


def check_pyproject(text: str) -> list[Finding]:
    """Return the dependencies of any group that lead to a vendor."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = TOML_PLACE.search(str(error))
        line, column = (int(part) for part in place.groups()) if place else (1, 1)
        return [unreadable(f"is no TOML: {error}", line, column)]
    lines = text.split("\n")
    places = _Places(lines)
    findings = []
    for written, is_key in _declared(document):
        match = NAME.match(written)
        if match is not None and (vendor := find_distribution(match["name"])):
            line, column = places.find(written, is_key=is_key)
            findings.append(
                found(vendor, "dependency", line, column, name=match["name"], instead=IN_PYTHON)
            )
    return keep_unallowed(findings, lines)


def check_package_json(text: str) -> list[Finding]:
    """Return the packages that lead to a vendor."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        return [unreadable(f"is no JSON: {error.msg}", error.lineno, error.colno)]
    except RecursionError:
        return [unreadable("is no JSON that can be read: it is nested too deeply")]
    allowed = _at(document, "routerd", "allow")
    places = _Places(text.split("\n"))
    findings = []
    for table in NPM_TABLES:
        for name, version in _at(document, table).items():
            # An alias says in its version what it stands for: npm:openai@4.
            real = str(version).removeprefix("npm:").rpartition("@")[0]
            vendor = find_package(name) or (find_package(real) if real else None)
            if vendor is None or str(allowed.get(name, "")).strip():
                continue
            line, column = places.find(name, is_key=True)
            findings.append(
                found(vendor, "dependency", line, column, name=name, instead=OVER_THE_SOCKET)
            )
    return findings


def _declared(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield what is asked for, as it is written, and whether it is written as a key."""
    yield from _strings(_at(document, "project").get("dependencies"))
    for tables in (
        _at(document, "project", "optional-dependencies"),
        _at(document, "dependency-groups"),
        _at(document, "tool", "pdm", "dev-dependencies"),
    ):
        for group in tables.values():
            yield from _strings(group)
    yield from _strings(_at(document, "tool", "uv").get("dev-dependencies"))
    poetry = _at(document, "tool", "poetry")
    groups = [group for group in _at(poetry, "group").values() if isinstance(group, dict)]
    for group in (poetry, *groups):
        for table in ("dependencies", "dev-dependencies"):
            yield from ((name, True) for name in _at(group, table))


def _strings(found: Any) -> Iterator[tuple[str, bool]]:
    if isinstance(found, list):
        yield from ((item, False) for item in found if isinstance(item, str))


def _at(document: Any, *place: str) -> dict[str, Any]:
    """Return the table at a place, empty where there is none."""
    for name in place:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


class _Places:
    """Finds where names and texts are written; parsers do not tell. Each place is told once."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = list(lines)
        self._told: set[tuple[int, int]] = set()

    def find(self, written: str, *, is_key: bool) -> tuple[int, int]:
        """Return line and column, counted from 1; the start of the file where it is not found."""
        text = re.escape(written)
        pattern = re.compile(
            rf"""(?P<at>["']?{text}["']?)\s*[:=]""" if is_key else rf"""(?P<at>["']{text}["'])"""
        )
        for number, line in enumerate(self._lines, 1):
            for match in pattern.finditer(line):
                place = (number, match.start("at") + 1)
                if place not in self._told and (not is_key or _is_start(line, match.start("at"))):
                    self._told.add(place)
                    return place
        return 1, 1


def _is_start(line: str, index: int) -> bool:
    return not line[:index].strip() or line[:index].rstrip()[-1] in "{,"
