"""A reload: what a start would read is read again, and takes the place of what is in force at once.

Rules of this file: reading and asking go on beside the calls; then everything is swapped with
nothing awaited in between, so that a call has all of the old or all of the new. What is wrong is
refused with the words of a start, and the old stays. One reload runs at a time; all who ask while
one runs share the next, because what they mean may have been written after it was read.

The collector is left alone: what is new are some hundred objects to it, what is old goes with its
last call, and to freeze what calls hold while they run would keep their cycles for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
from msgspec import Struct, structs

from routerd.accept.server import Server
from routerd.app.assembling import InForce, find_providers, make_rules, places_of
from routerd.app.differences import differences, renewed_keys
from routerd.app.money import check_models, key_limits, tell_default
from routerd.app.notify import Notifier
from routerd.app.providers import tell_unproven, unproven
from routerd.app.refilling import Spent, read_spent
from routerd.app.restarting import held_back
from routerd.app.startup import Startup, prepare_transport
from routerd.app.tokens import TokenRenewal, adopt_tokens
from routerd.app.warming import Warmer
from routerd.errors import CallRefused, SettingsError, StartError
from routerd.execute.story import Rules
from routerd.ledger import Ledger, LedgerUnreadable
from routerd.pipeline import Pipeline
from routerd.providers.transport import Transport
from routerd.settings import Log
from routerd.telemetry.events import (
    BugSeen,
    ConfigurationReloaded,
    Events,
    ReloadRefused,
    RestartNeeded,
)
from routerd_proto.errors import ErrorInfo, error_info

__all__ = ["Reloader", "Reloads"]

Answer = dict[str, Any]


class Reloads(Struct, frozen=True, eq=False):
    """The parts that a reload changes or needs.

    `arrange` is applied to every start that was read, `change_log` takes the settings of the log.
    """

    transport: Transport
    ledger: Ledger
    pipeline: Pipeline
    server: Server
    warmer: Warmer
    tokens: TokenRenewal
    notifier: Notifier
    events: Events
    arrange: Callable[[Startup], Startup]
    change_log: Callable[[Log], None]


class Reloader:
    """Reload when asked to; `now` is what is in force."""

    def __init__(self, now: InForce) -> None:
        self.now = now
        self._asked = anyio.Event()
        self._waiting: list[asyncio.Future[Answer | ErrorInfo]] = []
        self._scope = anyio.CancelScope()
        self._is_closed = False

    def ask(self) -> None:
        """Reload soon; one that is running is followed by one more."""
        self._asked.set()

    async def reload(self) -> Answer:
        """Reload, and return what changed; CallRefused says why the old stays."""
        if self._is_closed:
            raise CallRefused(_stopping())
        done: asyncio.Future[Answer | ErrorInfo] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self.ask()
        # Who leaves ends nothing: the reload is not theirs alone.
        answer = await done
        if isinstance(answer, ErrorInfo):
            raise CallRefused(answer)
        return answer

    async def run(self, parts: Reloads) -> None:
        """Serve who asks, one reload after the other, until closed."""
        with self._scope:
            while True:
                await self._asked.wait()
                self._asked = anyio.Event()
                waiting, self._waiting = self._waiting, []
                answer: Answer | ErrorInfo = _stopping()
                try:
                    answer = await self._reload_once(parts)
                finally:
                    _settle(waiting, answer)

    def close(self) -> None:
        """Reload no more: the daemon is stopping. One that is not through leaves the old."""
        self._is_closed = True
        self._scope.cancel()
        _settle(self._waiting, _stopping())

    async def _reload_once(self, parts: Reloads) -> Answer | ErrorInfo:
        # In one datagram with the clock, or systemd waits for ever.
        parts.notifier.send(reloading=1, monotonic_usec=time.monotonic_ns() // 1000)
        answer: Answer | ErrorInfo
        try:
            answer = await self._reload(parts)
        except SettingsError as error:
            details = {"file": str(error.file), "key": error.key}
            answer = error_info("invalid_request", str(error), details=details)
        except (StartError, LedgerUnreadable) as error:
            answer = error_info("invalid_request", str(error))
        except Exception as bug:  # noqa: BLE001 - a bug ends the reload it hit, not the daemon
            parts.events.emit(BugSeen(decision_id="", error=bug))
            answer = error_info("internal_error", f"{type(bug).__name__} in routerd")
        status = f"serving, {len(self.now.providers)} providers"
        if isinstance(answer, ErrorInfo):
            parts.events.emit(ReloadRefused(reason=answer.message))
            self.now = structs.replace(self.now, refused=answer.message)
            status += "; the last reload was refused, see the log"
        parts.notifier.send(ready=1, status=status)
        return answer

    async def _reload(self, parts: Reloads) -> Answer:
        """Read, ask and add up beside the calls, then swap."""
        running = self.now.startup
        wanted = parts.arrange(await anyio.to_thread.run_sync(running.again))
        startup, needs_restart = held_back(running, wanted)
        if any(key.startswith("egress.") for key in needs_restart):
            # Not used before the next start, and that must not fail then.
            await (await anyio.to_thread.run_sync(prepare_transport, wanted)).aclose()
        made = await find_providers(startup, parts.transport, self.now.found)
        made = structs.replace(made, needs_restart=needs_restart)
        check_models(startup, made.directory)
        rules = await make_rules(made, parts.ledger)
        accounts = parts.pipeline.accounts
        limits, deployments = key_limits(startup), tuple(made.directory.deployments.values())
        before = self.now
        async with parts.ledger.counting:
            spent = await read_spent(
                parts.ledger,
                parts.pipeline.stories,
                accounts.budgets.new_among(startup.budgets),
                lambda now: accounts.keys.new_days(limits, deployments, now),
            )
            # Nothing is awaited since the sums were read.
            self._swap(parts, made, rules, spent)
        self._tell(parts.events, before)
        return differences(before, made)

    def _swap(self, parts: Reloads, made: InForce, rules: Rules, spent: Spent) -> None:
        """Put all that is new in the place of the old."""
        settings, pipeline, now = made.startup.settings, parts.pipeline, time.time()
        accounts, answers = pipeline.accounts, pipeline.answers
        accounts.budgets.replace(
            made.startup.budgets,
            spent.seeds,
            now,
            charges=spent.charges(),
            refuse_unknown=settings.budgeting.unknown_price == "refuse",
        )
        keys = accounts.keys.replaced(
            key_limits(made.startup),
            made.directory.deployments.values(),
            renewed_keys(self.now.startup, made.startup),
        )
        spent.fill(keys, now)
        accounts.traffic.forget_gone()
        accounts.breakers.replace(places_of(rules.targets.values()), settings.health)
        accounts.degraded.limit(settings.health)
        is_other = (rules.directory_hash, rules.policy_hash) != (
            pipeline.rules.directory_hash,
            pipeline.rules.policy_hash,
        ) or settings.cache != self.now.startup.settings.cache
        pipeline.replace(
            rules, accounts.with_keys(keys), answers.replaced(settings.cache, emptied=is_other)
        )
        parts.server.replace(settings.socket, settings.limits)
        parts.ledger.change(
            queue_limit=settings.ledger.queue_limit, keep_days=settings.ledger.keep_days or None
        )
        adopt_tokens(made.providers, self.now.providers)
        parts.tokens.replace(made.providers)
        parts.warmer.replace(made.providers, settings.egress)
        parts.change_log(settings.log)
        self.now = made

    def _tell(self, events: Events, before: InForce) -> None:
        changed, now = differences(before, self.now), self.now
        events.emit(
            ConfigurationReloaded(
                configuration=changed["configuration"],
                providers_added=tuple(changed["providers"]["added"]),
                providers_removed=tuple(changed["providers"]["removed"]),
                providers_changed=tuple(changed["providers"]["changed"]),
                deployments=changed["deployments"],
                budgets=len(now.startup.budgets),
            )
        )
        if now.needs_restart:
            events.emit(RestartNeeded(settings=now.needs_restart))
        known = {budget for budget in before.startup.budgets if budget.is_default}
        tell_default((budget for budget in now.startup.budgets if budget not in known), events.emit)
        told = unproven(item.entry for item in before.providers.values()).items()
        tell_unproven(
            (
                item.entry
                for item in now.providers.values()
                if not unproven([item.entry]).items() <= told
            ),
            events.emit,
        )


def _settle(waiting: list[asyncio.Future[Answer | ErrorInfo]], answer: Answer | ErrorInfo) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(answer)
    waiting.clear()


def _stopping() -> ErrorInfo:
    return error_info("shutting_down", "the daemon is stopping")
