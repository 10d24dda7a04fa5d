"""An answer that Anthropic paused goes on when the reply is sent back as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from routerd.simulate import Price
from routerd_proto.content import Message
from tests.e2e.conftest import Daemon
from tests.e2e.test_raw_beyond_hold import SEARCH, WIRES, simulate, start

[WIRE] = [wire for wire in WIRES if wire.vendor == "anthropic"]


async def test_it_goes_on_with_a_model_that_takes_no_begun_answer(
    launch: Callable[..., Daemon],
    tmp_path: Path,
    prices: dict[str, Price],
) -> None:
    """The simulator refuses what is half or not as it gave it out."""
    asked: dict[str, Any] = {"team": "research", "raw": {"anthropic": {"tools": [SEARCH]}}}
    history = [Message("user", "use web_search")]
    async with simulate(WIRE, prices) as simulator:
        daemon = await start(WIRE, launch, tmp_path, simulator)
        async with daemon.client() as client:
            paused = await client.acomplete(WIRE.model, history, **asked)
            history.append(paused.message)
            ended = await client.acomplete(WIRE.model, history, **asked)
            history += [ended.message, Message("user", "And now?")]
            more = await client.acomplete(WIRE.model, history, **asked)
    assert [reply.finish for reply in (paused, ended, more)] == ["pause", "stop", "stop"]
    assert all(reply.text for reply in (paused, ended, more))
    assert not paused.tool_calls
    shown = "a part of the answer is not shown, and goes back"
    assert [note for note in paused.notes if shown in note] == [f"{shown}: server_tool_use"]
    found = f"{shown}: web_search_tool_result"
    assert [note for note in ended.notes if shown in note] == [found]
