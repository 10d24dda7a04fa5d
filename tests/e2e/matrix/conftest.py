"""One simulator and one daemon for all cells of the matrix; what a cell left is forgotten.

Its breakers are told to trip late, so that a cell sees what follows its own fault and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import pytest

from routerd.simulate import Price, Simulator
from tests.e2e.conftest import MOVING, NO_DISCOVERY, PROVIDERS, Daemon
from tests.e2e.scene import Scene

# Short enough for some hundred cells, long enough for a busy machine.
PATIENCE: Final = """\
[timeouts]
connect = 0.5
headers = 0.6
first_content = 0.6
between_parts = 0.6
whole_answer = 0.6
"""
LATE: Final = """\
[health]
failures_in_a_row = 1_000_000
failure_volume = 1_000_000
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    async with Simulator(prices=prices) as simulator:
        yield simulator


@asynccontextmanager
async def running(folder: Path, providers: str) -> AsyncIterator[Daemon]:
    """Run a daemon with these providers, short time limits and breakers that trip late."""
    configuration = folder / "routerd.toml"

    def run() -> Daemon:
        configuration.write_text(
            NO_DISCOVERY + MOVING + providers + PATIENCE + LATE, encoding="utf-8"
        )
        return Daemon(folder, f"--config={configuration}", environ={}).wait_until_ready()

    daemon = await anyio.to_thread.run_sync(run)
    yield daemon
    await anyio.to_thread.run_sync(daemon.end)


@pytest.fixture(scope="module")
async def daemon(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Daemon]:
    providers = PROVIDERS.format(url=simulator.base_url)
    async with running(tmp_path_factory.mktemp("matrix"), providers) as daemon:
        yield daemon


@pytest.fixture
def scene(daemon: Daemon, simulator: Simulator) -> Scene:
    return Scene(daemon, simulator)
