"""An error answer counts by what came of it: however long it is, and however slowly it comes."""

from __future__ import annotations

import json
from typing import Any

from routerd.settings import Timeouts
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import (
    Exchange,
    Vendor,
    answer,
    failing,
)


async def test_a_refusal_that_is_too_long_or_cut_still_counts_by_its_status() -> None:
    async def too_long(exchange: Any) -> None:
        await exchange.plain(401, b"<html>" + b"x" * 600_000)

    async def cut_short(exchange: Any) -> None:
        await exchange.send(b"HTTP/1.1 400 Bad\r\ncontent-length: 100\r\n\r\n{")
        exchange.reset()

    async with Vendor(too_long, cut_short) as vendor, Vendor(answer("a"), name="backup") as backup:
        first = await Run(vendor.target(), backup.target()).go()
        second = await Run(vendor.target(), backup.target()).go()
    assert first.way == [("vendor", "first", "auth"), ("backup", "fallback", None)]
    assert second.way == [("vendor", "first", "bad_request")]


async def test_what_a_long_refusal_says_counts() -> None:
    async def scene(exchange: Any) -> None:
        error = {"padding": "x" * 200_000, "code": "content_policy_violation", "message": "no"}
        await exchange.plain(400, {"error": error})

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target()).go()
    assert run.error.code == "content_policy"
    assert run.error.details["code"] == "content_policy_violation"


async def stalling_refusal(exchange: Exchange) -> None:
    """Say why, but never end the body."""
    body = json.dumps({"error": {"message": "no", "code": "insufficient_quota"}}).encode()
    await exchange.send(b"HTTP/1.1 429 No\r\ncontent-length: 999\r\n\r\n" + body)
    await exchange.until_gone()


async def test_a_refusal_whose_body_stalls_is_no_silence() -> None:
    async with Vendor(stalling_refusal) as vendor, Vendor(answer("a"), name="backup") as backup:
        # Neither limit is over when the status is known.
        timeouts = Timeouts(headers=1.0, first_content=3600.0)
        run = await Run(vendor.target(), backup.target(), timeouts=timeouts).go()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "quota"), ("backup", "fallback", None)]
    assert run.attempts[0].status == 429
    assert run.attempts[0].cost_nanodollars == 0


async def test_a_refusal_whose_body_stalls_is_told_when_time_is_over() -> None:
    async with Vendor(stalling_refusal) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), seconds=0.3).go()
        await vendor.hung_up.wait()
    assert run.error.code == "quota"
    assert len(run.attempts) == 1


async def test_a_key_that_a_refusal_quotes_is_masked() -> None:
    key = "sk-5wqZ81mTn0aKq3"

    async def scene(exchange: Any) -> None:
        await exchange.plain(401, {"error": {"message": f"wrong key: {key}", "code": key}})

    async with Vendor(scene) as vendor:
        vendor.send_headers([(b"authorization", f"Bearer {key}".encode())])
        run = await Run(vendor.target()).go()
    assert run.error.message.startswith("wrong key: ")
    assert key not in repr(run.error)
    assert key not in repr(run.attempts)


async def test_a_provider_that_calls_a_mistake_passing_is_asked_once_more() -> None:
    """A model may write a tool call that its server cannot read, and write a good one next time."""
    again = failing(400, "tool_use_failed", x_should_retry="true")
    async with Vendor(again, answer("Hello")) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target()).go()
    assert run.way == [("vendor", "first", "bad_request"), ("vendor", "retry", None)]
    async with Vendor(again, again) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), restart=True).go()
    assert run.error.code == "bad_request"
    assert len(run.attempts) == 2
