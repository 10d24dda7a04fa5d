"""What is tripped is tested, at no cost, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import anyio.to_thread
import pytest

from routerd.app.probing import Prober
from routerd.app.providers import LiveProvider, live_local
from routerd.domain import Attempt
from routerd.errors import ErrorClass, Failure
from routerd.health.breakers import Breakers
from routerd.health.degraded import DegradedShares
from routerd.health.trips import Place
from routerd.models.schema import Provider
from routerd.providers.transport import Transport, TransportSettings, build_transport
from routerd.settings import Health
from routerd.simulate import Simulator, parse_fault

QUICK = Health(failures_in_a_row=1, retest_seconds=0.02)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = await anyio.to_thread.run_sync(build_transport, TransportSettings())
    yield transport
    await transport.aclose()


class Scene:
    """One provider, its breaker, and the prober that looks after it."""

    def __init__(self, simulator: Simulator, transport: Transport) -> None:
        entry = Provider(
            id="openai",
            adapter="openai",
            base_url=f"{simulator.base_url}/openai/v1",
            boundary="machine",
        )
        simulator._vendors["openai"].authenticate = lambda asked: None  # type: ignore[method-assign]
        self.provider: LiveProvider = live_local(
            entry, transport, connect_seconds=5, user_agent="routerd"
        )
        self.server = self.provider.channel.server
        self.breakers = Breakers(QUICK)
        self.breakers.replace([Place("openai/m", "m", "openai", self.server)], QUICK)
        self.prober = Prober(
            self.breakers, DegradedShares(QUICK), lambda: {"openai": self.provider}
        )

    def trip(self) -> None:
        attempt = Attempt(
            deployment="openai/m",
            model="m",
            provider="openai",
            server=self.server,
            reason="first",
            started_us=0,
            error_class="server_error",
        )
        now = anyio.current_time()
        self.breakers.end(attempt, Failure(ErrorClass.SERVER_ERROR, ""), now, now)

    async def until(self, is_so: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not is_so():  # noqa: ASYNC110 - plain objects, which tell nobody
                await anyio.sleep(0.01)

    def state(self) -> str:
        (row,) = self.breakers.report(anyio.current_time())
        return str(row["state"])


async def test_nothing_is_sent_while_nothing_is_tripped(transport: Transport) -> None:
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        scene = Scene(simulator, transport)
        tasks.start_soon(scene.prober.run)
        await anyio.sleep(0.1)
        assert simulator.account.connections_accepted == 0
        tasks.cancel_scope.cancel()


async def test_an_answer_permits_a_trial_and_ends_the_tests(transport: Transport) -> None:
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        scene = Scene(simulator, transport)
        tasks.start_soon(scene.prober.run)
        scene.trip()
        await scene.until(lambda: scene.state() == "probing")
        assert simulator.account.probes == {"openai": 1}
        assert simulator.account.attempts == ()
        await anyio.sleep(0.1)
        assert simulator.account.probes == {"openai": 1}
        tasks.cancel_scope.cancel()


async def test_it_is_tested_until_it_answers(transport: Transport) -> None:
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        scene = Scene(simulator, transport)
        simulator.script.replace([parse_fault("status:503,scope=probes,times=3")])
        tasks.start_soon(scene.prober.run)
        scene.trip()
        await scene.until(lambda: scene.state() == "probing")
        assert simulator.account.probes == {"openai": 4}
        tasks.cancel_scope.cancel()


async def test_who_says_that_the_key_is_wrong_is_there(transport: Transport) -> None:
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        scene = Scene(simulator, transport)
        simulator.script.replace([parse_fault("status:401,scope=probes")])
        tasks.start_soon(scene.prober.run)
        scene.trip()
        await scene.until(lambda: scene.state() == "probing")
        tasks.cancel_scope.cancel()


async def test_a_provider_that_is_not_in_force_any_more_is_not_asked(transport: Transport) -> None:
    async with Simulator(vendors=["openai"]) as simulator, anyio.create_task_group() as tasks:
        scene = Scene(simulator, transport)
        scene.prober = Prober(scene.breakers, DegradedShares(QUICK), dict)
        tasks.start_soon(scene.prober.run)
        scene.trip()
        await anyio.sleep(0.1)
        assert scene.state() == "tripped"
        assert simulator.account.connections_accepted == 0
        tasks.cancel_scope.cancel()
