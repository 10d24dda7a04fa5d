"""What simulated models of embedding and ranking find: pure, and the same on every run.

A vector is made of its text's digest, a score of the words that query and document share. All
numbers of a vector are multiples of 1/128, so that single precision and JSON say the same.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from array import array

from routerd.simulate.exchange import Search, Usage
from routerd.simulate.tokens import count_tokens

__all__ = [
    "base64_vector",
    "expected_ranking",
    "expected_vector",
    "searched",
    "vectors_of",
]

# The length of the vectors of models whose real one is known; of others, the usual one.
DIMENSIONS = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "gemini-embedding-2": 3072,
    "gemini-embedding-001": 3072,
    "embed-v5.0-pro": 2048,
    "embed-v5.0-fast": 2048,
    "embed-v4.0": 1536,
}
USUAL_DIMENSIONS = 1024
WORD = re.compile(r"\w+")
DOCUMENTS_PER_QUERY = 100


def expected_vector(model: str, text: str, dimensions: int | None = None) -> list[float]:
    """Return the vector that `model` makes of a text; a shorter one begins a longer one."""
    length = dimensions or DIMENSIONS.get(model, USUAL_DIMENSIONS)
    seed = f"vector\0{model}\0{text}".encode(errors="surrogatepass")
    return [(byte - 128) / 128 for byte in hashlib.shake_256(seed).digest(length)]


def expected_ranking(
    model: str, query: str, documents: list[str], top: int | None = None
) -> list[tuple[int, float]]:
    """Return index and score of the documents, the best first: who shares more words is better."""
    asked = set(WORD.findall(query.lower()))
    scored = []
    for index, document in enumerate(documents):
        shared = len(asked & set(WORD.findall(document.lower()))) / max(1, len(asked))
        seed = f"score\0{model}\0{query}\0{document}".encode(errors="surrogatepass")
        shade = int.from_bytes(hashlib.shake_256(seed).digest(2)) / 2**20
        scored.append((index, round((shared + shade) / 2, 6)))
    return sorted(scored, key=lambda item: (-item[1], item[0]))[:top]


def vectors_of(model: str, search: Search) -> list[list[float]]:
    """Return the vectors of all texts, in order."""
    return [expected_vector(model, text, search.dimensions) for text in search.texts]


def base64_vector(vector: list[float]) -> str:
    """Write a vector as base64 of single precision, the least significant byte first."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def searched(search: Search) -> Usage:
    """Return what a search uses: a ranking reads the query with every document."""
    tokens = sum(count_tokens(text) for text in search.texts)
    if search.query is None:
        return Usage(input=tokens)
    tokens += count_tokens(search.query) * len(search.texts)
    return Usage(input=tokens, queries=-(-len(search.texts) // DOCUMENTS_PER_QUERY))
