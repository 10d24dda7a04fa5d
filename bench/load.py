"""One caller process: it runs its measures against one system and prints the numbers as JSON.

    python -m bench.load CORE < JOB        # JOB is a Job as JSON

Rules of this file: a fresh process each time, so that what one client leaves behind in memory is
not measured with the next. What is measured is printed at once, a line for each measure, so that a
caller which dies or hangs costs no other figure. What is under test beside routerd may fail at a
measure: that one is then noted, and the others are taken. The job comes on stdin, for a gateway's
key is in it, and words of a command line are seen by everybody.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Literal

import msgspec
import uvloop
from msgspec import Struct, field

from bench import measures
from bench.drivers import Driver, RawDriver, RouterdDriver, SdkDriver, complete_blocking, messages
from bench.frame_client import FrameDriver
from bench.machine import cpu_seconds, pinned, raise_open_files
from bench.peer_drivers import GatewayDriver, LitellmDriver, TensorzeroDriver
from routerd_client import Client

__all__ = ["DEAF", "Caller", "Job", "Outcome", "Sizes", "names_of"]

Caller = Literal["raw", "sdk", "routerd", "blocking", "frames", "gateway", "litellm", "tensorzero"]
# Who does not even hear that its time is up is ended by the kernel after so many times of it.
DEAF: Final = 2
REASON_CHARACTERS: Final = 200


class Sizes(Struct, frozen=True):
    """How much load each measure makes.

    `measure_seconds` is what a measure of a system that may fail has; the longest takes a third.
    """

    measure_seconds: int = 60
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
            calls=max(10, self.calls // by),
            calls_at_once=max(64, self.calls_at_once // by),
            burst_rounds=max(1, self.burst_rounds // by),
            first_parts=max(60, self.first_parts // by),
            hang_ups=max(3, self.hang_ups // by),
        )


class Job(Struct, frozen=True):
    """What to run. `path` is a Unix socket, None to call the provider's port directly.

    `router` is the process between caller and provider, None where the caller is all there is.
    `held` asks for memory and nothing else, `first` for one call. `may_fail` goes on after a
    measure that failed, and leaves out those of `without`. `router_port` and `headers` are of a
    gateway.
    """

    caller: Caller
    provider_port: int
    sizes: Sizes
    path: str | None = None
    router: int | None = None
    held: bool = False
    first: bool = False
    may_fail: bool = False
    without: tuple[str, ...] = ()
    router_port: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Outcome(Struct, frozen=True):
    """What was measured, and of which measures there is nothing, and why."""

    numbers: measures.Numbers = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    # Of a line: what it is about.
    measure: str = ""

    def __or__(self, other: Outcome) -> Outcome:
        return Outcome(self.numbers | other.numbers, self.failed | other.failed)


RouterCpu = measures.RouterCpu
Step = Callable[[Driver, Job, RouterCpu], Awaitable[measures.Numbers]]


def make_driver(job: Job) -> Driver:
    """Return the caller that a job names. Raises KeyError for one that is not on asyncio."""
    drivers: dict[Caller, Callable[[], Driver]] = {
        "raw": lambda: RawDriver(port=job.provider_port, path=job.path),
        "sdk": lambda: SdkDriver(job.provider_port),
        "routerd": lambda: RouterdDriver(job.path),
        "frames": lambda: FrameDriver(job.path),
        "gateway": lambda: GatewayDriver(job.router_port, job.headers),
        "litellm": lambda: LitellmDriver(job.provider_port),
        "tensorzero": lambda: TensorzeroDriver(job.provider_port),
    }
    return drivers[job.caller]()


async def first_answer(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Say when the first answer was there, on the clock that all processes share."""
    del job, router_cpu
    await driver.call()
    return {"answered_at": time.monotonic()}


async def held_stream(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure memory, of the router where there is one, else of this process."""
    del router_cpu
    for _ in range(20):
        await driver.call()
    router = os.getpid() if job.router is None else job.router
    return await measures.held_streams(driver, job.sizes.held, router)


async def one_call(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure calls one after the other."""
    await measures.one_call(driver, job.sizes.warm_calls, None)
    return await measures.one_call(driver, job.sizes.calls, router_cpu)


async def calls_at_once(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure calls beside each other."""
    await measures.calls_at_once(driver, job.sizes.warm_calls, 64, None)
    return await measures.calls_at_once(driver, job.sizes.calls_at_once, 64, router_cpu)


async def paced_part(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure parts that come one by one."""
    parts = job.sizes.paced_parts
    return await measures.streams(driver, "paced_part", 100, parts, 20, 1, router_cpu)


async def burst_part(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure parts that come all together."""
    rounds = job.sizes.burst_rounds
    return await measures.streams(driver, "burst_part", 16, 200, 0, rounds, router_cpu)


async def first_part(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure how a stream begins."""
    del router_cpu
    return await measures.first_parts(driver, 20, 20, job.sizes.first_parts)


async def hang_up(driver: Driver, job: Job, router_cpu: RouterCpu) -> measures.Numbers:
    """Measure how a stream that is left ends."""
    del router_cpu
    sizes = job.sizes
    return await measures.hang_ups(driver, job.provider_port, sizes.hang_ups, sizes.hang_up_seconds)


FIRST: Final[Mapping[str, Step]] = {"a first answer": first_answer}
HELD: Final[Mapping[str, Step]] = {"a held stream": held_stream}
USUAL: Final[Mapping[str, Step]] = {
    "one call": one_call,
    "calls at once": calls_at_once,
    "a paced part": paced_part,
    "a part in a burst": burst_part,
    "the first part": first_part,
    "a hang-up": hang_up,
}


def steps_of(job: Job) -> Mapping[str, Step]:
    if job.first:
        return FIRST
    return HELD if job.held else USUAL


def names_of(job: Job) -> list[str]:
    """Name what an asyncio caller is to measure, in its order."""
    return [name for name in steps_of(job) if name not in job.without]


async def run(job: Job) -> None:
    """Run what an asyncio caller is measured by; prints each as soon as it is there."""
    driver = make_driver(job)
    router_cpu = partial(cpu_seconds, job.router) if job.router is not None else None
    steps = steps_of(job)
    seconds = job.sizes.measure_seconds
    for name in names_of(job):
        taken = steps[name](driver, job, router_cpu)
        if not job.may_fail:
            tell(Outcome(await taken, measure=name))
            continue
        signal.alarm(DEAF * seconds)  # the last one is for the end too
        try:
            async with asyncio.timeout(seconds):
                tell(Outcome(await taken, measure=name))
        except Exception as error:  # noqa: BLE001 - a stranger's program: it is said, not judged
            tell(Outcome(failed={name: reason_of(error)}, measure=name))
    if job.caller == "tensorzero":
        os._exit(0)  # the loop's end would wait for the streams that were left
    await driver.close()


def reason_of(error: Exception) -> str:
    """Return the beginning of what an error says, in a line."""
    said = str(error).strip().partition("\n")[0][:REASON_CHARACTERS]
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def run_blocking(job: Job) -> None:
    """Run what a blocking caller is measured by and print it."""
    router_cpu = partial(cpu_seconds, job.router) if job.router is not None else None
    with Client(job.path) as client:
        for _ in range(job.sizes.warm_calls):
            complete_blocking(client, messages())
        found = measures.one_call_blocking(client, job.sizes.calls, router_cpu)
        tell(Outcome(found, measure="one call"))


def tell(found: Outcome) -> None:
    """Print a line, behind what a library may have printed without ending its own."""
    print("\n" + msgspec.json.encode(found).decode(), flush=True)


def main(core: int, job: Job) -> None:
    raise_open_files()
    with pinned(core):
        if job.caller == "blocking":
            run_blocking(job)
        else:
            uvloop.run(run(job))


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
