"""Golden invoices: what Converse reports, through the real decoder, to the nanodollar."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.models import cost, load_directory
from routerd.providers.bedrock import BedrockAdapter
from routerd_proto.frames import Usage
from tests.daemon.providers.bedrock.wire import delta, event, stopped
from tests.daemon.providers.drive import decode

DIRECTORY = load_directory()
OPUS = "us.anthropic.claude-opus-5-5"
HAIKU = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-pro-v1:0"


@pytest.mark.parametrize(
    ("model", "usage", "nanodollars"),
    [
        # 12 x 0.80 + 25 x 3.20
        (NOVA, {"inputTokens": 12, "outputTokens": 25, "totalTokens": 37}, 89_600),
        # The copies are not added: 12 x 1 + 2000 x 0.10 + 25 x 5
        (
            HAIKU,
            {
                "inputTokens": 12,
                "outputTokens": 25,
                "totalTokens": 2037,
                "cacheReadInputTokens": 2000,
                "cacheReadInputTokenCount": 2000,
                "cacheWriteInputTokens": 0,
                "cacheWriteInputTokenCount": 0,
                "serverToolUsage": {},
            },
            337_000,
        ),
        # Written for an unknown time, which is the short one: 3 x 1 + 1000 x 1.25 + 20 x 5
        (HAIKU, {"inputTokens": 3, "outputTokens": 20, "cacheWriteInputTokens": 1000}, 1_353_000),
        # At both lifetimes: 10 x 4.40 + 400 x 5.50 + 600 x 8.80 + 50 x 22
        (
            OPUS,
            {
                "inputTokens": 10,
                "outputTokens": 50,
                "totalTokens": 1060,
                "cacheReadInputTokens": 0,
                "cacheWriteInputTokens": 1000,
                "cacheDetails": [
                    {"ttl": "1h", "inputTokens": 600},
                    {"ttl": "5m", "inputTokens": 400},
                ],
            },
            8_624_000,
        ),
        # Told of one lifetime alone: the rest is the other's.
        (
            OPUS,
            {
                "inputTokens": 10,
                "outputTokens": 50,
                "cacheWriteInputTokens": 1000,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 600}],
            },
            8_624_000,
        ),
        (NOVA, {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, 0),
        (NOVA, None, None),
        (NOVA, {"totalTokens": 5}, None),
    ],
)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_an_answer_costs_what_the_invoice_says(
    model: str, usage: dict[str, Any] | None, nanodollars: int | None, stream: bool
) -> None:
    if stream:
        told = event("metadata", usage=usage, metrics={"latencyMs": 5})
        data = [delta(0, text="Hello"), stopped(), told]
    else:
        message = {"role": "assistant", "content": [{"text": "Hello"}]}
        answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
        data = [json.dumps(answer).encode()]
    _, outcome = decode(BedrockAdapter(), data, stream=stream)
    assert outcome.complete
    # Not reported is not zero.
    assert (outcome.usage is None) == (nanodollars is None)
    if outcome.usage is not None:
        price = DIRECTORY.deployments[f"bedrock/{model}"].price
        assert cost(price, outcome.usage) == nanodollars
        total = (usage or {}).get("totalTokens")
        assert total in (None, total_of(outcome.usage))


def total_of(usage: Usage) -> int:
    return (
        usage.input_tokens
        + usage.cache_read_tokens
        + usage.cache_write_tokens
        + usage.cache_write_long_tokens
        + usage.output_tokens
    )


def test_zeros_at_the_end_do_not_take_the_place_of_a_count() -> None:
    counted = {"inputTokens": 12, "outputTokens": 25, "totalTokens": 37}
    zeros = dict.fromkeys(counted, 0)
    body = delta(0, text="a") + event("metadata", usage=counted)
    body += event("metadata", usage=zeros) + stopped()
    _, outcome = decode(BedrockAdapter(), [body])
    assert outcome.usage == Usage(12, 0, 0, 0, 25)
