"""The frames of embedding and ranking: texts go out, vectors or an order come back.

Rules of this file: the same as of the other frames. Numbers by the thousand travel as bytes, each
four bytes long, not as lists, which take more than twice the room and more than ten times the work
(bench/vectors.py).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from routerd_proto.options import CallOptions, TraceContext

__all__ = [
    "EmbedRequested",
    "Purpose",
    "Ranked",
    "RankingAdded",
    "RerankRequested",
    "SearchRequested",
    "VectorsAdded",
]

Purpose = Literal["document", "query", "classification", "clustering"]


class EmbedRequested(Struct, array_like=True, frozen=True, tag=4):
    """Texts to be made into vectors, all of one model.

    `call_id`, `target`, `trace` and `sends` are those of any call; of the options those for chat
    are refused. `dimensions` is the length of a vector, None for the model's own. `purpose` is what
    the vectors are for. `truncate` allows what is too long for the model to be cut at its end.
    """

    call_id: str
    target: str
    inputs: list[str]
    options: CallOptions = CallOptions()
    dimensions: int | None = None
    purpose: Purpose | None = None
    truncate: bool = False
    trace: TraceContext | None = None
    sends: int = 0


class RerankRequested(Struct, array_like=True, frozen=True, tag=5):
    """Documents to be put in the order of how well they answer a query.

    The other fields are those of `EmbedRequested`. `top` is how many are wanted, None for all.
    """

    call_id: str
    target: str
    query: str
    documents: list[str]
    options: CallOptions = CallOptions()
    top: int | None = None
    truncate: bool = False
    trace: TraceContext | None = None
    sends: int = 0


SearchRequested = EmbedRequested | RerankRequested


class VectorsAdded(Struct, array_like=True, frozen=True, tag=51, gc=False):
    """Vectors of some inputs that follow each other, the first of them that of input `start`.

    `data` holds them one after the other, each `dimensions` numbers of IEEE 754 single precision,
    the least significant byte first.
    """

    start: int
    dimensions: int
    data: bytes


class Ranked(Struct, array_like=True, frozen=True, gc=False):
    """One document by its place in the request, from 0. Scores of two models are not comparable."""

    index: int
    score: float


class RankingAdded(Struct, array_like=True, frozen=True, tag=52):
    """The order of the documents, the best first."""

    results: list[Ranked]
