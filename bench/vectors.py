"""How vectors travel: as bytes in a frame or as a list; in JSON as numbers or as base64.

Run it by itself: `.venv/bin/python -m bench.vectors`. Times are CPU times, the best of many rounds.
"""

from __future__ import annotations

import base64
import json
import random
import time
from array import array
from collections.abc import Callable

import msgspec

from routerd.providers.openai.dialects import DIALECTS
from routerd.providers.openai.embed import OpenAIEmbedding
from routerd.providers.search import EmbedRequest
from routerd_client.found import found
from routerd_proto import daemon_frame_reader, encode_frame
from routerd_proto.frames import CallEnded
from routerd_proto.search import EmbedRequested, VectorsAdded

ROWS, DIMENSIONS, ROUNDS = 100, 1024, 30


def best(work: Callable[[], object]) -> float:
    """Return the CPU time of the fastest round in microseconds."""
    fastest = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        work()
        fastest = min(fastest, (time.process_time_ns() - began) / 1000)
    return fastest


def main() -> None:
    """Print sizes and times."""
    draw = random.Random(7)
    rows = [[draw.uniform(-1, 1) for _ in range(DIMENSIONS)] for _ in range(ROWS)]
    packed = [array("f", row).tobytes() for row in rows]
    frame = VectorsAdded(0, DIMENSIONS, b"".join(packed))
    sent, listed = bytes(encode_frame(frame)), msgspec.msgpack.encode(rows)
    asked, ended = EmbedRequested("c", "embed", [""] * ROWS), CallEnded("stop", "d")

    def read() -> None:
        [part] = daemon_frame_reader().feed(sent)
        assert isinstance(part, VectorsAdded)
        found(asked, [part], ended, "")

    decode = msgspec.msgpack.Decoder(list[list[float]]).decode
    print(f"{ROWS} vectors of {DIMENSIONS} numbers")
    for name, size, write, back in (
        ("frame of bytes", len(sent), lambda: encode_frame(frame), read),
        (
            "list of floats",
            len(listed),
            lambda: msgspec.msgpack.encode(rows),
            lambda: decode(listed),
        ),
    ):
        print(
            f"{name:16} {size:9,} bytes  write {best(write):8,.0f} us  read {best(back):8,.0f} us"
        )
    wire, request = OpenAIEmbedding(DIALECTS["openai"]), EmbedRequest("m", [""] * ROWS)
    for name, values in (
        ("JSON, numbers", rows),
        ("JSON, base64", [base64.b64encode(data).decode() for data in packed]),
    ):
        body = json.dumps({"data": [{"embedding": value} for value in values]}).encode()

        def take(body: bytes = body) -> None:
            decoder = wire.decoder(request)
            decoder.feed(body)
            assert decoder.end()

        print(f"{name:16} {len(body):9,} bytes  {'':17}  read {best(take):8,.0f} us")


if __name__ == "__main__":
    main()
