"""Which cases a test has, as pytest itself finds them, and whose each of them is.

What stands between signs in the name of a case may be the name of a wire. A test with cases of
several wires shows something of one of them only by that one's cases. Tests in the folder of a wire
are of nobody else, whatever their cases are called.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache

from tools.provider_tables import ROOT, Column

__all__ = ["cases_in", "names_in", "wires_in"]

FOLDER = "daemon/providers/"


@cache
def cases_in(files: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the cases of every test in these files, by `path::name`; "" where it has no cases.

    A file that needs what is not installed has none.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    paths = [f"tests/{file}" for file in files]
    found = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    cases: dict[str, list[str]] = {}
    for line in found.stdout.splitlines():
        if line.startswith("tests/") and "::" in line:
            test, _, case = line.removeprefix("tests/").partition("[")
            cases.setdefault(test, []).append(case.removesuffix("]"))
    return cases


def names_in(case: str, names: Iterable[str]) -> set[str]:
    """Return which of the names stand in the name of a case, the longest where one holds another.

    >>> sorted(names_in("openai-responses-x", ["openai", "openai-responses", "x"]))
    ['openai-responses', 'x']
    """
    longest_first = sorted(names, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first))
    return set(re.findall(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", case))


def wires_in(test: str, cases: Iterable[str], wires: Mapping[str, Column]) -> set[str]:
    """Return the wires that cases of a test are named for, as far as it can be theirs.

    A name that two have is the first one's.
    """
    homes = [column.home for column in wires.values() if test.startswith(f"{FOLDER}{column.home}/")]
    home = max(homes, key=len, default=None)
    owners: dict[str, str] = {}
    for wire, column in wires.items():
        for name in column.names:
            owners.setdefault(name, wire)
    named = {owners[name] for case in cases for name in names_in(case, owners)}
    return {wire for wire in named if home in (None, wires[wire].home)}
