"""`routerd drill --live`: who plays whom, how far it is, and what came of it.

Rules of this file: the real keys of providers go nowhere. Progress is for a person at a terminal.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Final

import anyio

from routerd.app.local_servers import LocalServer
from routerd.app.rehearsing import with_stand_ins
from routerd.app.startup import Startup
from routerd.cli.drill_tables import WIDTH, coloured, print_rows
from routerd.evaluate.drill import Drill
from routerd.evaluate.live import LONGEST_RECOVERY_SECONDS, Live, Recovery, rehearse_live
from routerd.evaluate.rehearsed_daemon import Script
from routerd.evaluate.stage import Actor
from routerd.evaluate.world import World

__all__ = ["print_live", "run_live"]

CLEAR_LINE: Final = "\r\033[K"


def run_live(
    startup: Startup,
    found: list[LocalServer],
    world: World,
    made: Drill,
    *,
    seconds: float,
    at_once: int,
) -> Live:
    """Rehearse with real traffic; KeyboardInterrupt where somebody wants it to end."""
    script = script_of(startup, found)
    scenarios = len(made.scenarios)

    def tell(done: int, calls: int) -> None:
        if sys.stderr.isatty():
            text = f"{CLEAR_LINE}live: {done} of {scenarios} scenarios, {calls} calls"
            print(text, end="", file=sys.stderr, flush=True)

    async def rehearse() -> Live | None:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, scope.cancel)
            tell(0, 0)
            return await rehearse_live(
                script, world, made, seconds=seconds, at_once=at_once, tell=tell
            )
        return None

    try:
        live = anyio.run(rehearse)
    finally:
        if sys.stderr.isatty():
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
    if live is None:
        raise KeyboardInterrupt
    return live


def script_of(startup: Startup, found: list[LocalServer]) -> Script:
    """Return what the rehearsed daemons start with."""
    rehearsed = with_stand_ins(
        startup.settings, startup.directory, {}, startup.file or "", for_all=True
    )
    listed = {
        server.provider.entry.id: tuple(model.id for model in server.models) for server in found
    }
    described = {item.provider for item in startup.directory.deployments.values()}
    entries = [item.entry for item in startup.providers.values()]
    entries += [
        server.provider.entry
        for server in found
        if server.provider.entry.id not in startup.providers
    ]
    cast = [
        Actor(
            entry.id,
            entry.adapter,
            entry.boundary,
            entry.dialect,
            # A server of your own that did not answer lists nothing in the rehearsal either.
            None
            if entry.boundary == "vendor" or entry.id in described
            else listed.get(entry.id, ()),
        )
        for entry in entries
    ]
    default = any(budget.is_default for budget in startup.budgets)
    return Script(
        rehearsed.settings,
        tuple(cast),
        rehearsed.stand_ins,
        startup.file.parent if startup.file is not None else Path(),
        str(startup.settings.budgeting.default_daily_dollars) if default else None,
    )


def print_live(live: Live, made: Drill, *, everything: bool) -> None:
    """Print what disagrees, what was not run, and how fast providers came back."""
    counts = Counter(item.verdict for item in live.seen)
    print()
    print(
        f"live           {live.calls} calls: {counts['agrees']} outcomes agree, "
        f"{counts['disagrees']} disagree, {counts['not run']} not run"
    )
    for item in live.seen:
        if item.verdict == "disagrees":
            text = f"DISAGREES      {item.target} in {item.scenario}: {item.why}"
            for line in textwrap.wrap(text, WIDTH, subsequent_indent=" " * 15):
                print(coloured(line, sys.stdout))
    if everything:
        print()
        print_rows(
            ("scenario", "shortcut", "verdict", "answered", "why"),
            [
                (item.scenario, item.target, item.verdict, item.answered or "-", item.why)
                for item in live.seen
            ],
        )
    _print_not_run(live)
    _print_recoveries(live, made, everything=everything)


def _print_not_run(live: Live) -> None:
    """Say what was put to no test, and why."""
    reasons = Counter(item.why for item in live.seen if item.verdict == "not run")
    for why, count in reasons.most_common():
        places = [item for item in live.seen if item.verdict == "not run" and item.why == why]
        scenarios = list(dict.fromkeys(item.scenario for item in places))
        shown = ", ".join(scenarios[:3]) + (", ..." if len(scenarios) > 3 else "")
        text = f"not run        {count} outcomes in {len(scenarios)} scenarios ({shown}): {why}"
        for line in textwrap.wrap(text, WIDTH, subsequent_indent=" " * 15):
            print(line)


def _print_recoveries(live: Live, made: Drill, *, everything: bool) -> None:
    """Print how long providers waited for their calls once they were well again."""
    order = {scenario.name: number for number, scenario in enumerate(made.scenarios)}
    scenarios = {scenario.name: scenario for scenario in made.scenarios}
    recoveries = sorted(live.recoveries, key=lambda item: order[item.scenario])
    shown = [
        item
        for item in recoveries
        if everything or item.is_too_late or len(scenarios[item.scenario].struck) == 1
    ]
    if shown:
        print()
        print_rows(
            ("after", "provider", "its calls again after"),
            [(scenarios[item.scenario].title, item.provider, _waited(item)) for item in shown],
        )
    seconds = [item.seconds for item in recoveries if item.seconds is not None]
    if seconds:
        print(f"recovery       {len(seconds)} measured, the longest {max(seconds):.1f} s")


def _waited(recovery: Recovery) -> str:
    if recovery.seconds is not None:
        return f"{recovery.seconds:.1f} s"
    if recovery.why:
        return f"not measured: {recovery.why}"
    return f"FAILS: not within {LONGEST_RECOVERY_SECONDS:.0f} s"
