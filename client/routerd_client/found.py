"""Vectors and rankings as an app gets them.

Rules of this file: pure, the standard library and msgspec. A vector is an `array` of single
precision: a sequence of floats, and a buffer that numpy and its like take without a copy.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence

from msgspec import field

from routerd_client.served import Served, served
from routerd_proto import ProtocolError, error_info
from routerd_proto.frames import CallEnded
from routerd_proto.search import (
    EmbedRequested,
    Ranked,
    RankingAdded,
    SearchRequested,
    VectorsAdded,
)

__all__ = ["Embeddings", "Found", "Ranking", "check_vectors", "found"]

FLOAT_BYTES = 4


class Embeddings(Served, frozen=True, kw_only=True):
    """The vectors of some inputs, in their order, all of `model` and `dimensions` long.

    Compare them with vectors of that model alone. `missing` are the inputs that have none; it is
    empty but for what comes with an error, where their vectors are empty.
    """

    vectors: list[array[float]]
    dimensions: int
    missing: list[int] = field(default_factory=list)


class Ranking(Served, frozen=True, kw_only=True):
    """Documents by how well they answer the query, the best first; `index` is that in the call."""

    results: list[Ranked]

    def of(self, documents: Sequence[str]) -> list[str]:
        """Return the documents of the call in this order."""
        return [documents[item.index] for item in self.results]


Found = Embeddings | Ranking


def check_vectors(part: VectorsAdded, inputs: int) -> int:
    """Return how many vectors a frame holds; ProtocolError where it cannot be one of this call."""
    row = part.dimensions * FLOAT_BYTES
    rows = len(part.data) // row if row > 0 else 0
    if rows < 1 or len(part.data) % row or not 0 <= part.start <= inputs - rows:
        raise ProtocolError(error_info("protocol_error", "the vectors are not those of the call"))
    return rows


def found(
    asked: SearchRequested,
    parts: Iterable[VectorsAdded | RankingAdded],
    ended: CallEnded,
    trace_id: str,
) -> Found:
    """Put together what came, each part checked before."""
    facts = served(ended, trace_id)
    if not isinstance(asked, EmbedRequested):
        rankings = [part for part in parts if isinstance(part, RankingAdded)]
        return Ranking(results=rankings[-1].results if rankings else [], **facts)
    vectors = [array("f") for _ in asked.inputs]
    dimensions = 0
    for part in parts:
        if not isinstance(part, VectorsAdded):
            continue
        dimensions = part.dimensions
        row = dimensions * FLOAT_BYTES
        for place in range(len(part.data) // row):
            vector = vectors[part.start + place]
            vector.frombytes(part.data[place * row : (place + 1) * row])
            if sys.byteorder == "big":
                vector.byteswap()
    missing = [place for place, vector in enumerate(vectors) if not vector]
    return Embeddings(vectors=vectors, dimensions=dimensions, missing=missing, **facts)
