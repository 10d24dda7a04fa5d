"""A provider that costs almost nothing: canned bytes in the wire format of Chat Completions.

Rules of this file: it reads requests of a fixed form only (one header block, a content-length) and
knows no JSON. How to answer stands in the text of the call itself, so that it passes every router
unchanged: `bench:parts=200,gap=20` asks for a stream of 200 parts, 20 ms apart; with a gap of 0
the whole stream goes out in one write. The first part comes with the headers.

    python -m bench.fake_provider --core 1      # writes its port on a line, serves until killed

GET /stats answers with the counters, GET of anything else with a list of models.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import uvloop
from msgspec import Struct

from bench.machine import pinned, raise_open_files

__all__ = ["TEXT", "Counters", "serve"]

WORDS: Final = (" the", " router", " relays", " tokens", " quickly", ",", " and", " safely", ".")
TEXT: Final = ("A router sits between applications and providers. " * 12).strip()
BEHAVIOUR: Final = re.compile(rb"bench:parts=(\d+),gap=(\d+)")
STREAMED: Final = re.compile(rb'"stream"\s*:\s*true')
LENGTH: Final = re.compile(rb"content-length: *(\d+)")
USAGE: Final = {
    "prompt_tokens": 219,
    "completion_tokens": 110,
    "total_tokens": 329,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
# The model that routerd asks for, as vendors answer: of another one every record would have a note.
ANSWERED: Final = "gpt-5.4-mini-2026-03-17"
COMMON: Final = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "created": 1741569952,
    "model": ANSWERED,
    "service_tier": "default",
    "system_fingerprint": "fp_44709d6fcb",
}
STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
STREAM_END: Final = b"0\r\n\r\n"


class Counters(Struct):
    """What the provider saw. `cut_at` is when the last stream was cut, on the monotonic clock."""

    accepted: int = 0
    open: int = 0
    requests: int = 0
    cut: int = 0
    cut_at: float = 0.0


def plain(value: Any) -> bytes:
    """Return a whole answer with a JSON body."""
    body = msgspec.json.encode(value)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def chunk(delta: dict[str, Any] | None, finish: str | None = None, usage: Any = None) -> bytes:
    """Return one event of a stream as one chunk of HTTP."""
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    event = {
        **COMMON,
        "object": "chat.completion.chunk",
        "choices": choices if delta is not None else [],
        "usage": usage,
    }
    return http_chunk(b"data: %s\n\n" % msgspec.json.encode(event))


def http_chunk(data: bytes) -> bytes:
    """Frame bytes as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@lru_cache(maxsize=16)
def stream_pieces(parts: int) -> tuple[bytes, ...]:
    """Return a stream in the pieces it is written in, one part each."""
    pieces = [chunk({"content": WORDS[number % len(WORDS)]}) for number in range(parts)]
    first = chunk({"role": "assistant", "content": "", "refusal": None})
    pieces[0] = STREAM_HEAD + first + pieces[0]
    pieces.append(
        chunk({}, "stop") + chunk(None, usage=USAGE) + http_chunk(b"data: [DONE]\n\n") + STREAM_END
    )
    return tuple(pieces)


MODELS: Final = plain({"object": "list", "data": [{"id": "bench-model", "object": "model"}]})
MESSAGE: Final[dict[str, Any]] = {
    "role": "assistant",
    "content": TEXT,
    "refusal": None,
    "annotations": [],
}
ANSWER: Final = plain(
    {
        **COMMON,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)


class Exchange(asyncio.Protocol):
    """One kept connection: requests in, canned answers out.

    It is closed after `idle_seconds` without a request, None for never.
    """

    def __init__(self, counters: Counters, idle_seconds: float | None = None) -> None:
        self._counters = counters
        self._idle_seconds = idle_seconds
        self._idle: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._counters.accepted += 1
        self._counters.open += 1
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._counters.open -= 1
        if self._idle is not None:
            self._idle.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._counters.cut += 1
            self._counters.cut_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = LENGTH.search(head.lower())
        if length is not None and len(body) < int(length[1]):
            return
        self._received = b""
        if self._idle is not None:
            self._idle.cancel()
        self._answer(head, body)
        if self._timer is None:
            self._rest()

    def _rest(self) -> None:
        if self._idle_seconds is not None:
            self._idle = self._loop.call_later(self._idle_seconds, self._transport.close)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            is_stats = head.startswith(b"GET /stats")
            self._transport.write(plain(self._counters) if is_stats else MODELS)
            return
        self._counters.requests += 1
        if STREAMED.search(body) is None:
            self._transport.write(ANSWER)
            return
        behaviour = BEHAVIOUR.search(body)
        parts, gap = (int(behaviour[1]), int(behaviour[2])) if behaviour else (200, 0)
        pieces = stream_pieces(parts)
        if gap:
            self._write_piece(pieces, 0, gap / 1000, self._loop.time())
        else:
            self._transport.write(b"".join(pieces))

    def _write_piece(
        self, pieces: tuple[bytes, ...], number: int, gap: float, began_at: float
    ) -> None:
        """Write a piece and set the timer for the next, on a schedule that does not drift."""
        self._transport.write(pieces[number])
        number += 1
        if number == len(pieces):
            self._timer = None
            self._rest()
            return
        self._timer = self._loop.call_at(
            began_at + number * gap, self._write_piece, pieces, number, gap, began_at
        )


async def serve(
    counters: Counters,
    certificate: Path | None = None,
    idle_seconds: float | None = None,
) -> tuple[asyncio.Server, int]:
    """Listen on a free port of this machine; returns the server and its port.

    `certificate` is a PEM file with its key in it, for TLS.
    """
    loop = asyncio.get_running_loop()
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await loop.create_server(
        lambda: Exchange(counters, idle_seconds), "127.0.0.1", 0, backlog=2048, ssl=context
    )
    return server, server.sockets[0].getsockname()[1]


async def main(certificate: Path | None, idle_seconds: float | None) -> None:
    server, port = await serve(Counters(), certificate, idle_seconds)
    print(port, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--idle-seconds", type=float)
    chosen = parser.parse_args()
    raise_open_files()
    with pinned(chosen.core):
        uvloop.run(main(chosen.certificate, chosen.idle_seconds))
