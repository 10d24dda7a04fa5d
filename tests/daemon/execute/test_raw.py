"""Parameters of one vendor stay with it, whatever a failover or a repair makes of the call."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from routerd.providers.registry import build_adapter
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Vendor, answer, failing

RAW: dict[str, Any] = {
    "first": {"verbosity": "low"},
    "mistral": {"safe_prompt": True},
    "elsewhere": {"top_k": 5},
}


async def test_a_failover_carries_nothing_of_one_vendor_to_another() -> None:
    async with (
        Vendor(failing(500), failing(500), name="first") as first,
        Vendor(answer("Hello"), name="second") as second,
    ):
        targets = (
            structs.replace(first.target(), wire="openai"),
            structs.replace(second.target(), wire="mistral"),
        )
        run = await Run(*targets, raw=RAW).go()
    assert run.sink.text == "Hello"
    assert [request.get("verbosity") for request in first.requests] == ["low", "low"]
    assert all("safe_prompt" not in request for request in first.requests)
    [last] = second.requests
    assert last["safe_prompt"] is True
    assert not {"verbosity", "top_k"} & last.keys()
    assert run.attempts[-1].notes == [
        "raw.first was left out: this is mistral or second",
        "raw.elsewhere was left out: this is mistral or second",
    ]


async def test_a_repaired_request_still_carries_it() -> None:
    async def refusing(exchange: Exchange) -> None:
        error = {"message": "no", "code": "unsupported_parameter", "param": "seed"}
        await exchange.plain(400, {"error": error}, x_should_retry="false")

    async with Vendor(refusing, answer("Hello"), name="first") as vendor:
        run = await Run(vendor.target(), raw={"first": RAW["first"]}, seed=7).go()
    assert run.sink.text == "Hello"
    assert [request["verbosity"] for request in vendor.requests] == ["low", "low"]
    assert ["seed" in request for request in vendor.requests] == [True, False]


@pytest.mark.parametrize(
    ("betas", "unlisted"),
    [
        (["interleaved-thinking-2025-05-14", "effort-2025-11-24"], False),
        ("context-1m-2025-08-07", True),
    ],
)
async def test_betas_arrive_in_the_header_of_the_request(betas: Any, *, unlisted: bool) -> None:
    async def served(exchange: Exchange) -> None:
        content = [{"type": "text", "text": "Hello"}]
        usage = {"input_tokens": 10, "output_tokens": 5}
        body = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
        await exchange.plain(200, body)

    async with Vendor(served, name="first", adapter=build_adapter("anthropic")) as vendor:
        target = structs.replace(vendor.target(), wire="anthropic")
        run = await Run(target, stream=False, raw={"anthropic": {"anthropic_beta": betas}}).go()
    assert run.sink.text == "Hello"
    [request], [head] = vendor.requests, vendor.heads
    assert "anthropic_beta" not in request
    sent = betas if isinstance(betas, str) else ",".join(betas)
    assert f"\r\nanthropic-beta: {sent}\r\n".encode() in head.lower()
    # What one may cost beyond the list is not told as known.
    [attempt] = run.attempts
    assert attempt.unlisted_cost is unlisted
    assert attempt.cost_basis == ("unknown" if unlisted else "measured")


async def test_what_would_take_away_a_bound_asks_nobody() -> None:
    async with Vendor(name="first") as vendor:
        run = await Run(vendor.target(), raw={"first": {"max_tokens": 9}}).go()
    assert vendor.requests == []
    assert run.execution.error is not None
    assert run.execution.error.code == "invalid_request"
    assert run.execution.error.details["param"] == "options.raw.first.max_tokens"
