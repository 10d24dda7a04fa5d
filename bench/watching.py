"""What it costs to be asked for a stream where the caller wants one piece (`watch_silence`).

    .venv/bin/python bench/watching.py [--calls N] [--parts N] [--gap MS]

Rules of this file: CPU of the daemon alone, of calls that many make at once. Plain and watched
calls are measured in turns, so that a neighbour disturbs both alike; a number is the least of them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import uvloop

from bench.drivers import behaviour_of, messages
from bench.fake_provider import TEXT
from bench.machine import choose_cores, cpu_seconds, pinned
from bench.systems import RunningDaemon, daemon, fake_provider
from routerd_client import Client

__all__ = ["main"]

TARGET: Final = "cheap"
WIDTH: Final = 32
TURNS: Final = 7
# The first is asked; the second stands by, without which nobody is watched.
PROVIDERS: Final = """\
[policies.default]
moving_aliases = true
[providers.openai]
base_url = "http://127.0.0.1:{{port}}/v1"
key_file = "{{key_file}}"
watch_silence = {watched}
[providers.anthropic]
base_url = "http://127.0.0.1:{{port}}"
key_file = "{{key_file}}"
"""


async def turn(running: RunningDaemon, calls: int, said: str) -> float:
    """Return the microseconds of the daemon's CPU for each call."""
    client = Client(running.path)
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            reply = await client.acomplete(TARGET, messages(said), max_output_tokens=256)
            assert reply.finish == "stop"
            assert reply.provider == "openai"

    before = cpu_seconds(running.pid)
    await asyncio.gather(*(caller() for _ in range(WIDTH)))
    spent = cpu_seconds(running.pid) - before
    await client.aclose()
    return spent / calls * 1e6


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description="What watching a plain call costs.")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--parts", type=int, default=110)
    parser.add_argument("--gap", type=int, default=5)
    arguments = parser.parse_args()
    said = behaviour_of(arguments.parts, arguments.gap)
    cores = choose_cores()
    best = {False: float("inf"), True: float("inf")}
    with (
        tempfile.TemporaryDirectory(prefix="routerd-bench-") as name,
        pinned(cores.load),
        fake_provider(cores, Path(name)) as port,
        daemon(cores, Path(name), port, providers=PROVIDERS.format(watched="false")) as plain,
        daemon(cores, Path(name), port, providers=PROVIDERS.format(watched="true")) as watched,
    ):
        for _ in range(TURNS + 1):
            for is_watched, running in ((False, plain), (True, watched)):
                spent = uvloop.run(turn(running, arguments.calls, said))
                best[is_watched] = min(best[is_watched], spent)
    print(
        f"plain: {len(TEXT)} characters; watched: {arguments.parts} parts {arguments.gap} ms apart"
    )
    print(f"plain    {best[False]:6.0f} µs of CPU")
    print(f"watched  {best[True]:6.0f} µs of CPU, {best[True] / best[False]:.1f} times as much")


if __name__ == "__main__":
    main()
