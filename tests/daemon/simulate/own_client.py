"""A vendor's own client at the simulator, in its async and its blocking form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import anyio.to_thread

from routerd.simulate import Simulator

__all__ = ["OwnClient"]


class OwnClient(NamedTuple):
    """Both forms of one client, and the place where it finds its vendor."""

    asynchronous: Callable[..., Any]
    blocking: Callable[..., Any]
    place: str

    def settings(self, simulator: Simulator) -> dict[str, Any]:
        return {
            "api_key": "test",
            "base_url": f"{simulator.base_url}/{self.place}",
            "max_retries": 0,
            "timeout": 10.0,
        }

    async def opened(self, simulator: Simulator) -> Any:
        """Make the async client; in a thread, since it reads files as it is made."""
        return await anyio.to_thread.run_sync(lambda: self.asynchronous(**self.settings(simulator)))

    async def ask(self, simulator: Simulator, mode: str, call: Callable[[Any], Any]) -> Any:
        """Call once, with the blocking client in a thread or with the async one."""
        if mode == "async":
            async with await self.opened(simulator) as client:
                return await call(client)

        def blocking() -> Any:
            with self.blocking(**self.settings(simulator)) as client:
                return call(client)

        return await anyio.to_thread.run_sync(blocking)
