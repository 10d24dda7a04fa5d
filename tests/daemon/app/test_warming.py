"""Warm connections: told once when a provider is reached or lost, not at every round."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import pytest
from msgspec import structs

from routerd.app.providers import LiveProvider, live_local
from routerd.app.warming import Warmer
from routerd.domain import Attempt
from routerd.health.breakers import Breakers
from routerd.health.trips import Place
from routerd.models.schema import Provider
from routerd.providers.transport import Transport, TransportSettings, build_transport
from routerd.settings import Egress, Health
from routerd.simulate import Simulator, parse_fault
from routerd.telemetry.events import Event, Events, ProviderWarmed, event_name


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = await anyio.to_thread.run_sync(build_transport, TransportSettings())
    yield transport
    await transport.aclose()


def provider_at(address: str, transport: Transport) -> LiveProvider:
    entry = Provider(id="openai", adapter="openai", base_url=address, boundary="machine")
    return live_local(entry, transport, connect_seconds=5, user_agent="routerd")


class Told:
    """The events so far, and a way to wait for more."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.servers: list[str] = []
        self.rounds = 0
        self.events = Events([self._hear])
        self._changed = anyio.Event()

    def _hear(self, event: Event) -> None:
        self.names.append(event_name(event))
        if isinstance(event, ProviderWarmed):
            self.servers.append(event.server)
        self._change()

    def end_round(self) -> None:
        self.rounds += 1
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until_rounds(self, rounds: int) -> None:
        while self.rounds < rounds:
            await self._changed.wait()

    async def until(self, name: str) -> None:
        while self.names[-1:] != [name]:
            await self._changed.wait()


async def test_only_what_changed_is_told(transport: Transport) -> None:
    told = Told()
    settings = Egress(warm_connections=2, warm_every_seconds=0.01)
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        simulator._vendors["openai"].authenticate = lambda asked: None  # type: ignore[method-assign]
        providers = {"openai": provider_at(f"{simulator.base_url}/openai/v1", transport)}
        tasks.start_soon(Warmer(providers, settings, told.events, Breakers()).run, told.end_round)
        await simulator.until(lambda account: account.probes.get("openai", 0) >= 10)
        assert told.names == ["provider_warmed"]
        assert simulator.account.connections_accepted == 2
        tasks.cancel_scope.cancel()


async def test_a_provider_that_comes_and_goes_is_told_twice(transport: Transport) -> None:
    told = Told()
    settings = Egress(warm_connections=1, warm_every_seconds=0.01)
    simulator = Simulator(vendors=["openai"])
    async with simulator:
        pass  # the port is known from here on, and nobody listens
    providers = {"openai": provider_at(f"{simulator.base_url}/openai/v1", transport)}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Warmer(providers, settings, told.events, Breakers()).run, told.end_round)
        await told.until("provider_unreachable")
        async with simulator:
            await told.until("provider_warmed")
            tasks.cancel_scope.cancel()
    assert told.names == ["provider_unreachable", "provider_warmed"]
    assert told.rounds >= 1


async def test_without_warm_connections_nothing_is_sent(transport: Transport) -> None:
    told = Told()
    async with Simulator(vendors=["openai"]) as simulator:
        providers = {"openai": provider_at(f"{simulator.base_url}/openai/v1", transport)}
        settings = Egress(warm_connections=0, warm_every_seconds=0.01)
        async with anyio.create_task_group() as tasks:
            warmer = Warmer(providers, settings, told.events, Breakers())
            tasks.start_soon(warmer.run, told.end_round)
            await told.until_rounds(3)
            tasks.cancel_scope.cancel()
        assert simulator.account.connections_accepted == 0
    assert told.names == []


async def test_others_are_warmed_at_once_and_those_that_stay_keep_their_connections(
    transport: Transport,
) -> None:
    told = Told()
    settings = Egress(warm_connections=2, warm_every_seconds=3600)
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        simulator._vendors["openai"].authenticate = lambda asked: None  # type: ignore[method-assign]
        address = f"{simulator.base_url}/openai/v1"
        warmer = Warmer({"one": provider_at(address, transport)}, settings, told.events, Breakers())
        tasks.start_soon(warmer.run, told.end_round)
        await told.until_rounds(1)
        # Made anew, as a reload does: the connections are found by their address.
        same = provider_at(address, transport)
        warmer.replace({"one": same}, settings)
        await told.until_rounds(2)
        assert simulator.account.connections_accepted == 2
        assert told.names == ["provider_warmed"]
        warmer.replace({"other": same}, settings)
        await told.until_rounds(3)
        assert told.names == ["provider_warmed", "provider_warmed"]
        tasks.cancel_scope.cancel()


def seen_at(provider: LiveProvider) -> tuple[Breakers, Attempt]:
    """Return breakers that watch a provider, and a request to it."""
    server = provider.channel.server
    breakers = Breakers()
    breakers.replace([Place("openai/m", "m", "openai", server)], Health())
    attempt = Attempt(
        deployment="openai/m",
        model="m",
        provider="openai",
        server=server,
        reason="first",
        started_us=0,
    )
    return breakers, attempt


async def test_whom_calls_keep_busy_is_not_probed(transport: Transport) -> None:
    told = Told()
    settings = Egress(warm_connections=1, warm_every_seconds=0.05)
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        simulator._vendors["openai"].authenticate = lambda asked: None  # type: ignore[method-assign]
        provider = provider_at(f"{simulator.base_url}/openai/v1", transport)
        breakers, attempt = seen_at(provider)
        tasks.start_soon(
            Warmer({"openai": provider}, settings, told.events, breakers).run, told.end_round
        )
        await told.until_rounds(1)
        # A call that ended in the hour to come: within the last minute, whenever that is looked at.
        breakers.end(attempt, None, 0.0, anyio.current_time() + 3600)
        await told.until_rounds(5)
        assert simulator.account.probes == {"openai": 1}
        tasks.cancel_scope.cancel()


async def test_a_provider_that_nobody_uses_and_that_fails_three_probes_is_tripped(
    transport: Transport,
) -> None:
    told = Told()
    settings = Egress(warm_connections=1, warm_every_seconds=0.01)
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        simulator._vendors["openai"].authenticate = lambda asked: None  # type: ignore[method-assign]
        simulator.script.replace([parse_fault("status:500,scope=probes")])
        provider = provider_at(f"{simulator.base_url}/openai/v1", transport)
        breakers, _ = seen_at(provider)
        warmer = Warmer({"openai": provider}, settings, told.events, breakers)
        tasks.start_soon(warmer.run, told.end_round)
        await told.until_rounds(2)
        (row,) = breakers.report(anyio.current_time())
        assert row["state"] == "passing"
        await told.until_rounds(3)
        (row,) = breakers.report(anyio.current_time())
        assert row["state"] == "tripped"
        tasks.cancel_scope.cancel()


async def test_every_regional_address_is_kept_warm_and_told_by_itself(transport: Transport) -> None:
    told = Told()
    settings = Egress(warm_connections=1, warm_every_seconds=3600)
    async with (
        Simulator(vendors=["openai"]) as one,
        Simulator(vendors=["openai"]) as other,
        anyio.create_task_group() as tasks,
    ):
        home = provider_at(f"{one.base_url}/openai/v1", transport)
        away = provider_at(f"{other.base_url}/openai/v1", transport)
        provider = structs.replace(home, elsewhere={"eu": away.keys, "jp": home.keys})
        assert list(provider.channels) == [home.channel.server, away.channel.server]
        warmer = Warmer({"openai": home}, settings, told.events, Breakers())
        tasks.start_soon(warmer.run, told.end_round)
        await told.until_rounds(1)
        # A region that is new is reached at once; the address that was there is left alone.
        warmer.replace({"openai": provider}, settings)
        await told.until_rounds(2)
        tasks.cancel_scope.cancel()
    assert told.names == ["provider_warmed", "provider_warmed"]
    assert told.servers == list(provider.channels)
    assert [one.account.connections_accepted, other.account.connections_accepted] == [1, 1]
