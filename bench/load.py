"""One caller process: it runs its measures against one system and prints the numbers as JSON.

    python -m bench.load CORE JOB        # JOB is a Job as JSON

Rules of this file: a fresh process each time, so that what one client leaves behind in memory is
not measured with the next.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Literal

import msgspec
import uvloop
from msgspec import Struct

from bench import measures
from bench.drivers import Driver, RawDriver, RouterdDriver, SdkDriver, complete_blocking, messages
from bench.machine import cpu_seconds, pinned, raise_open_files
from routerd_client import Client

__all__ = ["Job", "Sizes"]

Caller = Literal["raw", "sdk", "routerd", "blocking"]


class Sizes(Struct, frozen=True):
    """How much load each measure makes."""

    warm_calls: int = 200
    calls: int = 2000
    calls_at_once: int = 6000
    paced_parts: int = 100
    burst_rounds: int = 10
    first_parts: int = 120
    hang_ups: int = 20
    held: int = 500

    def divided(self, by: int) -> Sizes:
        """Return less of everything that only gives more samples."""
        return Sizes(
            warm_calls=self.warm_calls // by,
            calls=self.calls // by,
            calls_at_once=self.calls_at_once // by,
            paced_parts=self.paced_parts,
            burst_rounds=max(1, self.burst_rounds // by),
            first_parts=max(60, self.first_parts // by),
            hang_ups=max(3, self.hang_ups // by),
            held=self.held,
        )


class Job(Struct, frozen=True):
    """What to run. `path` is a Unix socket, None to call the provider's port directly.

    `router` is the process between caller and provider. `held` asks for memory and nothing else.
    """

    caller: Caller
    provider_port: int
    sizes: Sizes
    path: str | None = None
    router: int | None = None
    held: bool = False


def make_driver(job: Job) -> Driver:
    if job.caller == "sdk":
        return SdkDriver(job.provider_port)
    if job.caller == "routerd" and job.path is not None:
        return RouterdDriver(job.path)
    return RawDriver(port=job.provider_port, path=job.path)


async def run(job: Job) -> measures.Numbers:
    """Run what an asyncio caller is measured by."""
    sizes = job.sizes
    driver = make_driver(job)
    if job.held and job.router is not None:
        for _ in range(20):
            await driver.call()
        return await measures.held_streams(driver, sizes.held, job.router)
    router_cpu = partial(cpu_seconds, job.router) if job.router is not None else None
    await measures.one_call(driver, sizes.warm_calls, None)
    numbers = await measures.one_call(driver, sizes.calls, router_cpu)
    await measures.calls_at_once(driver, sizes.warm_calls, 64, None)
    numbers |= await measures.calls_at_once(driver, sizes.calls_at_once, 64, router_cpu)
    numbers |= await measures.streams(
        driver, "paced_part", 100, sizes.paced_parts, 20, 1, router_cpu
    )
    numbers |= await measures.streams(
        driver, "burst_part", 16, 200, 0, sizes.burst_rounds, router_cpu
    )
    numbers |= await measures.first_parts(driver, 20, 20, sizes.first_parts)
    numbers |= await measures.hang_ups(driver, job.provider_port, sizes.hang_ups)
    await driver.close()
    return numbers


def run_blocking(job: Job) -> measures.Numbers:
    """Run what a blocking caller is measured by."""
    router_cpu = partial(cpu_seconds, job.router) if job.router is not None else None
    with Client(job.path) as client:
        for _ in range(job.sizes.warm_calls):
            complete_blocking(client, messages())
        return measures.one_call_blocking(client, job.sizes.calls, router_cpu)


def main(core: int, job: Job) -> None:
    raise_open_files()
    with pinned(core):
        numbers = run_blocking(job) if job.caller == "blocking" else uvloop.run(run(job))
    print(msgspec.json.encode(numbers).decode())


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Job))
