"""Vectors as vendors send them, made the bytes that travel on: four for each number.

Rules of this file: pure. Single precision is what models compute in and what vendors' base64 holds;
of a number written out in JSON no more than that is kept. What is no finite number is no vector.
"""

from __future__ import annotations

import binascii
import sys
from array import array
from collections.abc import Sequence
from typing import Final

from routerd.errors import Failure
from routerd.providers.search import EmbedRequest, bad_answer, in_order, of_another_model
from routerd_proto.search import VectorsAdded

__all__ = ["FLOAT_BYTES", "vector_bytes", "vectors_part"]

FLOAT_BYTES: Final = 4
# The last byte of every number that is infinite, none, or far beyond what any model gives.
BEYOND: Final = (b"\x7f", b"\xff")


def vector_bytes(vector: Sequence[float] | str) -> bytes | None:
    """Return a list of numbers, or base64 of them, as bytes; None where it is neither."""
    if isinstance(vector, str):
        try:
            data = binascii.a2b_base64(vector, strict_mode=True)
        except (ValueError, UnicodeError):
            return None
    else:
        try:
            numbers = array("f", vector)
        except (OverflowError, TypeError):
            return None
        if sys.byteorder == "big":
            numbers.byteswap()
        data = numbers.tobytes()
    # At the speed of a copy: to look at every number would cost more than to read it.
    last = data[FLOAT_BYTES - 1 :: FLOAT_BYTES]
    is_finite = not any(byte in last for byte in BEYOND)
    return data if data and len(data) % FLOAT_BYTES == 0 and is_finite else None


def vectors_part(
    request: EmbedRequest,
    vectors: Sequence[Sequence[float] | str],
    indexes: Sequence[int | None] | None = None,
    answered: str | None = None,
) -> VectorsAdded | Failure:
    """Return the vectors of a request in the order of its texts, or why they are not those.

    `answered` is the model that the provider says they are of, None where it does not say.
    """
    foreign = of_another_model(request, answered)
    if foreign is not None:
        return foreign
    if len(vectors) != request.texts:
        return bad_answer(f"it has {len(vectors)} vectors for {request.texts} texts")
    order = in_order(indexes) if indexes is not None else list(range(len(vectors)))
    if order is None:
        return bad_answer("its vectors do not say which texts they are of")
    joined: list[bytes] = []
    for position in order:
        data = vector_bytes(vectors[position])
        if data is None or (joined and len(data) != len(joined[0])):
            return bad_answer(
                "a vector holds something else than numbers, or another number of them"
            )
        joined.append(data)
    dimensions = len(joined[0]) // FLOAT_BYTES
    if request.dimensions not in (None, dimensions):
        return bad_answer(f"its vectors have {dimensions} numbers, not {request.dimensions}")
    return VectorsAdded(0, dimensions, b"".join(joined))
