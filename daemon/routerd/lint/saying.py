"""How a finding is told: what it is, and what to do in its place."""

from __future__ import annotations

from typing import Final

from routerd.lint.findings import Finding, Kind
from routerd.lint.vendors import Vendor

__all__ = ["IN_PYTHON", "OVER_THE_SOCKET", "found"]

IN_PYTHON: Final = "ask routerd instead: from routerd_client import Client"
OVER_THE_SOCKET: Final = "ask routerd instead, over its socket: docs/protocol.md"
TEXTS: Final[dict[Kind, str]] = {
    "import": "import of {what}",
    "types": "import of {what}, for types only",
    "client": "a client of {what}",
    "host": "the address of the vendor's API ({name})",
    "dependency": "{name} is {what}",
}


def found(
    vendor: Vendor,
    kind: Kind,
    line: int,
    column: int,
    *,
    name: str,
    instead: str,
    last_line: int = 0,
) -> Finding:
    """Build a finding: whose it is, where, and what to do."""
    told = TEXTS[kind].format(what=vendor.what, name=name)
    return Finding(
        kind=kind,
        vendor=vendor.name,
        message=f"{vendor.name}: {told}; {instead}",
        line=line,
        column=column,
        last_line=last_line,
    )
