"""What is measured of a driver: each function makes one kind of load and returns plain numbers.

Rules of this file: every loop is bounded, every answer is checked to be whole. Times on the clock
are those of the caller. `router_cpu` returns the CPU seconds of the process under test so far, and
is None where there is no process between caller and provider.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from bench.drivers import Driver, complete_blocking, messages
from bench.fake_provider import Counters
from bench.machine import pss_bytes
from bench.raw_client import RawClient, get
from routerd_client import Client

__all__ = [
    "calls_at_once",
    "first_parts",
    "hang_ups",
    "held_streams",
    "holding",
    "one_call",
    "one_call_blocking",
    "streams",
]

Numbers = dict[str, float]
RouterCpu = Callable[[], float] | None
HOLD_MS: Final = 600_000
PATIENCE_SECONDS: Final = 60.0
# Of idle streams, how long what was begun may take to settle.
SETTLE_SECONDS: Final = 0.5


class CpuWatch:
    """CPU time of caller and router from now on."""

    def __init__(self, router_cpu: RouterCpu) -> None:
        self._router_cpu = router_cpu
        self._router = router_cpu() if router_cpu is not None else 0.0
        self._caller = time.process_time()

    def spent(self, name: str, count: int) -> Numbers:
        """Return microseconds for each of `count` things."""
        caller = time.process_time() - self._caller
        numbers = {f"{name}_caller_cpu_us": caller / count * 1e6}
        if self._router_cpu is not None:
            router = self._router_cpu() - self._router
            numbers[f"{name}_router_cpu_us"] = router / count * 1e6
        return numbers


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latencies(name: str, seconds: list[float]) -> Numbers:
    return {
        f"{name}_p50_us": statistics.median(seconds) * 1e6,
        f"{name}_p99_us": percentile(seconds, 0.99) * 1e6,
    }


async def one_call(driver: Driver, count: int, router_cpu: RouterCpu) -> Numbers:
    """Make calls one after the other."""
    taken: list[float] = []
    watch = CpuWatch(router_cpu)
    for _ in range(count):
        began_at = time.perf_counter()
        await driver.call()
        taken.append(time.perf_counter() - began_at)
    return latencies("call", taken) | watch.spent("call_alone", count)


def one_call_blocking(client: Client, count: int, router_cpu: RouterCpu) -> Numbers:
    """Make calls one after the other, in this thread."""
    said = messages()
    taken: list[float] = []
    watch = CpuWatch(router_cpu)
    for _ in range(count):
        began_at = time.perf_counter()
        complete_blocking(client, said)
        taken.append(time.perf_counter() - began_at)
    return latencies("call", taken) | watch.spent("call_alone", count)


async def calls_at_once(driver: Driver, count: int, width: int, router_cpu: RouterCpu) -> Numbers:
    """Make calls, `width` of them at any time."""
    left = count

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await driver.call()

    watch = CpuWatch(router_cpu)
    began_at = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(width)))
    taken = time.perf_counter() - began_at
    return {"calls_per_second": count / taken} | watch.spent("call", count)


async def streams(
    driver: Driver, name: str, count: int, parts: int, gap: int, rounds: int, router_cpu: RouterCpu
) -> Numbers:
    """Run `count` streams at once, `rounds` times; with a gap they begin spread over it."""
    arrived = 0

    async def read(number: int) -> None:
        nonlocal arrived
        await asyncio.sleep(number * gap / count / 1000)
        async for some in driver.stream(parts, gap):
            arrived += some

    watch = CpuWatch(router_cpu)
    for _ in range(rounds):
        await asyncio.gather(*(read(number) for number in range(count)))
    sent = count * parts * rounds
    if arrived != sent:
        raise ValueError(f"{arrived} of {sent} parts arrived")
    return watch.spent(name, sent)


async def first_parts(driver: Driver, beside: int, gap: int, count: int) -> Numbers:
    """Start streams one after the other beside others that run; the wait for the first part."""
    taken: list[float] = []

    async def run_beside(number: int) -> None:
        await asyncio.sleep(number * gap / beside / 1000)
        async for _ in driver.stream(count, gap):
            pass

    others = [asyncio.create_task(run_beside(number)) for number in range(beside)]
    await asyncio.sleep(2 * gap / 1000)
    for _ in range(count // 2):
        began_at = time.perf_counter()
        has_begun = False
        async for some in driver.stream(1, gap):
            if some and not has_begun:
                has_begun = True
                taken.append(time.perf_counter() - began_at)
    await asyncio.gather(*others)
    return latencies("first_part", taken)


@asynccontextmanager
async def holding(driver: Driver, count: int) -> AsyncIterator[None]:
    """Hold streams that began and then say nothing."""
    begun = 0
    all_begun = asyncio.Event()

    async def hold() -> None:
        nonlocal begun
        async for some in driver.stream(2, HOLD_MS):
            begun += some
            if begun >= count:
                all_begun.set()

    tasks = [asyncio.create_task(hold()) for _ in range(count)]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await all_begun.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def held_streams(driver: Driver, count: int, router: int) -> Numbers:
    """Return the memory that held streams take in the router, each of them."""
    before = pss_bytes(router)
    async with holding(driver, count):
        after = pss_bytes(router)
    return {"idle_pss_mb": before / 1e6, "held_stream_kib": (after - before) / count / 1024}


async def hang_ups(driver: Driver, provider_port: int, count: int, patience: float) -> Numbers:
    """Leave streams in their middle; how long until the provider sees its connection closed.

    Raises TimeoutError where it does not within `patience` seconds.
    """
    provider = RawClient(port=provider_port)

    async def stats() -> Counters:
        return msgspec.json.decode(await provider.call(get("/stats")), type=Counters)

    taken: list[float] = []
    for _ in range(count):
        before = (await stats()).cut
        stream = driver.stream(2, HOLD_MS)
        await anext(stream)
        left_at = time.monotonic()
        await stream.aclose()
        while (seen := await stats()).cut == before:
            if time.monotonic() - left_at > patience:
                raise TimeoutError(f"the provider was not hung up on within {patience:g} s")
            await asyncio.sleep(0.001)
        taken.append(seen.cut_at - left_at)
    provider.close()
    return latencies("hang_up", taken)
