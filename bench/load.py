"""One caller process: it runs its measures against one system and prints the numbers as JSON.

    python -m bench.load CORE JOB        # JOB is a Job as JSON

Rules of this file: a fresh process each time, so that what one client leaves behind in memory is
not measured with the next. What is under test beside routerd may fail at a measure: that one is
then noted, and the others are taken.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal

import msgspec
import uvloop
from msgspec import Struct, field

from bench import measures
from bench.drivers import Driver, RawDriver, RouterdDriver, SdkDriver, complete_blocking, messages
from bench.machine import cpu_seconds, pinned, raise_open_files
from bench.peer_drivers import GatewayDriver, LitellmDriver, TensorzeroDriver
from routerd_client import Client

__all__ = ["Caller", "Job", "Outcome", "Sizes"]

Caller = Literal["raw", "sdk", "routerd", "blocking", "gateway", "litellm", "tensorzero"]
# A measure of a system that may fail; the longest takes a third of it.
MEASURE_SECONDS: Final = 60.0


class Sizes(Struct, frozen=True):
    """How much load each measure makes."""

    warm_calls: int = 200
    calls: int = 2000
    calls_at_once: int = 6000
    paced_parts: int = 100
    burst_rounds: int = 10
    first_parts: int = 120
    hang_ups: int = 20
    hang_up_seconds: float = 20.0
    held: int = 500

    def divided(self, by: int) -> Sizes:
        """Return less of everything that only gives more samples."""
        return msgspec.structs.replace(
            self,
            warm_calls=max(20, self.warm_calls // by),
            calls=self.calls // by,
            calls_at_once=self.calls_at_once // by,
            burst_rounds=max(1, self.burst_rounds // by),
            first_parts=max(60, self.first_parts // by),
            hang_ups=max(3, self.hang_ups // by),
        )


class Job(Struct, frozen=True):
    """What to run. `path` is a Unix socket, None to call the provider's port directly.

    `router` is the process between caller and provider, None where the caller is all there is.
    `held` asks for memory and nothing else, `first` for one call. `may_fail` goes on after a
    measure that failed. `router_port` and `headers` are of a gateway.
    """

    caller: Caller
    provider_port: int
    sizes: Sizes
    path: str | None = None
    router: int | None = None
    held: bool = False
    first: bool = False
    may_fail: bool = False
    router_port: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Outcome(Struct, frozen=True):
    """What was measured, and of which measures there is nothing, and why."""

    numbers: measures.Numbers = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __or__(self, other: Outcome) -> Outcome:
        return Outcome(self.numbers | other.numbers, self.failed | other.failed)


def make_driver(job: Job) -> Driver:
    match job.caller:
        case "sdk":
            return SdkDriver(job.provider_port)
        case "litellm":
            return LitellmDriver(job.provider_port)
        case "tensorzero":
            return TensorzeroDriver(job.provider_port)
        case "gateway":
            return GatewayDriver(job.router_port, job.headers)
        case "routerd" if job.path is not None:
            return RouterdDriver(job.path)
    return RawDriver(port=job.provider_port, path=job.path)


async def warm_and_hold(driver: Driver, job: Job) -> measures.Numbers:
    """Measure memory, of the router where there is one, else of this process."""
    for _ in range(20):
        await driver.call()
    router = os.getpid() if job.router is None else job.router
    return await measures.held_streams(driver, job.sizes.held, router)


def steps_of(driver: Driver, job: Job) -> dict[str, Callable[[], Awaitable[measures.Numbers]]]:
    """Return what an asyncio caller is measured by, in its order."""
    sizes = job.sizes
    router_cpu = partial(cpu_seconds, job.router) if job.router is not None else None
    if job.held:
        return {"a held stream": lambda: warm_and_hold(driver, job)}

    async def one_call() -> measures.Numbers:
        await measures.one_call(driver, sizes.warm_calls, None)
        return await measures.one_call(driver, sizes.calls, router_cpu)

    async def calls_at_once() -> measures.Numbers:
        await measures.calls_at_once(driver, sizes.warm_calls, 64, None)
        return await measures.calls_at_once(driver, sizes.calls_at_once, 64, router_cpu)

    return {
        "one call": one_call,
        "calls at once": calls_at_once,
        "a paced part": lambda: measures.streams(
            driver, "paced_part", 100, sizes.paced_parts, 20, 1, router_cpu
        ),
        "a part in a burst": lambda: measures.streams(
            driver, "burst_part", 16, 200, 0, sizes.burst_rounds, router_cpu
        ),
        "the first part": lambda: measures.first_parts(driver, 20, 20, sizes.first_parts),
        "a hang-up": lambda: measures.hang_ups(
            driver, job.provider_port, sizes.hang_ups, sizes.hang_up_seconds
        ),
    }


async def run(job: Job) -> None:
    """Run what an asyncio caller is measured by and print it."""
    driver = make_driver(job)
    if job.first:
        await driver.call()
        tell(Outcome())
    else:
        tell(await measured(driver, job))
    if job.caller == "tensorzero":
        os._exit(0)  # the loop's end would wait for the streams that were left
    await driver.close()


async def measured(driver: Driver, job: Job) -> Outcome:
    """Take one measure after the other."""
    found = Outcome()
    for name, measure in steps_of(driver, job).items():
        if not job.may_fail:
            found |= Outcome(await measure())
            continue
        try:
            async with asyncio.timeout(MEASURE_SECONDS):
                found |= Outcome(await measure())
        except Exception as error:  # noqa: BLE001 - a stranger's program: it is said, not judged
            found.failed[name] = f"{type(error).__name__}: {error}".removesuffix(": ")
    return found


def run_blocking(job: Job) -> None:
    """Run what a blocking caller is measured by and print it."""
    router_cpu = partial(cpu_seconds, job.router) if job.router is not None else None
    with Client(job.path) as client:
        for _ in range(job.sizes.warm_calls):
            complete_blocking(client, messages())
        tell(Outcome(measures.one_call_blocking(client, job.sizes.calls, router_cpu)))


def tell(found: Outcome) -> None:
    print(msgspec.json.encode(found).decode(), flush=True)


def main(core: int, job: Job) -> None:
    raise_open_files()
    with pinned(core):
        if job.caller == "blocking":
            run_blocking(job)
        else:
            uvloop.run(run(job))


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Job))
