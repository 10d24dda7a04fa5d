"""What is found in a file, and the comment that allows it.

Rules of this file: plain data and pure functions. Lines and columns count from 1, as editors do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct, structs

__all__ = ["Finding", "Kind", "keep_unallowed", "unreadable"]

Kind = Literal["import", "types", "client", "host", "dependency", "unreadable"]
# `# routerd: allow: we measure the vendor itself`, after // in JavaScript.
ALLOWING: Final = re.compile(r"(?:#|//|/\*)\s*routerd:\s*allow\b(?P<reason>.*)")
NO_REASON: Final = "; the comment that would allow it gives no reason: # routerd: allow: WHY"


class Finding(Struct, frozen=True, kw_only=True):
    """One place where a vendor is spoken to without routerd, or that nobody can vouch for.

    `vendor` is None where a file could not be read. `kind` is what was found, `message` says it.
    `last_line` is where the statement ends.
    """

    path: str = ""
    line: int = 1
    column: int = 1
    vendor: str | None = None
    kind: Kind
    message: str
    last_line: int = 0


def unreadable(why: str, line: int = 1, column: int = 1) -> Finding:
    """Say that a file which names a vendor could not be understood, and where."""
    return Finding(kind="unreadable", message=why, line=line, column=max(1, column))


def keep_unallowed(findings: Iterable[Finding], lines: Sequence[str]) -> list[Finding]:
    """Return the findings that no comment with a reason allows, on any line of the statement."""
    kept = []
    for finding in findings:
        last = max(finding.line, finding.last_line)
        matches = [
            match for line in lines[finding.line - 1 : last] if (match := ALLOWING.search(line))
        ]
        if any(_gives_reason(match["reason"]) for match in matches):
            continue
        if matches and finding.kind != "unreadable":
            finding = structs.replace(finding, message=finding.message + NO_REASON)  # noqa: PLW2901 - the same one, told more of
        kept.append(finding)
    return kept


def _gives_reason(text: str) -> bool:
    return any(character.isalnum() for character in text.removesuffix("*/"))
