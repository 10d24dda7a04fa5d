"""The demo: a daemon on a temporary socket, two simulated providers, and one of them dies.

Nothing here is a real provider and no key is used; every reply says that it is simulated. The
providers are processes of their own, so that killing one is killing one. Everything is gone at the
end, also after Ctrl-C.
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
from typing import Any

from routerd.models.pricing import format_cents
from routerd_client import CallRestarted, Client, Reply, TextDelta

PATHS = {"anthropic": "/anthropic", "openai": "/openai/v1"}
CONFIGURATION = """\
[discovery]
local_servers = false
[log]
level = "error"
"""
PROVIDER = """\
[providers.{name}]
base_url = "{url}"
simulated = true
keyless = true
"""
QUESTION = "Why do routers fail over?"
PARTS_BEFORE_THE_KILL = 15
INDENT = "   "
WIDTH = 78
INTERRUPTED = 130


def main() -> int:
    """Run the demo; returns 0 if everything went as told."""
    # Whoever ends this also ends what it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            return run(stack)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED


def run(stack: ExitStack) -> int:
    """Start everything on the stack and tell the story."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="routerd-demo-")))
    say("Two simulated providers, each a process of its own. Their models write at a real pace,")
    say("though nothing that makes sense. No key is used and nothing is billed.")
    providers = {name: stack.enter_context(simulator(name)) for name in PATHS}
    configuration = CONFIGURATION
    for name, (_, url) in providers.items():
        print(f"{INDENT}{name:<10} {url}")
        configuration += PROVIDER.format(name=name, url=url + PATHS[name])
    (folder / "routerd.toml").write_text(configuration, encoding="utf-8")
    stack.enter_context(daemon(folder))
    socket = folder / "routerd.sock"
    client = stack.enter_context(Client(socket, connect_patience=30))

    say(f'\n1. A stream: for text in client.stream("smart", "{QUESTION}").text')
    first = streamed(client)
    say('\n2. Awaited: reply = await client.acomplete("fast", "Give me a fact.")')
    summarise(asyncio.run(awaited(client)))
    say('\n3. Blocking: reply = client.complete("workhorse", "Tag this ticket.", tenant="demo")')
    summarise(client.complete("workhorse", "Tag this ticket.", tenant="demo"))

    process, _ = providers[first.provider]
    say(f"\n4. In the middle of a stream {first.provider} is killed (kill -9). The call said")
    say("   restart=True, so a whole new answer follows:")
    restarted = streamed(client, kill=process)
    say("\n5. The next call. Nothing was delivered yet, so nobody notices that a backup serves it:")
    second = streamed(client)
    if {restarted.provider, second.provider} & {first.provider} or second.attempts < 2:
        print("The backup did not serve these calls; that is a bug.", file=sys.stderr)
        return 1

    say(f"\n6. Why? routerd explain {second.decision_id}")
    explain = [*routerd(), "explain", f"--socket={socket}", second.decision_id]
    subprocess.run(explain, check=True)
    say("\nDone. Next: `make run` serves for real; README.md shows the rest.")
    return 0


def say(text: str) -> None:
    """Print a heading, bold on a terminal that wants it."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR")
    print(text if plain else f"\033[1m{text}\033[0m", flush=True)


def streamed(client: Client, kill: subprocess.Popen[str] | None = None) -> Reply:
    """Stream an answer to the terminal as it comes; kill a provider in the middle of it."""
    paper = Paper()
    parts = 0
    with client.stream("smart", QUESTION, restart=kill is not None) as stream:
        for part in stream:
            if isinstance(part, CallRestarted):
                paper.line(" ... (cut off here; what came so far is void)")
            elif isinstance(part, TextDelta):
                paper.write(part.text)
                parts += 1
            if kill is not None and parts == PARTS_BEFORE_THE_KILL:
                kill.kill()
    paper.line()
    summarise(stream.reply)
    return stream.reply


class Paper:
    """Writes text as it comes, indented, in lines that fit."""

    def __init__(self) -> None:
        self._column = 0

    def write(self, text: str) -> None:
        """Write a piece of an answer; its own line ends become spaces."""
        text = text.replace("\n", " ")
        if self._column + len(text) > WIDTH:
            self.line()
        if self._column == 0:
            text = INDENT + text.lstrip()
        print(text, end="", flush=True)
        self._column += len(text)

    def line(self, text: str = "") -> None:
        """End the line, with a text of one's own."""
        print(text, flush=True)
        self._column = 0


async def awaited(client: Client) -> Reply:
    """Make the same kind of call from async code."""
    return await client.acomplete("fast", "Give me a fact.")


def summarise(reply: Reply) -> None:
    """Print who answered, what it cost and how long it took."""
    if not reply.simulated:
        raise RuntimeError("a reply of the demo must say that it is simulated")
    cost = format_cents(reply.cost_nanodollars) if reply.cost_nanodollars is not None else "unknown"
    attempts = "1 attempt" if reply.attempts == 1 else f"{reply.attempts} attempts"
    first = reply.first_content_seconds or 0.0
    print(
        f"{INDENT}-> {reply.deployment} (simulated), {attempts}, cost {cost}, "
        f"first token {first * 1000:.0f} ms, total {reply.total_seconds * 1000:.0f} ms",
        flush=True,
    )


def routerd() -> list[str]:
    """Return the command line of this very installation."""
    return [sys.executable, "-m", "routerd"]


@contextmanager
def simulator(vendor: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a simulated provider; yields its process and its address."""
    command = [*routerd(), "simulate", f"--vendor={vendor}", "--port=0", "--tokens=40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"the simulator of {vendor} did not start")
            yield process, line.split()[-1]
        finally:
            end(process)


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
            end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process and wait for that: after Ctrl-C Popen itself would not, and it still writes."""
    process.terminate()
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
