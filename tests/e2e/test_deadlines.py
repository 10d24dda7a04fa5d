"""The time a caller allows bounds everything, whatever the provider does."""

from __future__ import annotations

import pytest

from routerd.simulate import Fault, Simulator
from tests.e2e.asking import SIDES, WAYS, Side, Way, ask, newest_record
from tests.e2e.conftest import Daemon

either_vendor_first = pytest.mark.parametrize("side", SIDES, ids=[side.vendor for side in SIDES])


@either_vendor_first
@pytest.mark.parametrize("way", WAYS)
async def test_the_timeout_bounds_a_call_whatever_the_provider_does(
    daemon: Daemon, simulator: Simulator, side: Side, way: Way
) -> None:
    cases = [
        (Fault(kind="silence"), "deadline_exceeded"),
        (Fault(kind="slow_first_token", seconds=600), "deadline_exceeded"),
        (Fault(kind="stall", after_tokens=5), "deadline_exceeded"),
        # Nobody waits for what comes too late.
        (Fault(kind="status", status=429, retry_after=2.9), "rate_limit"),
    ]
    async with daemon.client() as client:
        for fault, code in cases:
            simulator.script.replace([fault])
            heard = await ask(client, way, side.target, timeout=0.5)
            assert heard.failure.code == code, fault
            record = await newest_record(client)
            assert record.error_code == code, fault
            assert [attempt.ended_us for attempt in record.attempts if not attempt.ended_us] == []
            await simulator.until(lambda account: account.total.running == 0)


@either_vendor_first
async def test_the_timeout_bounds_all_attempts_together(
    daemon: Daemon, simulator: Simulator, side: Side
) -> None:
    simulator.script.replace([Fault(kind="silence")])
    async with daemon.client() as client:
        heard = await ask(client, "stream", side.target, timeout=1.0)
        record = await newest_record(client)
    assert heard.failure.code == record.error_code == "deadline_exceeded"
    assert record.plan is not None
    routes = [route.deployment for route in record.plan.routes]
    # Each has half of what is left, the last one all of it.
    assert [(item.deployment, item.error_phase) for item in record.attempts] == [
        *((name, "headers") for name in routes[:-1]),
        (routes[-1], "deadline"),
    ]
    assert heard.failure.details["tried"] == [f"{name}: timeout" for name in routes]
