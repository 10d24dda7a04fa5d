"""`routerd drill`: rehearse outages, empty budgets and private calls on the configuration."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from routerd.app.local_servers import LocalServer
from routerd.app.money import key_limits
from routerd.app.policy import build_book
from routerd.app.startup import (
    Startup,
    find_settings_file,
    look_for_own_servers,
    nothing_found,
    prepare,
    prepare_transport,
    with_models_of,
)
from routerd.budget.budgets import Budgets
from routerd.budget.keys import Keys
from routerd.cli.drill_live import print_live, run_live
from routerd.cli.drill_tables import (
    mark_of,
    print_breaches,
    print_scenario,
    print_summary,
    print_target,
)
from routerd.errors import StartError
from routerd.evaluate.drill import Drill, rehearse
from routerd.evaluate.live import Live
from routerd.evaluate.promises import Breach, breaches_of, unmet_expectations
from routerd.evaluate.world import World
from routerd.settings import timeouts_for
from routerd_proto.frames import CallOptions

__all__ = ["configure"]

EPILOG = """\
Takes your configuration as a start would, and makes for every shortcut the plan that a call would
get: with all well, with each provider down, with each two down, with each slow and each at its
rate limit, with 85 % and all of every cap in dollars spent, and for a private call. Nothing is
sent, and no key is needed; servers of your own are asked for their models.

  routerd drill                                 what serves, what is degraded, what FAILS
  routerd drill --scenario down:openai          every shortcut on that day; also down:a+b,
                                                slow:a, limited:a (429, names a minute),
                                                limited_unsaid:a (429, names no time),
                                                budget_85, budget_cap, private, healthy
  routerd drill --shortcut smart                one shortcut on every day
  routerd drill --all                           everything

With --live each of these days is made to happen: a daemon of its own for each, real calls, and
simulated providers that go down, say nothing or refuse. What answers is compared with the
prediction, and how long a provider waits for its calls once it is well is measured. Nothing leaves
this machine.

  routerd drill --live --seconds 300            everything there is time for
  routerd drill --live --scenario down:openai   one day; or one --shortcut on every day

Promises are what must hold; write them into the configuration and run this wherever it changes:

  [promises.chat]
  shortcuts = ["smart", "fast"]
  survives = ["one_provider", "budget_85"]
  degraded = true

The exit code is 1 where a promise is broken, or what happens is not what was predicted, and 2 where
the configuration is wrong."""


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=drill, verb=verb)
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--scenario", metavar="NAME", help="one scenario, every shortcut")
    which.add_argument("--shortcut", metavar="NAME", help="one shortcut, every scenario")
    which.add_argument("--all", action="store_true", help="every shortcut in every scenario")
    for name in ("tenant", "team", "agent"):
        text = f"rehearse the calls of this {name}: its policy and budgets"
        parser.add_argument(f"--{name}", metavar="NAME", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    live = parser.add_argument_group("with real traffic")
    live.add_argument(
        "--live", action="store_true", help="make it happen to daemons in front of a simulator"
    )
    live.add_argument(
        "--seconds",
        type=_positive(float),
        default=300.0,
        metavar="N",
        help="how long that may take; what there is no time for is not run (default 300)",
    )
    live.add_argument(
        "--at-once",
        type=_positive(int),
        default=4,
        metavar="N",
        help="how many daemons run at once (default 4)",
    )


def drill(arguments: argparse.Namespace) -> int:
    """Rehearse everything and print it; 1 where a promise is broken."""
    environ = dict(os.environ)
    file = arguments.config or find_settings_file(environ)
    startup = prepare(file, environ, rehearsed=True)
    found = look_for_own_servers(startup, prepare_transport(startup))
    if not startup.providers and not found:
        raise nothing_found(file)
    options = CallOptions(tenant=arguments.tenant, team=arguments.team, agent=arguments.agent)
    world = world_of(startup, found, options)
    promises = startup.settings.promises
    named = [name for promise in promises.values() for name in promise.shortcuts]
    if arguments.shortcut is not None:
        named.append(_known("shortcut", arguments.shortcut, _targets(world)))
    made = rehearse(world, named)
    breaches = breaches_of(promises, made)
    warnings = [] if promises else unmet_expectations(made, world.book.directory)
    if arguments.scenario is not None:
        arguments.scenario = _scenario(arguments.scenario, made)
    live = None
    if not arguments.json:
        _print(startup, found, made, arguments)
    if arguments.live:
        part = made.only(arguments.shortcut, arguments.scenario)
        live = run_live(
            startup, found, world, part, seconds=arguments.seconds, at_once=arguments.at_once
        )
    if arguments.json:
        _print_json(startup, made, [*breaches, *warnings], live)
    else:
        if live is not None:
            print_live(live, made, everything=arguments.all)
        _print_judgement(startup, breaches, warnings)
    return 1 if breaches or (live is not None and not live.is_as_predicted) else 0


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    """Return what reads a number above 0."""

    def read(text: str) -> float:
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, not {text}")
        return number

    return read


def world_of(startup: Startup, found: list[LocalServer], options: CallOptions) -> World:
    """Return what a daemon with this start would decide by."""
    directory = with_models_of(found, startup)
    # A server that the file names is among those that were asked for their models.
    names = {*startup.providers, *(server.provider.entry.id for server in found)}
    refuses = startup.settings.budgeting.unknown_price == "refuse"
    keys = Keys(key_limits(startup), directory.deployments.values())
    return World(
        build_book(startup, directory, names),
        Budgets(startup.budgets, refuse_unknown=refuses),
        keys.free_quotas,
        time.time(),
        options,
        startup.settings.timeouts.total,
        partial(
            timeouts_for,
            startup.settings.timeouts,
            startup.settings.interactive_timeouts,
            startup.settings.batch_timeouts,
        ),
    )


def _targets(world: World) -> list[str]:
    directory, policies = world.book.directory, world.book.policies.by_name
    own = [name for policy in policies.values() for name in policy.shortcuts]
    return [
        *directory.shortcuts,
        *directory.classes,
        *directory.models,
        *directory.deployments,
        *own,
    ]


def _scenario(name: str, made: Drill) -> str:
    """Return the name of a scenario; of one with somebody down also who that is, in any order."""
    names = [item.name for item in made.scenarios]
    if name in names:
        return name
    down = "down:" + "+".join(sorted(name.removeprefix("down:").split("+")))
    return down if down in names else _known("scenario", name, names)


def _known(kind: str, name: str, known: Iterable[str]) -> str:
    """Return a name that is known; StartError names what resembles another."""
    names = list(known)
    if name not in names:
        near = get_close_matches(name, names, n=3)
        hint = f"near: {', '.join(near)}" if near else f"such as: {', '.join(names[:5])}"
        raise StartError(f"{name!r} is no known {kind}; {hint}.")
    return name


def _print(
    startup: Startup, found: list[LocalServer], made: Drill, arguments: argparse.Namespace
) -> None:
    providers = sorted({name for scenario in made.scenarios for name in scenario.struck})
    print(f"configuration  {startup.file or 'none: what is found is used'}")
    print(f"providers      {', '.join(providers)}")
    sent = "then made to happen" if arguments.live else "nothing is sent"
    print(f"rehearsed      {len(made.targets)} names in {len(made.scenarios)} scenarios; {sent}")
    for line in _notes(startup, found, made):
        print(f"note           {line}")
    print()
    if arguments.scenario is not None:
        by_name = {item.name: item for item in made.scenarios}
        print_scenario(made, by_name[arguments.scenario])
    elif arguments.shortcut is not None:
        print_target(made, arguments.shortcut)
    elif arguments.all:
        for number, scenario in enumerate(made.scenarios):
            print("\n" * bool(number), end="")
            print_scenario(made, scenario)
    else:
        print_summary(made)


def _notes(startup: Startup, found: list[LocalServer], made: Drill) -> Iterable[str]:
    """Say what the drill could not know."""
    described = {item.provider for item in startup.directory.deployments.values()}
    answered = {server.provider.entry.id for server in found}
    for name, item in startup.providers.items():
        if item.entry.boundary != "vendor" and name not in described | answered:
            yield f"{name} did not answer, so its models are missing here"
    for name in startup.keys_missing:
        yield f"{name} has no key here, and is rehearsed as if it had one"
    if not any(scenario.percent for scenario in made.scenarios):
        yield "no cap in dollars concerns these calls, so no budget can run out"


def _print_judgement(startup: Startup, breaches: list[Breach], warnings: list[Breach]) -> None:
    """Print what became of the promises, or of what may be expected without any."""
    print()
    print_breaches([*breaches, *warnings])
    promises = startup.settings.promises
    broken = {breach.promise for breach in breaches}
    if promises:
        kept = [name for name in promises if name not in broken]
        print(f"promises       {len(kept)} kept, {len(broken)} broken")
    else:
        print("promises       none declared; write [promises.NAME], see `routerd drill --help`")


def _print_json(startup: Startup, made: Drill, breaches: list[Breach], live: Live | None) -> None:
    outcomes: list[dict[str, Any]] = [
        {**msgspec.to_builtins(outcome), "mark": mark_of(outcome)}
        for outcome in made.outcomes.values()
    ]
    report = {
        "configuration": str(startup.file) if startup.file else None,
        "scenarios": made.scenarios,
        "outcomes": outcomes,
        "promises": {
            name: not any(breach.promise == name for breach in breaches)
            for name in startup.settings.promises
        },
        "breaches": [breach for breach in breaches if breach.promise],
        "warnings": [breach for breach in breaches if not breach.promise],
        "live": live,
        "as_predicted": None if live is None else live.is_as_predicted,
    }
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
