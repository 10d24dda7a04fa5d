"""The daemon: every part constructed and wired once, its tasks started and stopped in order.

Rules of this file: wiring is nowhere else. Each task has a plain name and one line that says why it
is there. Stopping goes the other way round: no new calls, running calls end, then what served them.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup

from routerd.accept.commands import Commands
from routerd.accept.connection import Connection
from routerd.accept.listener import Listener
from routerd.accept.server import Server
from routerd.app.assembling import InForce, find_providers, make_rules, places_of, pointed_at
from routerd.app.money import open_accounts
from routerd.app.notify import Notifier, watchdog_seconds
from routerd.app.probing import Prober
from routerd.app.providers import tell_unproven
from routerd.app.reloading import Reloader, Reloads
from routerd.app.startup import SIMULATED_PROVIDERS, Startup
from routerd.app.status import Status
from routerd.app.stopping import Stop
from routerd.app.telemetry import Telemetry
from routerd.app.tokens import TokenRenewal
from routerd.app.trips import KeptTrips
from routerd.app.warming import Warmer
from routerd.cache import Answers
from routerd.execute.shadows import Shadows
from routerd.ledger import Ledger
from routerd.pipeline import Pipeline
from routerd.providers.transport import Transport
from routerd.settings import ledger_path
from routerd.telemetry.events import DaemonStarted, DaemonStopped, DaemonStopping, Events
from routerd.telemetry.lag import LoopLag
from routerd_proto.frames import CallRequested
from routerd_proto.search import SearchRequested

__all__ = ["run_daemon"]

# A provider that cannot be reached must not keep the daemon from serving the others.
WARM_BEFORE_READY_SECONDS = 1.0
# New objects before the youngest are looked at, and how seldom the older ones are.
COLLECTED_AFTER = (20_000, 20, 100)


async def run_daemon(
    startup: Startup,
    listener: Listener,
    transport: Transport,
    telemetry: Telemetry,
    *,
    started_at: float,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. `started_at` is on the monotonic clock."""
    events = telemetry.events
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(Stop())
        notifier = Notifier(startup.environ)
        stack.callback(notifier.close)
        # First, so that it ends last: it waits for connections that the transport still holds.
        arrange = await stack.enter_async_context(_simulators(startup))
        stack.push_async_callback(transport.aclose)
        made = await find_providers(arrange(startup), transport)
        tell_unproven([item.entry for item in made.providers.values()], events.emit)
        ledger = await _open_ledger(startup, events)
        stack.push_async_callback(ledger.close)
        pipeline = await _pipeline(made, ledger, events)
        kept = KeptTrips(ledger.path.parent, events.emit)
        await kept.read_into(pipeline.accounts.breakers.trips)
        reloader = Reloader(made)
        # How late it is stands beside what calls took: a loop that is held up begins them late.
        lag = stack.enter_context(LoopLag())
        status = Status(listener.path, reloader, pipeline, ledger, lag)
        server = _server(listener, reloader, pipeline, status, ledger, events, kept)
        breakers = pipeline.accounts.breakers
        # Connections that nobody used for a while would be closed by the provider.
        warmer = Warmer(made.providers, startup.settings.egress, events, breakers)
        tokens = TokenRenewal(made.providers, events)
        prober = Prober(breakers, pipeline.accounts.degraded, lambda: reloader.now.providers)
        async with anyio.create_task_group() as serving:
            pipeline.shadows = Shadows(pipeline.serve, serving.start_soon)
            # Apps may connect from here on; what they ask waits for nothing but a route.
            await serving.start(server.run, name="socket server")
            warmed = anyio.Event()
            # First, because what warms connections shows who asks.
            serving.start_soon(tokens.run, name="keeper of access tokens")
            serving.start_soon(warmer.run, warmed.set, name="keeper of warm connections")
            # What is tripped gets its calls back soon after it is well.
            serving.start_soon(prober.run, name="tests of what is tripped")
            with anyio.move_on_after(WARM_BEFORE_READY_SECONDS):
                await warmed.wait()
            _spare_the_collector()
            _tell_ready(notifier, status, startup, events, started_at, serving)
            parts = Reloads(
                transport=transport,
                ledger=ledger,
                pipeline=pipeline,
                server=server,
                warmer=warmer,
                tokens=tokens,
                notifier=notifier,
                events=events,
                arrange=arrange,
                change_log=telemetry.change,
            )
            # Its own task, so that whoever asks may leave.
            serving.start_soon(reloader.run, parts, name="reloads")
            stop.on_reload(reloader.ask)
            await stop.requested.wait()
            reloader.close()
            await _drain(server, notifier, reloader.now.startup, events, stop)
            serving.cancel_scope.cancel()
    events.emit(DaemonStopped())


def _spare_the_collector() -> None:
    """Have the collector walk neither what stays, nor what runs at the moment again and again.

    A call leaves no cycles behind, so that there is hardly anything to find: looking after 700 new
    objects, as is the default, costs a twentieth of a call's time and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


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


async def _pipeline(made: InForce, ledger: Ledger, events: Events) -> Pipeline:
    accounts = await open_accounts(made.startup, made.directory, ledger, events.emit)
    rules = await make_rules(made, ledger)
    accounts.breakers.replace(places_of(rules.targets.values()), made.startup.settings.health)
    return Pipeline(
        rules=rules,
        ledger=ledger,
        accounts=accounts,
        answers=Answers(made.startup.settings.cache, time.monotonic),
        events=events,
    )


def _server(
    listener: Listener,
    reloader: Reloader,
    pipeline: Pipeline,
    status: Status,
    ledger: Ledger,
    events: Events,
    kept: KeptTrips,
) -> Server:
    commands = Commands(
        status.report,
        ledger,
        status.budgets,
        lambda: pipeline.rules,
        lambda: pipeline.accounts,
        reload=reloader.reload,
        keep_trips=kept.write,
        tell=events.emit,
    )
    startup = reloader.now.startup

    def serve_call(
        request: CallRequested | SearchRequested, sink: Connection
    ) -> Coroutine[None, None, None]:
        return pipeline.serve(request, sink, sink.peer_uid, read_at=sink.read_at)

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
async def _simulators(startup: Startup) -> AsyncIterator[Callable[[Startup], Startup]]:
    """Run a simulator in this process if simulation was asked for by name.

    Yields what leads a start that was read to it.
    """
    if not startup.simulated:
        yield lambda read: read
        return
    from routerd.simulate import Pacing, Simulator  # noqa: PLC0415 - nobody else pays for it

    pacing = Pacing(think_seconds=0.2, tokens_per_second=80)
    async with Simulator(pacing=pacing, vendors=SIMULATED_PROVIDERS) as simulator:
        yield partial(pointed_at, simulator.base_url)


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
