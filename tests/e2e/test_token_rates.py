"""What a model counts otherwise than is estimated is known to the next process, kill -9 or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Price, Simulator
from routerd_client import Client
from tests.e2e.asking import explain
from tests.e2e.conftest import MOVING, NO_DISCOVERY, Daemon
from tests.e2e.money import query

MODEL = "gpt-6-luna"
# The simulator counts four bytes to a token, in whatever script: other than any real vocabulary.
SAID = "東京の空は青い。" * 400
PROVIDER = """\
[providers.openai]
base_url = "{url}/openai/v1"
"""
KEY = {"OPENAI_API_KEY": "sk-a-key"}
RATES = "SELECT model, script, thousandths FROM token_rates"


async def decided_by(client: Client) -> dict[str, int]:
    """Ask once; return the rates that the decision knew."""
    reply = await client.acomplete(MODEL, SAID)
    snapshot = (await explain(client, reply.decision_id)).snapshot
    assert snapshot is not None
    return snapshot.token_rates


@pytest.mark.parametrize("end", [Daemon.kill, Daemon.stop], ids=["killed", "stopped"])
async def test_rates_are_known_after_a_restart(
    launch: Callable[..., Daemon],
    tmp_path: Path,
    prices: dict[str, Price],
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Daemon], Any],
) -> None:
    # What says of itself that it is simulated teaches nothing that lasts.
    monkeypatch.setattr("routerd.simulate.delivery.SIMULATED_HEADER", {})
    async with Simulator(vendors=["openai"], prices=prices) as simulator:
        file = tmp_path / "routerd.toml"
        text = NO_DISCOVERY + MOVING + PROVIDER.format(url=simulator.base_url)
        await anyio.Path(file).write_text(text)

        async def start() -> Daemon:
            return await anyio.to_thread.run_sync(
                lambda: launch(f"--config={file}", environ=KEY).wait_until_ready()
            )

        daemon = await start()
        async with daemon.client() as client:
            assert await decided_by(client) == {}
            for _ in range(12):
                learned = await decided_by(client)
            assert set(learned) == {MODEL}
            # Answered in order behind whatever was written: it is on disk.
            await client.acommand(
                "explain", decision_id=(await client.acomplete(MODEL, SAID)).decision_id
            )
        await anyio.to_thread.run_sync(end, daemon)
        [(model, script, kept)] = await query(daemon.ledger, RATES)
        assert (model, script) == (MODEL, "ideographs")
        assert abs(kept - learned[MODEL]) <= 80
        daemon = await start()
        async with daemon.client() as client:
            assert await decided_by(client) == {MODEL: kept}
