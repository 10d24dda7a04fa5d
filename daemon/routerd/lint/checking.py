"""Look through files: which reader a file is for, and what it found.

Rules of this file: no file stops the rest. A file that names no vendor anywhere is not parsed, and
so not judged either; one that does and cannot be understood is reported, since nobody can vouch for
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from routerd.lint.files import files_under
from routerd.lint.findings import Finding, unreadable
from routerd.lint.manifests import check_package_json, check_pyproject, check_requirements
from routerd.lint.names import names_a_vendor
from routerd.lint.notebooks import check_notebook
from routerd.lint.python import check_python
from routerd.lint.script import check_script, scripts_of

__all__ = ["Report", "check_paths"]

# More is data or a bundle, and neither is written by hand.
MAX_BYTES: Final = 5_000_000
SHEBANG_BYTES: Final = 200
PYTHON: Final = frozenset({".py", ".pyi", ".pyw"})
SCRIPTS: Final = frozenset({".cjs", ".cts", ".js", ".jsx", ".mjs", ".mts", ".ts", ".tsx"})
PAGES: Final = frozenset({".svelte", ".vue"})
NOTEBOOK: Final = ".ipynb"
# A file without a suffix may be a script, and says so in its first line.
SUFFIXES: Final = PYTHON | SCRIPTS | PAGES | {NOTEBOOK, ""}
SHEBANG: Final = re.compile(rb"#!.*?\b(?:(?P<python>python)|node|deno|bun)")
MANIFESTS: Final[dict[str, Callable[[str], list[Finding]]]] = {
    "package.json": check_package_json,
    "pyproject.toml": check_pyproject,
}
REQUIREMENTS: Final = re.compile(r".*requirements.*\.(?:txt|in)")


class Report(Struct):
    """What was found in how many files, and which of them are too large to be looked at."""

    findings: list[Finding] = []
    files: int = 0
    too_large: list[str] = []


def check_paths(paths: Iterable[Path], *, dependencies: bool = True) -> Report:
    """Look through files and folders, each file once; the findings are in the order of the files.

    Without `dependencies` what projects declare is left out.
    """
    report = Report()
    seen: set[str] = set()
    for path in paths:
        for file in _files(path, report):
            if (whole := str(Path(file).absolute())) in seen:
                continue
            seen.add(whole)
            _check_file(file, report, dependencies=dependencies)
    return report


def _files(path: Path, report: Report) -> Iterable[str]:
    if not path.is_dir():
        return [str(path)]
    return files_under(
        path,
        lambda folder, why: report.findings.append(structs.replace(unreadable(why), path=folder)),
    )


def _check_file(path: str, report: Report, *, dependencies: bool) -> None:
    name, suffix = Path(path).name, Path(path).suffix.lower()
    is_manifest = name in MANIFESTS or REQUIREMENTS.fullmatch(name) is not None
    if (is_manifest and not dependencies) or not (is_manifest or suffix in SUFFIXES):
        return
    try:
        data = _read(path, suffix)
    except OSError as error:
        found = [unreadable(f"cannot be read: {error.strerror}")]
    else:
        if data is None:
            return
        if len(data) > MAX_BYTES:
            report.too_large.append(path)
            return
        found = _check(name, suffix, data)
    report.files += 1
    report.findings += [structs.replace(item, path=path) for item in found]


def _read(path: str, suffix: str) -> bytes | None:
    """Read a file, as far as it is looked at; None where one without a suffix is no script."""
    with Path(path).open("rb") as file:
        if suffix:
            return file.read(MAX_BYTES + 1)
        start = file.readline(SHEBANG_BYTES)
        return start + file.read(MAX_BYTES + 1) if SHEBANG.match(start) else None


def _check(name: str, suffix: str, data: bytes) -> list[Finding]:
    """Return what the reader of a kind of file finds."""
    if name in MANIFESTS or REQUIREMENTS.fullmatch(name):
        return MANIFESTS.get(name, check_requirements)(_text(data))
    if not names_a_vendor(data):
        return []
    if suffix == NOTEBOOK:
        return check_notebook(data)
    if suffix in PAGES:
        return check_script(scripts_of(_text(data)))
    shebang = None if suffix else SHEBANG.match(data)
    is_python = shebang["python"] if shebang is not None else suffix in PYTHON
    return check_python(data) if is_python else check_script(_text(data))


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", "replace")
