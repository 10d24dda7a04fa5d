"""A call in all three ways to a provider that speaks generateContent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread

from routerd.simulate import Price, Simulator, expected_text
from tests.e2e.conftest import NO_DISCOVERY, Daemon

MODEL = "gemini-3.8-flash"
SAID = "Tell me a story"
PROVIDER = """\
[providers.gemini]
base_url = "{url}/gemini"
simulated = true
keyless = true
"""
MOVING = "[policies.default]\nmoving_aliases = true\n"


async def test_every_way_gives_the_same_words(
    launch: Callable[..., Daemon], tmp_path: Path, prices: dict[str, Price]
) -> None:
    async with Simulator(vendors=["gemini"], prices=prices) as simulator:
        file = tmp_path / "config.toml"
        text = NO_DISCOVERY + MOVING + PROVIDER.format(url=simulator.base_url)
        await anyio.Path(file).write_text(text)
        daemon = await anyio.to_thread.run_sync(launch, f"--config={file}")
        await anyio.to_thread.run_sync(daemon.wait_until_ready)
        async with daemon.client() as client:
            stream = client.stream(MODEL, SAID)
            streamed = "".join([text async for text in stream.text])
            whole = await client.acomplete(MODEL, SAID)
            blocking = await anyio.to_thread.run_sync(client.complete, MODEL, SAID)
        assert [streamed, whole.text, blocking.text] == [expected_text(MODEL, SAID)] * 3
        for reply in (stream.reply, whole, blocking):
            assert reply.finish == "stop"
            assert (reply.cost_basis, bool(reply.cost_nanodollars)) == ("measured", True)
        assert [one.outcome for one in simulator.account.attempts] == ["completed"] * 3
