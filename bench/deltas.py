"""What it costs to turn an event of a stream into a part, for each wire.

    .venv/bin/python bench/deltas.py [--quick] [--json FILE]

Rules of this file: CPU of the process alone; a number is what a tenth of many short batches stays
under, since whatever else runs only ever adds, and the clocks of virtual machines jump. All kinds
of batches take turns, so that their ratios hold on a machine whose speed changes. Events come one a
read, as from a model that writes, and in bursts of BURST, as from one that is faster than its
reader. The floor of a wire is msgspec reading the same JSON into plain data, with nothing found,
judged or made of it.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec

from bench.machine import choose_cores, pinned
from bench.report import aligned
from routerd.providers.registry import build_adapter
from routerd_proto.frames import TextDelta

__all__ = ["TARGET_US", "WIRES", "Cost", "main", "measure_wire"]

TARGET_US: Final = 3.0
"""Of CPU, for an OpenAI delta from bytes to part."""
EVENTS: Final = 200
BURST: Final = 50
BATCHES: Final = 400
QUICK_BATCHES: Final = 40
WORD: Final = " routing"

# One delta of each wire as it comes, with all that its vendor says beside the text.
WIRES: Final[dict[str, Any]] = {
    "openai": {
        "id": "chatcmpl-CqXJ8rY2vDk3mTnB7wLs4HfGzPaEu",
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": "gpt-6-luna-2026-08-11",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [
            {"index": 0, "delta": {"content": WORD}, "logprobs": None, "finish_reason": None}
        ],
        "usage": None,
        "obfuscation": "Vw8nKc3R",
    },
    "openai-responses": {
        "type": "response.output_text.delta",
        "sequence_number": 7,
        "item_id": "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "output_index": 0,
        "content_index": 0,
        "delta": WORD,
        "logprobs": [],
        "obfuscation": "Vw8nKc3R",
    },
    "anthropic": {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": WORD},
    },
    "gemini": {
        "candidates": [{"content": {"parts": [{"text": WORD}], "role": "model"}, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 12,
            "candidatesTokenCount": 7,
            "totalTokenCount": 19,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        },
        "modelVersion": "gemini-3.8-flash",
        "responseId": "Zk4haNqWB7uJ1PIP7aCc2A8",
    },
    "bedrock": {
        "contentBlockIndex": 0,
        "delta": {"text": WORD},
        "p": "abcdefghijklmnopqrstuvwxyzABCDEF",
    },
    "cohere": {
        "type": "content-delta",
        "index": 0,
        "delta": {"message": {"content": {"text": WORD}}},
    },
}
NAMES: Final = {
    "openai-responses": b"event: response.output_text.delta\n",
    "anthropic": b"event: content_block_delta\n",
    "cohere": b"event: content-delta\n",
}
FRAME_HEADERS: Final = {
    b":event-type": b"contentBlockDelta",
    b":content-type": b"application/json",
    b":message-type": b"event",
}


class Cost(msgspec.Struct, frozen=True):
    """Microseconds of CPU for one event: from bytes to part, alone and in a burst; the floor."""

    wire: str
    event_bytes: int
    part_us: float
    burst_us: float
    floor_us: float

    @property
    def ratio(self) -> float:
        """How many times the floor it is."""
        return self.part_us / self.floor_us


def event_of(wire: str) -> tuple[bytes, bytes]:
    """Return an event as it is sent, and the JSON in it."""
    body = msgspec.json.encode(WIRES[wire])
    if wire == "bedrock":
        return _frame(body), body
    return NAMES.get(wire, b"") + b"data: " + body + b"\n\n", body


def _frame(payload: bytes) -> bytes:
    head = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in FRAME_HEADERS.items()
    )
    lengths = struct.pack(">II", len(head) + len(payload) + 16, len(head))
    data = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return data + struct.pack(">I", zlib.crc32(data))


def typical_least(kinds: list[Callable[[], object]], batches: int) -> list[float]:
    """Return the microseconds of CPU that one event takes, in each kind of batch."""
    taken: list[list[float]] = [[] for _ in kinds]
    for _ in range(batches):
        for kind, work in enumerate(kinds):
            began = time.process_time()
            work()
            taken[kind].append(time.process_time() - began)
    return [sorted(seconds)[batches // 10] / EVENTS * 1e6 for seconds in taken]


def measure_wire(wire: str, batches: int) -> Cost:
    """Measure one wire, beside its floor."""
    event, body = event_of(wire)
    burst = event * BURST
    adapter = build_adapter(wire)
    assert adapter.decoder(stream=True).feed(event) == [TextDelta(WORD)]
    assert adapter.decoder(stream=True).feed(burst) == [TextDelta(WORD)] * BURST

    def one_a_read() -> None:
        feed = adapter.decoder(stream=True).feed
        for _ in range(EVENTS):
            feed(event)

    def in_bursts() -> None:
        feed = adapter.decoder(stream=True).feed
        for _ in range(EVENTS // BURST):
            feed(burst)

    def floor() -> None:
        decode_json = msgspec.json.decode
        for _ in range(EVENTS):
            decode_json(body)

    return Cost(wire, len(event), *typical_least([one_a_read, in_bursts, floor], batches))


def main(arguments: list[str]) -> int:
    """Print a table; returns 1 where an OpenAI delta takes longer than it may."""
    parser = argparse.ArgumentParser(prog="deltas", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer batches: a look only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    batches = QUICK_BATCHES if chosen.quick else BATCHES
    with pinned(choose_cores().load):
        costs = [measure_wire(wire, batches) for wire in WIRES]
    lines = [
        [
            cost.wire,
            f"{cost.event_bytes}",
            f"{cost.part_us:.2f}",
            f"{cost.burst_us:.2f}",
            f"{cost.floor_us:.2f}",
            f"{cost.ratio:.1f}",
        ]
        for cost in costs
    ]
    heads = [
        "wire",
        "bytes an event",
        "us to a part",
        "us in a burst",
        "us floor",
        "times the floor",
    ]
    print("\n".join(aligned([heads, *lines])))
    [openai] = [cost for cost in costs if cost.wire == "openai"]
    kept = openai.part_us <= TARGET_US
    print(f"\nan OpenAI delta may take {TARGET_US:g} us: {'kept' if kept else 'missed'}")
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.encode(costs))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
