"""A daemon whose file is written anew, and what its log says of reloads."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from tests.e2e.conftest import MOVING, NO_DISCOVERY, PROVIDERS, Daemon
from tests.e2e.processes import routerd_beside

__all__ = ["Reloading"]


class Reloading:
    """A daemon whose file is written anew."""

    def __init__(self, daemon: Daemon, folder: Path, url: str) -> None:
        self.daemon = daemon
        self._folder = folder
        self._url = url

    async def write(self, more: str = "", *, first: str = "", providers: str = PROVIDERS) -> None:
        text = first + NO_DISCOVERY + MOVING + providers.format(url=self._url) + more
        await anyio.Path(self._folder / "routerd.toml").write_text(text, encoding="utf-8")

    async def write_beside(self, name: str, text: str) -> None:
        await anyio.Path(self._folder / name).write_text(text, encoding="utf-8")

    async def log(self) -> list[dict[str, Any]]:
        return await self.daemon.events()

    async def ends(self) -> list[dict[str, Any]]:
        """Return what the log says of reloads."""
        told = ("configuration_reloaded", "reload_refused")
        return [line for line in await self.log() if line["event"] in told]

    async def by(self, way: str) -> dict[str, Any]:
        """Reload, and return what the log says of it."""
        before = len(await self.ends())
        if way == "signal":
            self.daemon.process.send_signal(signal.SIGHUP)
        else:
            async with self.daemon.client() as client:
                await client.acommand("reload")
        while len(ends := await self.ends()) == before:  # noqa: ASYNC110 - another process
            await anyio.sleep(0.02)
        [end] = ends[before:]
        return end

    async def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        socket_path = f"--socket={self.daemon.socket}"
        return await routerd_beside("reload", socket_path, *arguments, home=self._folder)
