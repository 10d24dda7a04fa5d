"""The three ways to call, behind one face, so that one test drives all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvloop

from routerd_client import Client, Reply, Stream
from routerd_client.request import StreamPart


class Way:
    """Blocking calls in the test's own thread."""

    name = "blocking"

    def complete(self, client: Client, *arguments: Any, **options: Any) -> Reply:
        return client.complete(*arguments, **options)

    def command(self, client: Client, name: str, /, **arguments: Any) -> Any:
        return client.command(name, **arguments)

    def read(self, stream: Stream, into: list[StreamPart], stop_after: int = -1) -> None:
        """Read parts into a list, all of them or so many."""
        if stop_after == 0:
            return
        for part in stream:
            into.append(part)
            if len(into) == stop_after:
                return

    def close(self) -> None:
        """End what the way itself has opened."""


class AsyncWay(Way):
    """Awaited calls, all on one loop."""

    def __init__(self, name: str, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.name = name
        self._runner = asyncio.Runner(loop_factory=make_loop)

    def complete(self, client: Client, *arguments: Any, **options: Any) -> Reply:
        return self._runner.run(client.acomplete(*arguments, **options))

    def command(self, client: Client, name: str, /, **arguments: Any) -> Any:
        return self._runner.run(client.acommand(name, **arguments))

    def read(self, stream: Stream, into: list[StreamPart], stop_after: int = -1) -> None:
        async def read() -> None:
            if stop_after == 0:
                return
            async for part in stream:
                into.append(part)
                if len(into) == stop_after:
                    return

        self._runner.run(read())

    def close(self) -> None:
        self._runner.close()


WAYS: dict[str, Callable[[], Way]] = {
    "blocking": Way,
    "asyncio": lambda: AsyncWay("asyncio", asyncio.new_event_loop),
    "uvloop": lambda: AsyncWay("uvloop", uvloop.new_event_loop),
}
