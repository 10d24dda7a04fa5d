"""Names looked up in the table of vendors.

Rules of this file: pure; everything is prepared once, at import.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from routerd.lint.vendors import BEDROCK_SERVICES, OPEN, VENDORS, WORDS, Vendor

__all__ = ["find_distribution", "find_host", "find_module", "find_package", "names_a_vendor"]


def find_module(name: str) -> Vendor | None:
    """Return whose a Python module is, or what is named in one; None if it is nobody's."""
    return _find(name, ".", _MODULES)


def find_package(name: str) -> Vendor | None:
    """Return whose an npm package, or a module of it, is."""
    return _find(name, "/", _PACKAGES)


def find_distribution(name: str) -> Vendor | None:
    """Return whose a distribution of PyPI is; its name may be written as people do."""
    wanted = _normalised(name)
    found = _DISTRIBUTIONS.get(wanted)
    return found or next(
        (vendor for start, vendor in _DISTRIBUTION_STARTS if wanted.startswith(start)), None
    )


def _normalised(distribution: str) -> str:
    """Write the name of a distribution as PyPI compares them."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def find_host(text: str) -> tuple[Vendor, str] | None:
    """Return whose API a text is an address of, and the host: a URL in it, or all of it.

    A text may be what is left of an address whose first part is filled in later.
    """
    match = _HOST.search(text)
    if match is None:
        return None
    host = (match["in_url"] or match["alone"]).lower()
    for name, vendor in _HOSTS.items():
        if host == name or (name[0] in OPEN and host.endswith(name)):
            return vendor, host.strip(OPEN)
    return None


def _find(name: str, separator: str, known: Mapping[str, Vendor]) -> Vendor | None:
    while name:
        if name in known:
            return known[name]
        name = name.rpartition(separator)[0]
    return None


_MODULES: Final = {name: vendor for vendor in VENDORS for name in vendor.modules}
_PACKAGES: Final = {name: vendor for vendor in VENDORS for name in vendor.packages}
_DISTRIBUTIONS: Final = {
    name: vendor for vendor in VENDORS for name in vendor.distributions if name[-1] != "*"
}
_DISTRIBUTION_STARTS: Final = tuple(
    (name[:-1], vendor) for vendor in VENDORS for name in vendor.distributions if name.endswith("*")
)
_HOSTS: Final = {name: vendor for vendor in VENDORS for name in vendor.hosts}


def _host_pattern() -> re.Pattern[str]:
    names = "|".join(
        (r"[\w-]*" if name[0] in OPEN else "") + re.escape(name)
        for name in sorted(_HOSTS, key=len, reverse=True)
    )
    in_url = rf"(?:https?|wss?)://(?P<in_url>{names})(?:(?<=\.)|(?![\w-]|\.\w))"
    alone = rf"^(?P<alone>{names})(?:(?<=\.)|(?=$|[/?#]|:\d))"
    return re.compile(f"{in_url}|{alone}", re.IGNORECASE)


_HOST: Final = _host_pattern()


def names_a_vendor(source: bytes) -> bool:
    """Say whether anything of the table may be in some source. Fast, and never wrong about a no."""
    is_word = False
    for rarest, others in _MARKERS:
        if rarest in source and all(word in source for word in others):
            if rarest not in WORDS:
                return True
            is_word = True
    return is_word and _WORD_AS_NAME.search(source) is not None


def _markers() -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    """Return the fewest words such that all source with a name of the table has those of a row.

    The parts of a dotted name count each, since `from google import genai` has it in two.
    """
    rows = {
        *(tuple(name.split(".")) for vendor in VENDORS for name in vendor.modules),
        *((name,) for vendor in VENDORS for name in (*vendor.packages, *vendor.hosts)),
        *((name,) for name in BEDROCK_SERVICES),
    }
    least = {
        row
        for row in rows
        if not any(all(any(word in part for part in row) for word in o) for o in rows - {row})
    }
    ordered = (sorted(row, key=len, reverse=True) for row in sorted(least))
    return tuple((row[0].encode(), tuple(word.encode() for word in row[1:])) for row in ordered)


_MARKERS: Final = _markers()
# Such a word after `import` or `from`, or in a literal without a space before it.
_WORD_AS_NAME: Final = re.compile(
    rb"""(?:\b(?:import|from)\b[^\n]{0,200}?|["'`}][\w@/.:-]{0,200}?)(?:%s)""" % b"|".join(WORDS)
)
