"""JavaScript and TypeScript: imports and requires of packages, addresses in strings.

Rules of this file: pure, by tokens, since the language has no parser here. Comments are no source,
strings no code; in a template only what stands in `${}` is. Where a quote or a slash could open two
things (text of JSX, a regular expression) it opens what ends on its line, or else nothing, so that
a wrong guess costs a line and not the rest of the file. Nothing is ever too broken to be scanned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from routerd.lint.findings import Finding, Kind, keep_unallowed
from routerd.lint.names import find_host, find_package
from routerd.lint.saying import OVER_THE_SOCKET, found
from routerd.lint.vendors import Vendor

__all__ = ["check_script", "scripts_of"]

# Possessive, so that none of them ever goes back over what it has read.
TOKEN: Final = re.compile(
    r"(?P<space>\s++|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?)|(?P<word>[\w$#@]++)|(?P<other>.)",
    re.DOTALL,
)
TEMPLATE: Final = re.compile(r"[`}](?P<text>(?:[^`\\$]++|\\.|\$(?!\{))*+)(?:`|\$\{)", re.DOTALL)
# What a sign may open.
LITERALS: Final = {
    '"': re.compile(r'"(?P<text>(?:[^"\\\n]++|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'(?P<text>(?:[^'\\\n]++|\\.)*+)'", re.DOTALL),
    "/": re.compile(
        r"/(?![/*])(?P<text>(?:[^/\\\[\n]++|\\[^\n]|\[(?:[^\]\\\n]++|\\[^\n])*+\])++)/\w*+"
    ),
    "`": TEMPLATE,
    "}": TEMPLATE,
}
# After these signs a slash divides or closes a tag, as after any word but these; else it
# opens a regular expression.
NOT_BEFORE_REGEX: Final = frozenset(")]<")
BEFORE_REGEX: Final = frozenset(
    {"await", "case", "delete", "do", "else", "in", "of", "return", "throw", "typeof", "void"}
)
# What may stand between `import` or `export` and its `from`, besides words.
IN_A_CLAUSE: Final = frozenset("{},*")
SCHEMES: Final = re.compile(r"^(?:npm:|https?://(?:esm\.sh|cdn\.skypack\.dev)/)")
VERSION: Final = re.compile(r"(?<=[^/])@[^/]*")
SCRIPT_TAG: Final = re.compile(r"(?is)<script\b[^>]*>(?P<source>.*?)</script\s*>")


class Token(Struct, frozen=True, gc=False):
    """A word, a sign or a literal, without its quotes; a template with `${}` is in pieces."""

    kind: str
    text: str
    offset: int


def check_script(source: str) -> list[Finding]:
    """Return what a script does without routerd."""
    lines = source.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    findings = []
    number = 0
    for token, vendor, kind, name in sorted(_hits(source), key=lambda hit: hit[0].offset):
        while starts[number + 1] <= token.offset:
            number += 1
        column = token.offset - starts[number] + 1
        findings.append(found(vendor, kind, number + 1, column, name=name, instead=OVER_THE_SOCKET))
    return keep_unallowed(findings, lines)


def scripts_of(page: str) -> str:
    """Return a component's page (Vue, Svelte) with all but its scripts blanked out."""
    kept = []
    end = 0
    for match in SCRIPT_TAG.finditer(page):
        start, stop = match.span("source")
        kept += [_blank(page[end:start]), page[start:stop]]
        end = stop
    return "".join(kept)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _hits(source: str) -> Iterator[tuple[Token, Vendor, Kind, str]]:
    clause: Token | None = None  # the `import` or `export` whose `from` may follow
    types_only = False
    last, before = Token("other", "", 0), Token("other", "", 0)
    for token in _Scanner(source).tokens():
        if token.kind in ("string", "piece") and (host := find_host(token.text)):
            yield token, host[0], "host", host[1]
        if token.kind == "string":
            is_clause = clause is not None and last.text in ("from", clause.text)
            is_call = last.text == "(" and before.text in ("require", "import")
            if is_clause or is_call:
                if vendor := find_package(_package(token.text)):
                    yield token, vendor, "types" if is_clause and types_only else "import", ""
                clause = None if is_clause else clause
        elif token.text in ("import", "export") and last.text != ".":
            clause, types_only = token, False
        elif token.kind == "word":
            types_only = types_only or (token.text == "type" and last is clause)
        elif token.text not in IN_A_CLAUSE:
            clause = None
        last, before = token, last


def _package(text: str) -> str:
    """Return the package of what is imported: without the scheme and version that Deno writes."""
    if not SCHEMES.match(text):
        return text
    return VERSION.sub("", SCHEMES.sub("", text), count=1)


class _Scanner:
    """Cuts one source into tokens; where a template ends is known by the braces inside of it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._depths: list[int] = []  # of open braces, one an open template
        self._last = Token("other", "", 0)
        # Up to where a sign opens nothing, because it was tried before: each is tried once a line.
        self._closed = dict.fromkeys(LITERALS, 0)

    def tokens(self) -> Iterator[Token]:
        position = 0
        while position < len(self._source):
            literal = self._literal(position)
            if literal is not None:
                self._last, position = literal
                yield self._last
                continue
            match = TOKEN.match(self._source, position)
            if match is None:
                return
            kind, text = match.lastgroup or "other", match.group()
            if kind != "space":
                if self._depths and text in ("{", "}"):
                    self._depths[-1] += 1 if text == "{" else -1
                self._last = Token(kind, text, position)
                yield self._last
            position = match.end()

    def _literal(self, position: int) -> tuple[Token, int] | None:
        """Return the literal that begins here, and where it ends."""
        sign = self._source[position]
        if not self._may_open(sign) or position < self._closed[sign]:
            return None
        match = LITERALS[sign].match(self._source, position)
        if match is None:
            line_end = self._source.find("\n", position)
            is_over = line_end < 0 or sign in "`}"
            self._closed[sign] = len(self._source) if is_over else line_end
            return None
        end = match.end()
        kind = "regex" if sign == "/" else "string"
        if sign in "`}":
            is_open = self._source[end - 1] == "{"
            kind = "string" if sign == "`" and not is_open else "piece"
            if sign == "}":
                self._depths.pop()
            if is_open:
                self._depths.append(0)
        return Token(kind, match["text"], position), end

    def _may_open(self, sign: str) -> bool:
        if sign == "}":  # the end of a `${}`
            return bool(self._depths) and self._depths[-1] == 0
        return sign in LITERALS and (sign != "/" or _opens_regex(self._last))


def _opens_regex(last: Token) -> bool:
    if last.kind == "word":
        return last.text in BEFORE_REGEX
    return last.kind == "other" and last.text not in NOT_BEFORE_REGEX
