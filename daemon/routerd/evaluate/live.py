"""The drill with real traffic: each bad day is made to happen to a daemon of its own.

Rules of this file: every scenario has its own daemon, its own providers and its own ledger, so that
none sees what another left behind, and some run at once. What was not put to the test is said to be
not run, never to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

import anyio
import msgspec
from msgspec import Struct, structs

from routerd.domain import Snapshot
from routerd.errors import StartError
from routerd.evaluate.drill import Drill, Outcome, predict
from routerd.evaluate.judging import Answered, Seen, judged, not_run
from routerd.evaluate.rehearsed_daemon import Rehearsed, Script, rehearsed_daemon
from routerd.evaluate.scenarios import HEALTHY, Scenario
from routerd.evaluate.spent import Spent, spending_for
from routerd.evaluate.stage import impatient
from routerd.evaluate.world import FRUIT, QUESTION, World, messages_for, options_for
from routerd.simulate import Fault
from routerd_client import (
    Client,
    Embeddings,
    Ranking,
    Reply,
    RouterdError,
    SearchOptions,
)

__all__ = ["LONGEST_RECOVERY_SECONDS", "Live", "Recovery", "rehearse_live"]

# What a provider has to have its calls back within, once it is well.
LONGEST_RECOVERY_SECONDS: Final = 30.0
OUTAGE: Final = Fault(kind="reset", scope="all")
# It says that it is there, and then nothing for as long as anybody waits.
SLOWNESS: Final = Fault(kind="slow_first_token", seconds=600.0)
# The minute of a rate limit is a part of one here, so that its end is soon seen.
NAMED_SECONDS: Final = 10.0
# Calls until an outage must have been noticed; three failures are what it takes.
MOST_CALLS: Final = 5
PAUSE_SECONDS: Final = 0.2
NO_TIME: Final = "the time was over before"
NO_PATIENCE: Final = "limits are shortened here, so that the time of a call is not over"


class Recovery(Struct, frozen=True):
    """How long a provider that is well again waited for its calls, in seconds; None: too long.

    `why` says why that could not be measured.
    """

    scenario: str
    provider: str
    seconds: float | None = None
    why: str = ""

    @property
    def is_too_late(self) -> bool:
        """Say whether it did not have its calls back in time."""
        return self.seconds is None and not self.why


class Live(Struct, frozen=True):
    """What was seen of every prediction, and how fast providers came back."""

    seen: tuple[Seen, ...]
    recoveries: tuple[Recovery, ...]
    calls: int

    @property
    def is_as_predicted(self) -> bool:
        """Say whether something was run, nothing disagrees, and all came back in time."""
        verdicts = {item.verdict for item in self.seen}
        is_late = any(item.is_too_late for item in self.recoveries)
        return "agrees" in verdicts and "disagrees" not in verdicts and not is_late


class _Result(Struct):
    """What a scenario has shown so far."""

    seen: list[Seen]
    recoveries: list[Recovery]
    calls: int = 0


async def rehearse_live(
    script: Script,
    world: World,
    drill: Drill,
    *,
    seconds: float,
    at_once: int,
    tell: Callable[[int, int], None] = lambda _done, _calls: None,
) -> Live:
    """Make every scenario happen, at most so long and so many at once.

    `tell` hears how many scenarios are done and how many calls were made.
    """
    # Pairs last: there are many, and each is made of what was seen before.
    order = sorted(drill.scenarios, key=lambda item: len(item.down) > 1)
    results: dict[str, _Result] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def run(scenario: Scenario) -> None:
        async with limiter:
            result = _Result([], [])
            results[scenario.name] = result
            await _Rehearsal(script, world, drill, scenario, result).run()
            done = sum(1 for item in results.values() if item.seen)
            tell(done, sum(item.calls for item in results.values()))

    try:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                for scenario in order:
                    tasks.start_soon(run, scenario, name=f"rehearse {scenario.name}")
    except BaseExceptionGroup as group:
        failed = _first_failure(group)
        if failed is None:
            raise
        raise failed from None
    return _gathered(drill, results)


def _first_failure(error: BaseException) -> StartError | None:
    """Return why a rehearsal could not be, out of what its tasks raised."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_first_failure, error.exceptions)), None)
    return error if isinstance(error, StartError) else None


def _fault(scenario: Scenario) -> Fault:
    """Return what a provider in trouble does to all that comes."""
    if scenario.slow:
        return SLOWNESS
    if scenario.limited:
        seconds = None if scenario.retry_after is None else NAMED_SECONDS
        return Fault(kind="status", status=429, retry_after=seconds)
    return OUTAGE


def _gathered(drill: Drill, results: Mapping[str, _Result]) -> Live:
    """Put together what was seen; whatever no call was made for was not run."""
    seen = {
        (item.target, item.scenario): item for result in results.values() for item in result.seen
    }
    return Live(
        tuple(
            seen.get((target, scenario.name))
            or not_run(drill.outcomes[target, scenario.name], NO_TIME)
            for scenario in drill.scenarios
            for target in drill.targets
        ),
        tuple(item for result in results.values() for item in result.recoveries),
        sum(result.calls for result in results.values()),
    )


class _Rehearsal:
    """One scenario as it happens."""

    def __init__(
        self, script: Script, world: World, drill: Drill, scenario: Scenario, result: _Result
    ) -> None:
        self._script = script
        self._world = world
        self._drill = drill
        self._scenario = scenario
        self._result = result
        self._silent = {actor.name for actor in script.cast if not actor.is_spoken}

    async def run(self) -> None:
        spent: list[Spent] = []
        if self._scenario.percent:
            found = spending_for(self._world, self._scenario.percent, self._world.now)
            if isinstance(found, str):
                self._skip_all(found)
                return
            spent = found
        scenario, script = self._scenario, self._script
        if self._silent & set(scenario.struck):
            self._skip_all(f"no simulator speaks the wire of who is {scenario.trouble}")
            return
        if scenario.slow:
            script = structs.replace(script, settings=impatient(script.settings))
        async with rehearsed_daemon(script, self._world, spent) as running:
            for provider in scenario.struck:
                running.simulators[provider].script.replace([_fault(scenario)])
            for outcome in self._outcomes():
                await self._try(running, outcome)
            if scenario.struck:
                await self._recover(running)

    def _outcomes(self) -> Iterable[Outcome]:
        name = self._scenario.name
        return [self._drill.outcomes[target, name] for target in self._drill.targets]

    def _skip_all(self, why: str) -> None:
        self._result.seen += [not_run(outcome, why) for outcome in self._outcomes()]

    async def _try(self, running: Rehearsed, outcome: Outcome) -> None:
        """Call a target until the outage is noticed, and compare every call."""
        if outcome.is_out_of_time:
            self._result.seen.append(not_run(outcome, NO_PATIENCE))
            return
        concerned = {outcome.deployment, outcome.at_once, *outcome.backups}
        deployments = self._world.book.directory.deployments
        if any(deployments[name].provider in self._silent for name in concerned if name):
            self._result.seen.append(not_run(outcome, "no simulator speaks the wire of who serves"))
            return
        for _ in range(MOST_CALLS):
            answered = await self._call(running, outcome.target, self._scenario)
            seen = judged(self._world, outcome.target, self._scenario, answered)
            if seen.verdict == "disagrees" or outcome.at_once == outcome.deployment:
                break
            if answered.deployment == outcome.deployment:
                break
        self._result.seen.append(seen)

    async def _recover(self, running: Rehearsed) -> None:
        """End the outage, and measure how long each provider waits for its calls."""
        ended_at = monotonic()
        for provider in self._scenario.struck:
            running.simulators[provider].script.replace([])
        async with anyio.create_task_group() as tasks:
            for provider in self._scenario.struck:
                tasks.start_soon(
                    self._wait_for, running, provider, ended_at, name=f"recovery of {provider}"
                )

    async def _wait_for(self, running: Rehearsed, provider: str, ended_at: float) -> None:
        target = self._first_at(provider)
        if target is None:
            why = "nothing is served there first, so that no call shows it"
            self._result.recoveries.append(Recovery(self._scenario.name, provider, why=why))
            return
        seconds: float | None = None
        with anyio.move_on_after(LONGEST_RECOVERY_SECONDS):
            while seconds is None:
                answered = await self._call(running, target, HEALTHY)
                served = self._world.book.directory.deployments.get(answered.deployment or "")
                if served is not None and served.provider == provider:
                    seconds = monotonic() - ended_at
                else:
                    await anyio.sleep(PAUSE_SECONDS)
        self._result.recoveries.append(Recovery(self._scenario.name, provider, seconds))

    def _first_at(self, provider: str) -> str | None:
        """Return a target that a provider serves first, with all well; None where there is none."""
        deployments = self._world.book.directory.deployments
        for target in self._drill.targets:
            first = self._drill.outcomes[target, HEALTHY.name].deployment
            if first is not None and deployments[first].provider == provider:
                return target
        for name, deployment in deployments.items():
            if deployment.provider == provider:
                found = predict(self._world, name, HEALTHY)
                if found.deployment == name:
                    return name
        return None

    async def _call(self, running: Rehearsed, target: str, scenario: Scenario) -> Answered:
        """Make one real call, and ask the daemon what it knew when it decided it."""
        self._result.calls += 1
        try:
            reply = await self._ask(running.client, target, scenario)
        except RouterdError as error:
            if not error.decision_id:
                # Nobody decided anything: that is no failed call, but a failed rehearsal.
                raise StartError(f"the rehearsed daemon does not serve: {error}") from error
            snapshot = await self._snapshot(running, error.decision_id)
            return Answered(None, None, error.code, error.decision_id, snapshot)
        snapshot = await self._snapshot(running, reply.decision_id)
        return Answered(reply.deployment, reply.degraded, "", reply.decision_id, snapshot)

    async def _ask(
        self, client: Client, target: str, scenario: Scenario
    ) -> Reply | Embeddings | Ranking:
        """Make a call of the kind that a target is for."""
        options = options_for(self._world.options, scenario)
        kind = self._world.ask(target, scenario)[1].kind
        if kind == "chat":
            messages = messages_for(self._world.book.directory, target)
            set_ones = msgspec.to_builtins(options)
            if not scenario.slow:
                return await client.acomplete(target, messages, **set_ones)
            # Nobody else notices that nothing comes.
            async with client.stream(target, messages, **set_ones) as stream:
                async for _ in stream:
                    pass
            return stream.reply
        set_ones = {
            name: value
            for name, value in msgspec.to_builtins(options).items()
            if name in SearchOptions.__annotations__
        }
        if kind == "embedding":
            return await client.aembed(target, QUESTION, **set_ones)
        return await client.arerank(target, QUESTION, [FRUIT], **set_ones)

    async def _snapshot(self, running: Rehearsed, decision_id: str) -> Snapshot | None:
        record = await running.client.acommand("explain", decision_id=decision_id)
        plain = record["snapshot"]
        return None if plain is None else msgspec.convert(plain, Snapshot)
