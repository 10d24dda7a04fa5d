"""What an embedding or a ranking asks for: refused where nobody can serve it, else measured.

Rules of this file: pure, and never a word of a text goes on. Every text stands for itself: each has
to fit into the window, all are paid for. A ranking reads the query with every document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from routerd.classify.checks import check_options
from routerd.classify.features import NO_WORDS, measure
from routerd.classify.schemas import refusal
from routerd.classify.tokens import estimate
from routerd.classify.words import WordRules
from routerd.domain import Features, Kind
from routerd_proto.frames import CallOptions
from routerd_proto.search import EmbedRequested, SearchRequested

__all__ = ["MOST_TEXTS", "check_search", "kind_of", "measure_search", "tokens_of_text"]

# As many vectors of the longest kind take 120 MB on their way through.
MOST_TEXTS: Final = 10_000
MOST_DIMENSIONS: Final = 65_536
# Options that say how a call is served and who pays; all others are for chat.
OPTIONS: Final = frozenset(
    {
        *("tenant", "team", "agent", "user", "feature", "task", "sensitivity", "timeout"),
        *("critical", "latency", "region", "session", "max_cost_cents", "flags"),
    }
)
NOT_SET: Final = CallOptions()
# What vendors put around a text: marks of begin and end, a few words on what it is for.
MOST_PER_TEXT: Final = 32
# Cohere sells a query with a hundred documents as one; a document longer than so many tokens counts
# as several.
DOCUMENTS_PER_QUERY: Final = 100
TOKENS_PER_DOCUMENT: Final = 500


def kind_of(search: SearchRequested) -> Kind:
    """Say which kind of call it is."""
    return "embedding" if isinstance(search, EmbedRequested) else "rerank"


def check_search(search: SearchRequested) -> None:
    """Raise CallRefused for the first thing that cannot be meant."""
    if isinstance(search, EmbedRequested):
        _check_texts("inputs", search.inputs)
        _check_number("dimensions", search.dimensions, MOST_DIMENSIONS)
    else:
        _check_texts("documents", search.documents)
        _check_number("top", search.top, MOST_TEXTS)
        if not search.query:
            raise refusal("query", "is empty")
    options = search.options
    for name in CallOptions.__struct_fields__:
        if name not in OPTIONS and getattr(options, name) != getattr(NOT_SET, name):
            raise refusal(f"options.{name}", f"is for chat, not for {kind_of(search)}")
    check_options(options)


def measure_search(
    search: SearchRequested, seconds: float, *, words: WordRules = NO_WORDS
) -> Features:
    """Count what a decision may want to know; the call may take so many seconds."""
    features = measure([], search.options, seconds, words=words, kind=kind_of(search))
    is_embedding = isinstance(search, EmbedRequested)
    if isinstance(search, EmbedRequested):
        texts, asked = [_encoded(text) for text in search.inputs], b""
    else:
        texts, asked = [_encoded(text) for text in search.documents], _encoded(search.query)
    tokens, script = estimate(b"\n".join(texts))
    longest, _ = estimate(max(texts, key=len))
    # Once for every document: they are read together.
    query, _ = estimate(asked)
    size = sum(map(len, texts)) + len(asked) * len(texts)
    return structs.replace(
        features,
        input_tokens=max(1, int(tokens + query * len(texts))),
        input_tokens_bound=size + MOST_PER_TEXT * len(texts),
        script=script,
        texts=len(texts),
        # What may be cut fits into any window.
        longest_text=1 if search.truncate else max(1, int(longest + query)),
        queries=0 if is_embedding else _queries(len(asked), texts),
    )


def _queries(asked: int, documents: Sequence[bytes]) -> int:
    """Return the most that a ranking can be sold as, for a query of so many bytes.

    Nothing has more tokens than bytes: it is what is held, and the answer tells what it was.
    """
    counted = sum([1 + (asked + len(text)) // TOKENS_PER_DOCUMENT for text in documents])
    return -(-counted // DOCUMENTS_PER_QUERY)


def tokens_of_text(text: str) -> int:
    """Return the most tokens that a text can have: a limit is not to be passed.

    No vocabulary makes more of them than there are bytes, and of digits or Amharic nearly as many.
    """
    return len(_encoded(text)) + MOST_PER_TEXT


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _check_texts(name: str, texts: Sequence[str]) -> None:
    if not texts:
        raise refusal(name, "is empty")
    if len(texts) > MOST_TEXTS:
        raise refusal(name, f"holds {len(texts)} texts; at most {MOST_TEXTS} go into one call")
    for index, text in enumerate(texts):
        if not text:
            raise refusal(f"{name}[{index}]", "is empty; providers refuse that")


def _check_number(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise refusal(name, f"is {value}; expected 1 to {most}")
