"""How a call ends that does not end well: after content, cancelled, refused, by a bug."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from routerd.errors import CallRefused
from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.openai import OpenAIAdapter
from routerd_proto.errors import error_info
from routerd_proto.frames import CallRestarted, Usage
from tests.daemon.execute.run import INPUT_TOKENS, Run
from tests.daemon.execute.scripted import (
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    silent,
    stalling,
    unfinished,
    until,
)


@pytest.mark.parametrize("scene", [cut("Hel"), unfinished("Hel")])
async def test_nothing_is_tried_again_after_content(scene: Scene) -> None:
    async with Vendor(scene) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target()).go()
    assert run.error.code == "interrupted"
    assert run.sink.kinds == ["TextDelta"]
    assert len(run.attempts) == 1
    assert backup.requests == []
    assert run.attempts[0].cost_basis == "estimated"
    assert run.attempts[0].usage == Usage(input_tokens=INPUT_TOKENS, output_tokens=1)


async def test_a_restart_voids_what_came_and_begins_at_the_backup() -> None:
    async with Vendor(cut("Hel")) as vendor, Vendor(answer("Whole"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), restart=True).go()
    assert run.execution.error is None
    assert run.sink.kinds == ["TextDelta", "CallRestarted", "TextDelta"]
    assert run.sink.text == "Whole"
    restarted = run.sink.frames[1]
    assert isinstance(restarted, CallRestarted)
    assert restarted.reason.code == "connection"
    assert run.way == [("vendor", "first", "connection"), ("backup", "fallback", None)]
    assert run.delivery.first_content_us is not None
    assert run.delivery.first_content_us > run.attempts[1].started_us


async def test_a_restart_that_fails_too_is_an_error() -> None:
    async with Vendor(cut("Hel")) as vendor, Vendor(failing(401), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), restart=True).go()
    assert run.sink.kinds == ["TextDelta"]
    assert run.error.code == "interrupted"
    assert run.error.details["tried"] == ["vendor/m: connection", "backup/m: auth"]


# --- cancellation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scene", "status", "content"),
    [(silent, None, ""), (stalling(), 200, ""), (stalling("Hel"), 200, "Hel")],
)
async def test_a_call_that_is_cancelled_hangs_up_and_is_settled(
    scene: Scene, status: int | None, content: str
) -> None:
    async with Vendor(scene) as vendor, Vendor(name="backup") as backup:
        run = Run(vendor.target(), backup.target(), restart=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.go)
            await vendor.waiting.wait()
            await until(lambda: run.sink.text == content and run.attempts[0].status == status)
            tasks.cancel_scope.cancel()
        await vendor.hung_up.wait()
    (attempt,) = run.attempts
    assert attempt.error_class == "cancelled"
    assert attempt.status == status
    assert attempt.ended_us is not None
    assert attempt.cost_basis == "estimated"
    assert attempt.usage == Usage(input_tokens=INPUT_TOKENS, output_tokens=1 if content else 0)
    assert backup.requests == []


async def test_a_call_is_cancelled_while_its_caller_does_not_read() -> None:
    async with Vendor(stalling("Hel")) as vendor:
        run = Run(vendor.target())
        run.sink.stop_reading()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.go)
            await run.sink.draining.wait()
            tasks.cancel_scope.cancel()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "cancelled")]


async def test_a_call_is_cancelled_between_two_attempts() -> None:
    async with Vendor(failing(503, retry_after="2")) as vendor:
        run = Run(vendor.target())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.go)
            await until(lambda: bool(run.attempts and run.attempts[0].ended_us))
            tasks.cancel_scope.cancel()
    assert run.way == [("vendor", "first", "overloaded")]
    assert run.execution.waited_us > 0


async def test_nothing_is_left_of_a_cancelled_call() -> None:
    before = len(asyncio.all_tasks())
    for scene in (silent, stalling("Hel")):
        async with Vendor(scene) as vendor:
            run = Run(vendor.target())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.go)
                await vendor.waiting.wait()
                tasks.cancel_scope.cancel()
            await vendor.hung_up.wait()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


# --- what a wire cannot carry, and bugs ----------------------------------------------------------


class OddAdapter(OpenAIAdapter):
    """An adapter that raises on encoding."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def encode(self, request: ChatRequest) -> EncodedRequest:
        raise self.error


def refused(message: str) -> CallRefused:
    return CallRefused(error_info("invalid_request", message))


async def test_a_call_one_wire_cannot_carry_goes_to_the_next() -> None:
    async with (
        Vendor(adapter=OddAdapter(refused("no"))) as vendor,
        Vendor(answer("Hello"), name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target()).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert run.way == [("vendor", "first", "bad_request"), ("backup", "fallback", None)]
    assert run.attempts[0].sent is False
    assert run.attempts[0].cost_nanodollars == 0


async def test_a_call_no_wire_can_carry_is_refused_with_the_first_reason() -> None:
    async with (
        Vendor(adapter=OddAdapter(refused("one"))) as vendor,
        Vendor(adapter=OddAdapter(refused("two")), name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target()).go()
    assert (run.error.code, run.error.message) == ("invalid_request", "one")


async def test_a_refusal_to_encode_is_the_first_cause_of_later_failures_too() -> None:
    async with (
        Vendor(adapter=OddAdapter(refused("one"))) as vendor,
        Vendor(failing(401), name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target()).go()
    assert (run.error.code, run.error.message) == ("invalid_request", "one")
    assert run.error.details["tried"] == ["vendor/m: bad_request", "backup/m: auth"]


class CountingAdapter(OpenAIAdapter):
    """An adapter that counts what it encodes."""

    encoded = 0

    def encode(self, request: ChatRequest) -> EncodedRequest:
        self.encoded += 1
        return super().encode(request)


async def test_a_second_attempt_on_a_route_sends_the_same_bytes() -> None:
    first, second = CountingAdapter(), CountingAdapter()
    async with (
        Vendor(failing(500), failing(500), adapter=first) as vendor,
        Vendor(failing(500), answer("a"), adapter=second, name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target()).go()
    assert len(run.attempts) == 4
    assert (first.encoded, second.encoded) == (1, 1)
    for asked in (vendor, backup):
        assert asked.requests[0] == asked.requests[1]


async def test_a_bug_leaves_the_attempt_settled() -> None:
    async with Vendor(adapter=OddAdapter(ZeroDivisionError())) as vendor:
        run = Run(vendor.target())
        with pytest.raises(ZeroDivisionError):
            await run.go()
    (attempt,) = run.attempts
    assert attempt.error_class == "internal_error"
    assert attempt.ended_us is not None


# --- inside and after an answer ------------------------------------------------------------------


async def test_an_error_inside_a_good_answer_is_an_error() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.event({"error": {"message": "busy", "type": "server_error"}})
        await exchange.end_stream()

    async with Vendor(scene, answer("Hello")) as vendor:
        run = await Run(vendor.target()).go()
    assert run.way == [("vendor", "first", "server_error"), ("vendor", "retry", None)]
    assert run.sink.text == "Hello"


async def test_an_answer_is_complete_though_its_connection_is_lost_after_the_end_mark() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hello")
        await exchange.event(b"[DONE]")
        exchange.reset()

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target()).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"


async def test_an_answer_is_complete_though_its_body_never_ends() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hello")
        await exchange.event(b"[DONE]")
        await exchange.until_gone()

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target()).go()
        await vendor.hung_up.wait()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
