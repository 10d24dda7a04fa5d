"""What an attempt costs, and how that is known."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest
from msgspec import structs

from routerd.errors import Failure
from routerd.execute.attempt import GATEWAY
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Headers,
    ListedModel,
    Repair,
)
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.transport import AiohttpTransport, Channel, HttpxTransport
from routerd.settings import Timeouts
from routerd_proto.frames import Usage
from tests.daemon.execute.run import INPUT_TOKENS, SOON, Run
from tests.daemon.execute.scripted import (
    Exchange,
    Vendor,
    answer,
    cut,
    failing,
    silent,
    until,
)

HELD = 7_000_000


@pytest.fixture
def full_queue() -> Iterator[str]:
    """Yield the address of a listener that takes no more connections: connecting hangs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        for each in waiting:
            each.close()


@pytest.mark.parametrize("engine", [AiohttpTransport, HttpxTransport])
@pytest.mark.parametrize("end", ["deadline", "headers", "hang-up"])
async def test_a_request_that_never_left_costs_nothing(
    full_queue: str, engine: type[AiohttpTransport | HttpxTransport], end: str
) -> None:
    transport = engine(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    channel = Channel(transport, full_queue, [], connect_seconds=60.0)
    vendor = Vendor()
    vendor.channel = channel
    target = vendor.target()
    timeouts = Timeouts(headers=SOON) if end == "headers" else Timeouts()
    run = Run(target, timeouts=timeouts, seconds=SOON if end == "deadline" else 500.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.go)
        if end == "hang-up":
            await until(lambda: bool(run.attempts))
            await anyio.sleep(SOON)
            tasks.cancel_scope.cancel()
    await transport.aclose()
    (attempt,) = run.attempts
    assert attempt.sent is False
    assert attempt.usage is None
    assert (attempt.cost_nanodollars, attempt.cost_basis) == (0, "measured")
    phases = {"deadline": "deadline", "headers": "connect", "hang-up": None}
    assert attempt.error_phase == phases[end]


@pytest.mark.parametrize("engine", [AiohttpTransport, HttpxTransport])
async def test_a_request_that_left_may_cost(
    engine: type[AiohttpTransport | HttpxTransport],
) -> None:
    async with Vendor(silent) as vendor:
        transport = engine(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        channel = Channel(transport, f"http://{vendor.channel.server}/v1", [], connect_seconds=5.0)
        run = Run(structs.replace(vendor.target(), channel=channel), seconds=0.3)
        await run.go()
        await vendor.hung_up.wait()
        await transport.aclose()
    (attempt,) = run.attempts
    assert attempt.sent is True
    assert attempt.cost_basis == "estimated"
    assert attempt.usage == Usage(input_tokens=INPUT_TOKENS)


@pytest.mark.parametrize(
    ("used", "priced", "basis", "nanodollars"),
    [
        ((10, 5), True, "measured", 20_000),
        (None, True, "estimated", INPUT_TOKENS * 1000 + 2 * 2000),
        ((10, 5), False, "unknown", None),
        (None, False, "unknown", None),
    ],
)
async def test_what_an_answer_costs_and_how_that_is_known(
    used: tuple[int, int] | None,
    priced: bool,
    basis: str,
    nanodollars: int | None,
) -> None:
    async with Vendor(answer("Hello", used=used)) as vendor:
        target = vendor.target() if priced else vendor.target(price=None)
        run = await Run(target).go()
    (attempt,) = run.attempts
    assert (attempt.cost_basis, attempt.cost_nanodollars) == (basis, nanodollars)


class EarlyDecoder:
    """A decoder that was told the input before the answer, and never its end."""

    def __init__(self, inner: AnswerDecoder) -> None:
        self._inner = inner
        self.outcome = inner.outcome
        self.outcome.early_usage = Usage(input_tokens=7, cache_read_tokens=3, output_tokens=1)

    def feed(self, data: bytes) -> list[Any]:
        return self._inner.feed(data)

    def end(self) -> list[Any]:
        return self._inner.end()


class EarlyAdapter:
    """Chat Completions with usage before the answer."""

    name = "early"
    models_path = "/models"
    warm_path = "/models"

    def __init__(self) -> None:
        self._inner = OpenAIAdapter()

    def needs_results(self, request: ChatRequest) -> bool:
        return self._inner.needs_results(request)

    def authorize(self, key: str | None) -> Headers:
        return self._inner.authorize(key)

    def encode(self, request: ChatRequest) -> EncodedRequest:
        return self._inner.encode(request)

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        return EarlyDecoder(self._inner.decoder(stream=stream))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return self._inner.failure(status, headers, body)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        return self._inner.repair(request, failure)

    def list_models(self, body: bytes) -> list[ListedModel]:
        return self._inner.list_models(body)


async def test_what_was_told_before_a_cut_answer_is_better_than_a_guess() -> None:
    async with Vendor(cut("Hello, you"), adapter=EarlyAdapter()) as vendor:
        run = await Run(vendor.target(price=None)).go()
    (attempt,) = run.attempts
    assert attempt.usage == Usage(input_tokens=7, cache_read_tokens=3, output_tokens=3)


async def test_usage_that_was_reported_in_the_end_is_what_counts() -> None:
    async with Vendor(answer("Hello", used=(10, 5)), adapter=EarlyAdapter()) as vendor:
        run = await Run(vendor.target()).go()
    assert run.attempts[0].usage == Usage(input_tokens=10, output_tokens=5)
    assert run.attempts[0].cost_basis == "measured"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "knows", "plain_costs"),
    [
        # Refused by the provider itself: its invoice has nothing of it.
        (500, True, 0),
        (503, True, 0),
        (429, True, 0),
        # A gateway in its place: the input may have been read, or the whole answer written.
        (502, False, INPUT_TOKENS * 1000),
        (520, False, INPUT_TOKENS * 1000),
        (504, False, HELD),
        (524, False, HELD),
    ],
)
async def test_what_a_gateway_answers_is_no_refusal_of_the_provider(
    status: int, knows: bool, plain_costs: int, stream: bool
) -> None:
    async with Vendor(failing(status), failing(status)) as vendor:
        run = Run(vendor.target(), stream=stream)
        run.plan = structs.replace(
            run.plan,
            routes=tuple(
                structs.replace(route, bound_nanodollars=HELD) for route in run.plan.routes
            ),
        )
        await run.go()
    attempt = run.attempts[0]
    assert attempt.status == status
    if knows:
        assert (attempt.cost_nanodollars, attempt.cost_basis, attempt.usage) == (
            0,
            "measured",
            None,
        )
        return
    assert attempt.cost_nanodollars == (INPUT_TOKENS * 1000 if stream else plain_costs)
    assert attempt.cost_basis == "estimated"
    assert attempt.usage == Usage(input_tokens=INPUT_TOKENS)
    assert GATEWAY in attempt.notes


@pytest.mark.parametrize(("ten", "basis"), [("10", "measured"), ("ten", "estimated")])
async def test_counts_in_text_cost_what_they_say_and_unreadable_ones_an_estimate(
    ten: str, basis: str
) -> None:
    async def scene(exchange: Exchange) -> None:
        choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": ten, "completion_tokens": 5}
        await exchange.plain(200, {"choices": [choice], "usage": usage})

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    [attempt] = run.attempts
    assert attempt.cost_basis == basis
    assert (attempt.cost_nanodollars or 0) > 0
    assert (attempt.usage.input_tokens if attempt.usage else None) == (10 if ten == "10" else 100)
