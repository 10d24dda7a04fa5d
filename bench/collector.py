"""A collector of traces that counts what it is sent.

Rules of this file: it reads every batch as a collector does, and keeps nothing of it.

    python -m bench.collector CORE      # prints its port; GET /stats says how many spans came
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.fake_provider import Counters, Exchange, plain
from bench.machine import pinned

__all__ = ["Collected"]


class Collected(Struct):
    """What came so far."""

    batches: int = 0
    spans: int = 0


class Taking(Exchange):
    """One connection of an exporter."""

    def __init__(self, collected: Collected) -> None:
        super().__init__(Counters())
        self._collected = collected

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._transport.write(plain(self._collected))
            return
        self._collected.batches += 1
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self._collected.spans += sum(len(scope.spans) for scope in resource.scope_spans)
        self._transport.write(plain({}))


async def main() -> None:
    loop, collected = asyncio.get_running_loop(), Collected()
    server = await loop.create_server(lambda: Taking(collected), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with pinned(int(sys.argv[1])):
        uvloop.run(main())
