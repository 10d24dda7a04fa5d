"""`routerd check | init`: say what a start would do, and write a configuration to begin with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerd.app.addresses import shown_address
from routerd.app.local_servers import LocalServer
from routerd.app.policy import build_book
from routerd.app.providers import unproven
from routerd.app.startup import (
    Startup,
    find_settings_file,
    look_for_own_servers,
    nothing_found,
    prepare,
    prepare_transport,
    with_models_of,
)
from routerd.budget.definitions import Definition
from routerd.cli.starter import starter_file
from routerd.cli.tables import print_json, print_table
from routerd.domain import Unit
from routerd.errors import StartError
from routerd.models.rooms import amount_text
from routerd.settings import ledger_path, socket_path

__all__ = ["configure"]

UNITS: tuple[Unit, ...] = ("nanodollars", "calls", "tokens")
EPILOGS = {
    "check": (
        "Reads the configuration and the keys and looks for local servers as a start does, and "
        "calls nobody else. A mistake is told with its file, its key and what was expected; the "
        "exit code is then 2. Without --config the file is $ROUTERD_CONFIG, else "
        "~/.config/routerd/routerd.toml, else /etc/routerd/routerd.toml; there need be none."
    ),
    "init": (
        "Every setting is in the file with its meaning and its default, commented out. Of a key "
        "only the name of its variable is written. A file that exists is never overwritten."
    ),
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    parser.epilog = EPILOGS[verb]
    if verb == "check":
        parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
        parser.add_argument("--json", action="store_true", help="print JSON")
    else:
        parser.add_argument(
            "file",
            nargs="?",
            type=Path,
            default=Path("routerd.toml"),
            help="where to write it (default routerd.toml); - prints it",
        )


def check(arguments: argparse.Namespace) -> int:
    """Load everything as a start would, and print what it would serve."""
    environ = dict(os.environ)
    file = arguments.config or find_settings_file(environ)
    startup = prepare(file, environ)
    found = look_for_own_servers(startup, prepare_transport(startup))
    if not startup.providers and not found:
        raise nothing_found(file)
    # What calls are decided by: a rule or a policy may name what only a server of your own has.
    names = [*startup.providers, *(server.provider.entry.id for server in found)]
    build_book(startup, with_models_of(found, startup), names)
    report = _report(startup, found, environ)
    if arguments.json:
        print_json(report)
        return 0
    print(f"configuration  {file or 'none: what is found is used'}")
    print(f"socket         {report['socket']}")
    print(f"ledger         {report['ledger']}")
    print()
    columns = ("name", "adapter", "base_url", "boundary")
    rows = [[str(item[name]) for name in columns] for item in report["providers"]]
    print_table(("provider", *columns[1:]), rows)
    _print_budgets(report["budgets"])
    for warning in report["warnings"]:
        print(f"\nwarning: {warning}")
    what = "nothing that a start would refuse" if report["warnings"] else "no problem found"
    print(f"\n{what}")
    return 0


def _report(
    startup: Startup, found: list[LocalServer], environ: Mapping[str, str]
) -> dict[str, Any]:
    entries = {item.entry.id: item.entry for item in startup.providers.values()}
    entries |= {server.provider.entry.id: server.provider.entry for server in found}
    simulated = {name for name, item in startup.providers.items() if item.simulated}
    return {
        "configuration": str(startup.file) if startup.file else None,
        "socket": str(socket_path(startup.settings, environ)),
        "ledger": str(ledger_path(startup.settings, environ)),
        "providers": [
            {
                "name": name,
                "adapter": entry.adapter,
                "base_url": shown_address(entry.base_url),
                "boundary": entry.boundary,
                "simulated": name in simulated,
            }
            for name, entry in entries.items()
        ],
        "warnings": [
            f"providers.{name}: {host} is taken for a server in your own network, and internal "
            "calls go there; names are not looked up. See that it leads into your network, or say "
            'boundary = "vendor"'
            for name, host in unproven(entries.values()).items()
        ],
        "budgets": [
            {
                "name": budget.name,
                "scope": _scope(budget),
                "window": str(budget.window),
                "nanodollars": budget.nanodollars,
                "calls": budget.calls,
                "tokens": budget.tokens,
                "default": budget.is_default,
            }
            for budget in startup.budgets
        ],
    }


def _scope(budget: Definition) -> str:
    """Say whose a budget is, as the configuration has it: `tenant acme, each user`."""
    parts = [f"{dimension} {name}" for dimension, name in budget.filters]
    if budget.each is not None:
        parts.append(f"each {budget.each}")
    return ", ".join(parts) or "all calls"


def _print_budgets(budgets: list[dict[str, Any]]) -> None:
    if not budgets:
        return
    print()
    rows = [
        (
            budget["name"],
            budget["scope"],
            budget["window"],
            *("-" if budget[unit] is None else amount_text(unit, budget[unit]) for unit in UNITS),
        )
        for budget in budgets
    ]
    print_table(("budget", "for", "window", "dollars", "calls", "tokens"), rows)
    if any(budget["default"] for budget in budgets):
        print(
            "No budget of yours caps dollars: the default holds. Write [budgets.NAME] to replace "
            "it, or set budgeting.default_daily_dollars."
        )


def init(arguments: argparse.Namespace) -> int:
    """Write a commented configuration from the keys and servers that are found."""
    environ = dict(os.environ)
    if str(arguments.file) != "-" and arguments.file.exists():
        raise StartError(f"{arguments.file} exists. Move it away, or name another file.")
    startup = prepare(None, environ)
    found = look_for_own_servers(startup, prepare_transport(startup))
    text = starter_file(startup, found)
    if str(arguments.file) == "-":
        print(text, end="")
        return 0
    try:
        arguments.file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write {arguments.file}: {error.strerror}.") from error
    names = [*startup.providers, *(server.provider.entry.id for server in found)]
    print(f"wrote {arguments.file}; found: {', '.join(names) or 'no provider yet'}")
    print(f"next: routerd check --config {arguments.file}")
    return 0
