"""Log probabilities from the provider to the app, and models that have none."""

from __future__ import annotations

import pytest

from routerd.simulate import Simulator
from routerd_client import CallerError, LogprobsAdded, TextDelta
from tests.e2e.asking import explain
from tests.e2e.conftest import Daemon

ABLE = "gpt-4.1-2025-04-14"
UNABLE = "claude-haiku-5-5"


@pytest.mark.parametrize("alternatives", [0, 3])
async def test_every_token_of_the_answer_is_told(
    daemon: Daemon, simulator: Simulator, alternatives: int
) -> None:
    async with daemon.client() as client:
        stream = client.stream(ABLE, "Tell me a story", logprobs=alternatives)
        parts = [part async for part in stream]
        whole = await client.acomplete(ABLE, "Tell me a story", logprobs=alternatives)
    assert {type(part) for part in parts} == {TextDelta, LogprobsAdded}
    assert stream.reply.logprobs == whole.logprobs
    assert "".join(item.token for item in whole.logprobs) == whole.text == stream.reply.text
    assert {len(item.alternatives) for item in whole.logprobs} == {alternatives}
    assert all(item.logprob <= 0 and item.data == item.token.encode() for item in whole.logprobs)
    assert len(simulator.account.attempts) == 2


async def test_a_model_that_has_none_is_no_candidate(daemon: Daemon, simulator: Simulator) -> None:
    async with daemon.client() as client:
        with pytest.raises(CallerError) as caught:
            await client.acomplete(UNABLE, "Hi", logprobs=0)
        record = await explain(client, caught.value.decision_id)
    assert caught.value.code == "invalid_request"
    assert record.plan is not None
    assert "no_logprobs" in {item.code for item in record.plan.dropped}
    assert simulator.account.attempts == ()
