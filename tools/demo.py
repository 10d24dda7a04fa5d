"""The demo: a daemon on a temporary socket, two simulated providers, and one of them dies.

Nothing here is a real provider and no key is used; every reply says that it is simulated. The
providers are processes of their own, so that killing one is killing one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from routerd.models.pricing import format_cents
from routerd_client import Client, Reply

VENDORS = {"anthropic": "/anthropic", "openai": "/openai/v1"}
CONFIGURATION = """\
[discovery]
local_servers = false
[log]
level = "warning"
"""
PROVIDER = """\
[providers.{name}]
base_url = "{url}"
simulated = true
keyless = true
"""


def main() -> int:
    """Run the demo; returns 0 if everything went as told."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="routerd-demo-")))
        say("Two simulated providers, each a process of its own:")
        providers = {name: stack.enter_context(simulator(name)) for name in VENDORS}
        configuration = CONFIGURATION
        for name, (_, url) in providers.items():
            print(f"  {name:<10} {url}")
            configuration += PROVIDER.format(name=name, url=url + VENDORS[name])
        (folder / "routerd.toml").write_text(configuration, encoding="utf-8")
        stack.enter_context(daemon(folder))
        client = stack.enter_context(Client(str(folder / "routerd.sock")))

        say("\nA stream:  client.stream('smart', ...)")
        first = streamed(client, "Why do routers fail over?")
        say("\nAn awaitable:  await client.acomplete('fast', ...)")
        summarise(asyncio.run(awaited(client)))
        say("\nA blocking call:  client.complete('workhorse', ...)")
        summarise(client.complete("workhorse", "Tag this ticket.", tenant="demo", task="tagging"))

        process, _ = providers[first.provider]
        say(f"\nNow {first.provider}, which answered 'smart', is killed (kill -9).")
        process.kill()
        process.wait()
        say("\nThe same stream again:")
        second = streamed(client, "Why do routers fail over?")
        if second.provider == first.provider or second.attempts < 2:
            print("The backup did not serve this call; that is a bug.", file=sys.stderr)
            return 1

        say(f"\nThe decision:  routerd explain {second.decision_id[:12]}")
        socket = ["--socket", str(folder / "routerd.sock")]
        subprocess.run([*routerd(), "explain", *socket, second.decision_id], check=True)
    say("\nDone. Next: `make run` serves for real; README.md shows the rest.")
    return 0


def say(text: str) -> None:
    """Print a heading, bold on a terminal that wants it."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR")
    print(text if plain else f"\033[1m{text}\033[0m", flush=True)


def streamed(client: Client, question: str) -> Reply:
    """Stream one answer to the terminal as it comes."""
    with client.stream("smart", question) as stream:
        for part in stream:
            print(getattr(part, "text", ""), end="", flush=True)
    print()
    summarise(stream.reply)
    return stream.reply


async def awaited(client: Client) -> Reply:
    """Make the same kind of call from async code."""
    return await client.acomplete("fast", "Give me one word.")


def summarise(reply: Reply) -> None:
    """Print who answered, what it cost and how long it took."""
    if not reply.simulated:
        raise RuntimeError("a reply of the demo must say that it is simulated")
    cost = format_cents(reply.cost_nanodollars) if reply.cost_nanodollars is not None else "unknown"
    first = reply.first_content_seconds or 0.0
    print(
        f"  -> {reply.deployment} (simulated), {reply.attempts} attempt(s), cost {cost}, "
        f"first token {first * 1000:.0f} ms, total {reply.total_seconds * 1000:.0f} ms"
    )


def routerd() -> list[str]:
    """Return the command line of this very installation."""
    return [sys.executable, "-m", "routerd"]


@contextmanager
def simulator(vendor: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a simulated provider; yields its process and its address."""
    command = [*routerd(), "simulate", "--vendor", vendor, "--port", "0", "--tokens", "40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield process, line.split()[-1]
        finally:
            process.terminate()


@contextmanager
def daemon(folder: Path) -> Iterator[None]:
    """Run the daemon in a folder of its own; keys of the environment are not passed on."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [
        *routerd(),
        "serve",
        f"--config={folder / 'routerd.toml'}",
        f"--socket={folder / 'routerd.sock'}",
        f"--ledger={folder / 'ledger.db'}",
    ]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
