"""A real daemon in a process of its own, in front of simulated providers, and gone without a trace.

Rules of this file: everything it makes is in one folder of its own, which is removed on every way
out, and the process has ended by then. It sees nothing of the environment of who rehearses, and no
key that is one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
from msgspec import Struct

from routerd.errors import StartError
from routerd.evaluate.spent import Spent, write_ledger
from routerd.evaluate.stage import Actor, as_toml, staged
from routerd.evaluate.world import World
from routerd.settings import Settings
from routerd.simulate import Pacing, Simulator
from routerd_client import Client, RouterdError

__all__ = ["Rehearsed", "Script", "rehearsed_daemon"]

READY_SECONDS: Final = 20.0
PREFIX: Final = "routerd-drill-"
KEPT: Final = ("PATH", "PYTHONPATH", "LANG")
# Short answers: money is not what an outage is about.
PACING: Final = Pacing(output_tokens=1)
LOG: Final = "stderr.log"
LAST_LINES: Final = 5
PAUSE_SECONDS: Final = 0.02


class Script(Struct, frozen=True, eq=False):
    """What a daemon starts with: the user's settings, who acts in it, and stand-ins for keys."""

    settings: Settings
    cast: tuple[Actor, ...]
    keys: Mapping[str, str]
    folder: Path
    default_cap: str | None = None


class Rehearsed(Struct, frozen=True, eq=False):
    """A daemon that serves, and the provider behind each of its names."""

    client: Client
    simulators: Mapping[str, Simulator]


@asynccontextmanager
async def rehearsed_daemon(
    script: Script, world: World, spent: Iterable[Spent] = ()
) -> AsyncIterator[Rehearsed]:
    """Run simulators and a daemon; StartError with its last words where it does not serve."""
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(_folder())
        simulators = {
            actor.name: await stack.enter_async_context(_simulator(actor))
            for actor in script.cast
            if actor.is_spoken
        }
        urls = {name: simulator.base_url for name, simulator in simulators.items()}
        settings = staged(
            script.settings,
            script.cast,
            urls,
            folder=script.folder,
            default_cap=script.default_cap,
        )
        await anyio.Path(folder / "routerd.toml").write_text(as_toml(settings), encoding="utf-8")
        ledger = folder / "ledger.db"
        if spent:
            await write_ledger(ledger, world, spent)
        await stack.enter_async_context(_process(folder, script.keys))
        client = Client(folder / "routerd.sock", connect_patience=READY_SECONDS)
        stack.push_async_callback(client.aclose)
        await _ready(client, folder)
        yield Rehearsed(client, simulators)


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    folder = Path(await anyio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix=PREFIX)))
    try:
        yield folder
    finally:
        # Also where whoever waits for it was cancelled.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


def _simulator(actor: Actor) -> Simulator:
    # By its full name, since a server may list models of a vendor's.
    models = actor.models
    return Simulator(
        pacing=PACING,
        vendors=(actor.adapter,),
        models=None if models is None else [f"{actor.adapter}/{name}" for name in models],
    )


@asynccontextmanager
async def _process(folder: Path, keys: Mapping[str, str]) -> AsyncIterator[None]:
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = [sys.executable, "-m", "routerd", "serve", f"--config={folder / 'routerd.toml'}"]
    places = [f"--socket={folder / 'routerd.sock'}", f"--ledger={folder / 'ledger.db'}"]
    async with (
        await anyio.open_file(os.devnull, "rb") as nothing,
        await anyio.open_file(folder / LOG, "wb") as log,
    ):
        process = await anyio.open_process(
            [*command, *places],
            stdin=nothing.wrapped,
            stdout=log.wrapped,
            stderr=log.wrapped,
            env={**own, "HOME": str(folder), "ROUTERD_LOCAL_SERVERS": "", **keys},
            # Ctrl-C is for whoever rehearses, who ends this one too.
            start_new_session=True,
        )
    try:
        yield
    finally:
        # There is nothing in it to keep.
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()


async def _ready(client: Client, folder: Path) -> None:
    try:
        with anyio.fail_after(READY_SECONDS):
            while True:
                if (await client.acommand("status"))["ready"]:
                    return
                await anyio.sleep(PAUSE_SECONDS)
    except (RouterdError, TimeoutError) as error:
        text = await anyio.Path(folder / LOG).read_text("utf-8", errors="replace")
        said = "\n".join(text.splitlines()[-LAST_LINES:])
        raise StartError(f"the rehearsed daemon does not serve ({error}):\n{said}") from error
