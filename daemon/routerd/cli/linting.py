"""`routerd lint`: find what speaks to vendors without the router. Asks no daemon."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from routerd.cli.tables import print_json, printable
from routerd.errors import StartError
from routerd.lint.checking import Report, check_paths
from routerd.lint.findings import Finding

__all__ = ["configure"]

EPILOG = """\
what is reported:
  imports of vendors' SDKs, in any form, also in functions and for types only (TYPE_CHECKING);
  clients of Bedrock; addresses of vendors' APIs in strings; dependencies that are declared
where:
  Python, notebooks, JavaScript and TypeScript (also in Vue and Svelte), pyproject.toml,
  requirements*.txt, package.json; not in environments, node_modules, and what git ignores
to allow one place, with the reason:
  import openai  # routerd: allow: we measure the vendor itself
  the same after // in JavaScript; package.json: "routerd": {"allow": {"openai": "the reason"}}

A file that names a vendor and cannot be parsed is reported, and the rest goes on.
Exit codes: 0 nothing found, 1 something found, 2 a PATH is not there."""


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=lint, verb=verb)
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a file or a folder; repeatable"
    )
    parser.add_argument(
        "--no-dependencies", action="store_true", help="leave out what projects declare to need"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def lint(arguments: argparse.Namespace) -> int:
    """Print every place found; 1 where there is one."""
    for path in arguments.paths:
        if not path.exists():
            raise StartError(f"{path}: no such file or folder.")
    report = check_paths(arguments.paths, dependencies=not arguments.no_dependencies)
    if arguments.json:
        print_json(_as_data(report))
    else:
        for finding in report.findings:
            place = f"{finding.path}:{finding.line}:{finding.column}"
            print(printable(f"{place}: {finding.message}"))
        for path in report.too_large:
            print(printable(f"routerd: {path} is too large to be looked at"), file=sys.stderr)
        print(_summary(report), file=sys.stderr)
    return 1 if report.findings else 0


def _summary(report: Report) -> str:
    files = "1 file" if report.files == 1 else f"{report.files} files"
    if not report.findings:
        return f"no vendor is spoken to without routerd in {files}"
    places = "1 place" if len(report.findings) == 1 else f"{len(report.findings)} places"
    return f"{places} in {len({item.path for item in report.findings})} of {files}"


def _as_data(report: Report) -> dict[str, Any]:
    return {
        "findings": [_finding_as_data(finding) for finding in report.findings],
        "files": report.files,
        "too_large": [_as_text(path) for path in report.too_large],
    }


def _finding_as_data(finding: Finding) -> dict[str, Any]:
    return {
        "path": _as_text(finding.path),
        "line": finding.line,
        "column": finding.column,
        "vendor": finding.vendor,
        "kind": finding.kind,
        "message": finding.message,
    }


def _as_text(path: str) -> str:
    """Write a path of any bytes as JSON can."""
    return os.fsencode(path).decode("utf-8", "replace")
