"""On which terms a vendor serves a call, where another tier, speed or place has another price.

Rules of this file: pure, and the same for every wire. Price lists are for the usual terms. Names
are spelled as in `raw_limits`, and a word that is not known is not the usual one. What a call asked
for counts, unless the answer says that it was served on the usual terms all the same; and so does
what the answer says though nobody asked, since an account may be set to it. Source of the words:
the vendors' references of requests and answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["PLAIN_TERMS", "has_unlisted_cost", "is_usual"]

TIERS: Final = frozenset({"auto", "default", "standard", "standard_only", "flex", "on_demand"})
USUAL: Final[Mapping[str, frozenset[str]]] = {
    "servicetier": TIERS,
    "speed": TIERS,
    "inferencegeo": frozenset({"global"}),
    "performanceconfig": frozenset({"standard"}),
}
# What costs more than the list says, whoever chose it.
DEARER: Final[Mapping[str, frozenset[str]]] = {
    "servicetier": frozenset({"priority", "fast"}),
    "speed": frozenset({"fast"}),
    "inferencegeo": frozenset({"us"}),
    "performanceconfig": frozenset({"optimized"}),
}
# What nearly every answer of OpenAI says.
PLAIN_TERMS: Final[dict[str, Any]] = {"servicetier": "default"}


def is_usual(name: str, term: Any) -> bool:
    """Say whether price lists are for this term; `name` is the plain name of the parameter."""
    return isinstance(term, str) and term in USUAL[name]


def has_unlisted_cost(asked: Iterable[str], told: Mapping[str, Any]) -> bool:
    """Say whether part of what a call cost stands in no price list.

    `asked` are the plain names of the parameters that can cost more than was held, `told` is what
    the answer says of its terms.
    """
    return any(name not in USUAL or not _is_told_usual(name, told) for name in asked) or any(
        _word(term) in DEARER.get(name, ()) for name, term in told.items()
    )


def _is_told_usual(name: str, told: Mapping[str, Any]) -> bool:
    return _word(told.get(name)) in USUAL[name]


def _word(term: Any) -> str:
    """Return what an answer calls a term: Gemini writes it in capitals."""
    return term.lower() if isinstance(term, str) else ""
