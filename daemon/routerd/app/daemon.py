"""The daemon: every part constructed and wired once, its tasks started and stopped in order.

Rules of this file: wiring is nowhere else. Each task has a plain name and one line that says why it
is there. Stopping goes the other way round: no new calls, running calls end, then what served them.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from msgspec import structs

from routerd.accept.commands import Commands
from routerd.accept.connection import Connection
from routerd.accept.listener import Listener
from routerd.accept.server import Server
from routerd.app.contracts import local_price
from routerd.app.local_servers import list_models, without_models
from routerd.app.money import open_accounts
from routerd.app.notify import Notifier, watchdog_seconds
from routerd.app.policy import build_book, policy_text
from routerd.app.providers import LiveProvider, build_providers, build_targets
from routerd.app.startup import Startup, local_servers, nothing_found
from routerd.app.status import Status
from routerd.app.stopping import Stop
from routerd.app.warming import keep_warm
from routerd.cache import Answers
from routerd.execute.shadows import Shadows
from routerd.execute.story import Rules
from routerd.ledger import Ledger
from routerd.models.directory import Directory
from routerd.pipeline import Pipeline
from routerd.providers.transport import Transport
from routerd.settings import ledger_path
from routerd.telemetry.events import DaemonStarted, DaemonStopped, DaemonStopping, Events
from routerd_proto.frames import CallRequested

__all__ = ["run_daemon"]

# A provider that cannot be reached must not keep the daemon from serving the others.
WARM_BEFORE_READY_SECONDS = 1.0


SIMULATED_PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic"}


async def run_daemon(
    startup: Startup,
    listener: Listener,
    transport: Transport,
    events: Events,
    *,
    started_at: float,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. `started_at` is on the monotonic clock."""
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(Stop())
        notifier = Notifier(startup.environ)
        stack.callback(notifier.close)
        # First, so that it ends last: it waits for connections that the transport still holds.
        startup = await stack.enter_async_context(_simulators(startup))
        stack.push_async_callback(transport.aclose)
        directory, providers = await _find_providers(startup, transport)
        ledger = await _open_ledger(startup, events)
        stack.push_async_callback(ledger.close)
        accounts = await open_accounts(startup, directory, ledger, events.emit)
        pipeline = Pipeline(
            rules=_rules(startup, directory, providers, ledger),
            ledger=ledger,
            accounts=accounts,
            answers=Answers(startup.settings.cache, time.monotonic),
            events=events,
        )
        status = Status(listener.path, startup, providers, pipeline, ledger)
        server = _server(listener, startup, pipeline, status, ledger, events)
        async with anyio.create_task_group() as serving:
            pipeline.shadows = Shadows(pipeline.serve, serving.start_soon)
            # Apps may connect from here on; what they ask waits for nothing but a route.
            await serving.start(server.run, name="socket server")
            egress = startup.settings.egress
            warmed = anyio.Event()
            # Connections that nobody used for a while would be closed by the provider.
            serving.start_soon(
                keep_warm, providers, egress, events, warmed.set, name="keeper of warm connections"
            )
            with anyio.move_on_after(WARM_BEFORE_READY_SECONDS):
                await warmed.wait()
            # What was made so far stays: the collector need not walk it again and again.
            gc.collect()
            gc.freeze()
            _tell_ready(notifier, status, startup, events, started_at, serving)
            await stop.requested.wait()
            await _drain(server, notifier, startup, events, stop)
            serving.cancel_scope.cancel()
    events.emit(DaemonStopped())


async def _open_ledger(startup: Startup, events: Events) -> Ledger:
    settings = startup.settings.ledger
    ledger = Ledger(
        ledger_path(startup.settings, startup.environ),
        queue_limit=settings.queue_limit,
        keep_days=settings.keep_days or None,
        on_event=events.emit,
    )
    await ledger.start()
    return ledger


def _rules(
    startup: Startup,
    directory: Directory,
    providers: Mapping[str, LiveProvider],
    ledger: Ledger,
) -> Rules:
    settings = startup.settings
    book = build_book(startup, directory, providers)
    return Rules(
        book=book,
        targets=build_targets(directory, providers),
        limits=settings.limits,
        timeouts=settings.timeouts,
        texts_of=frozenset(settings.ledger.texts_of),
        directory_hash=ledger.keep_document("directory", directory.document()),
        policy_hash=ledger.keep_document("policy", policy_text(book.document)),
        simulated=all(provider.simulated for provider in providers.values()),
    )


def _server(
    listener: Listener,
    startup: Startup,
    pipeline: Pipeline,
    status: Status,
    ledger: Ledger,
    events: Events,
) -> Server:
    commands = Commands(
        status.report, ledger, status.budgets, lambda: pipeline.rules, lambda: pipeline.accounts
    )

    async def serve_call(request: CallRequested, sink: Connection) -> None:
        await pipeline.serve(request, sink, sink.peer_uid)

    server = Server(
        listener,
        version=startup.version,
        settings=startup.settings.socket,
        limits=startup.settings.limits,
        events=events,
        serve_call=serve_call,
        serve_command=commands.serve,
    )
    status.server = server
    return server


@asynccontextmanager
async def _simulators(startup: Startup) -> AsyncIterator[Startup]:
    """Run a simulator in this process if simulation was asked for by name."""
    if not startup.simulated:
        yield startup
        return
    from routerd.simulate import Pacing, Simulator  # noqa: PLC0415 - nobody else pays for it

    pacing = Pacing(think_seconds=0.2, tokens_per_second=80)
    async with Simulator(pacing=pacing) as simulator:
        providers = {
            name: structs.replace(
                item,
                entry=structs.replace(
                    item.entry,
                    base_url=simulator.base_url + SIMULATED_PATHS[name],
                    boundary="machine",
                ),
            )
            for name, item in startup.providers.items()
        }
        directory = startup.directory
        for item in providers.values():
            directory = directory.with_provider(item.entry)
        yield structs.replace(startup, providers=providers, directory=directory)


async def _find_providers(
    startup: Startup, transport: Transport
) -> tuple[Directory, dict[str, LiveProvider]]:
    """Build the configured providers, and add the local servers that answer."""
    directory = startup.directory
    providers = build_providers(
        startup.providers,
        transport,
        connect_seconds=startup.settings.timeouts.connect,
        user_agent=startup.user_agent,
    )
    own = without_models(providers.values(), directory)
    for found in await list_models([*own, *local_servers(startup, transport)]):
        entry = found.provider.entry
        price = local_price(entry.id, startup.settings.providers, startup.file or "")
        directory = directory.with_provider(entry).with_local_models(
            entry.id, found.models, price=price
        )
        providers[entry.id] = found.provider
    if not providers:
        raise nothing_found(startup.file)
    return directory, providers


def _tell_ready(
    notifier: Notifier,
    status: Status,
    startup: Startup,
    events: Events,
    started_at: float,
    tasks: TaskGroup,
) -> None:
    status.ready = True
    events.emit(
        DaemonStarted(
            version=startup.version,
            socket=status.socket,
            providers=tuple(status.providers),
            deployments=status.deployments,
            ready_us=int((time.monotonic() - started_at) * 1_000_000),
        )
    )
    notifier.send(ready=1, status=f"serving, {len(status.providers)} providers")
    seconds = watchdog_seconds(startup.environ, os.getpid())
    if seconds is not None:
        # Sent from the loop, so that a loop that hangs is noticed.
        tasks.start_soon(_ping, notifier, seconds, name="watchdog of the service manager")


async def _ping(notifier: Notifier, seconds: float) -> None:
    while True:
        notifier.send(watchdog=1)
        await anyio.sleep(seconds)


async def _drain(
    server: Server, notifier: Notifier, startup: Startup, events: Events, stop: Stop
) -> None:
    seconds = startup.settings.limits.drain_seconds
    notifier.send(stopping=1, extend_timeout_usec=int((seconds + 10) * 1_000_000))
    events.emit(DaemonStopping(reason="signal", in_flight=server.in_flight))
    async with anyio.create_task_group() as tasks:

        async def stop_without_waiting() -> None:
            await stop.without_waiting.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop_without_waiting, name="second signal")
        await server.drain(seconds)
        tasks.cancel_scope.cancel()
