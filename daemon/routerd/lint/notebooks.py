"""Notebooks: the Python of their code cells.

Rules of this file: pure. What IPython adds to the language is blanked out first. A finding is
placed where its line stands in the file, so that an editor finds it, and says of which cell it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import structs

from routerd.lint.findings import Finding, unreadable
from routerd.lint.names import names_a_vendor
from routerd.lint.python import check_python

__all__ = ["check_notebook"]

# Magics of a cell after which it is still Python.
PYTHON_CELLS: Final = ("%%capture", "%%prun", "%%time", "%%timeit")
# A magic, a shell command or a question for help, alone on its line or assigned.
MAGIC: Final = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*)$")
ASSIGNED: Final = re.compile(r"^(\s*[\w., ]+=\s*)[%!].*$")


def check_notebook(source: bytes) -> list[Finding]:
    """Return the findings of all code cells; one of them that is no Python is a finding."""
    try:
        text = source.decode()
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        return [unreadable(f"is no notebook: {error.msg}", error.lineno, error.colno)]
    except (ValueError, RecursionError) as error:
        return [unreadable(f"is no notebook: {error}")]
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        return [unreadable("is no notebook: it has no cells")]
    if not _is_python(notebook):
        return []
    findings: list[Finding] = []
    places = _Places(text)
    for number, cell in enumerate(notebook["cells"], 1):
        lines = _lines_of(cell)
        if lines is None or not names_a_vendor("\n".join(lines).encode("utf-8", "replace")):
            continue
        for finding in check_python("\n".join(_plain(lines))):
            place = places.find(number, finding.line, lines[min(finding.line, len(lines)) - 1])
            where = f"{finding.message} (cell {number}, line {finding.line})"
            findings.append(structs.replace(finding, line=place, last_line=0, message=where))
    return findings


def _is_python(notebook: dict[str, Any]) -> bool:
    metadata = notebook.get("metadata")
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = spec.get("language", "python") if isinstance(spec, dict) else "python"
    return str(language).lower() == "python"


def _lines_of(cell: Any) -> list[str] | None:
    """Return the lines of a code cell, None where it is no Python."""
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return None
    first = source.lstrip().partition("\n")[0]
    if first.startswith("%%") and not first.startswith(PYTHON_CELLS):
        return None
    return source.split("\n")


def _plain(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield ASSIGNED.sub(r"\1None", MAGIC.sub(r"\1pass", line))


class _Places:
    """Finds lines of cells in the file, each behind the one asked for before.

    Notebooks are written with one line of source on one line of JSON. Where that is not so, the
    line found last is as near as can be told.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._last = 0
        self._known: dict[tuple[int, int], int] = {}

    def find(self, cell: int, number: int, line: str) -> int:
        """Return where a line of a cell is, counted from 1."""
        if (cell, number) not in self._known:
            written = {json.dumps(line, ensure_ascii=flag)[:-1] for flag in (True, False)}
            for index in range(self._last, len(self._lines)):
                if any(text in self._lines[index] for text in written):
                    self._last = index + 1
                    break
            self._known[cell, number] = max(1, self._last)
        return self._known[cell, number]
