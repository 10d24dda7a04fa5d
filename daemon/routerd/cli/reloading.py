"""`routerd reload`: have the daemon read its configuration again, and say what that changed."""

from __future__ import annotations

import argparse
from typing import Any, Final

from routerd.cli.tables import print_json
from routerd_client import Client

__all__ = ["configure"]

EPILOG: Final = """\
The daemon reads its file, the directory, the keys and the models of servers of your own
as a start does. Every call that comes from then on is served by them; calls that run end
as they began. If anything is wrong, the error names file and key, all stays as it was,
and the exit code is 1. Settings that need a restart are named, and the rest is in force.

For root and the daemon's own user. SIGHUP asks for the same; the log says how it went."""


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=reload, verb=verb)
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    parser.add_argument("--json", action="store_true", help="print JSON")


def reload(arguments: argparse.Namespace) -> int:
    """Ask for a reload and wait for its end."""
    with Client(arguments.socket, connect_patience=2.0) as client:
        changed = client.command("reload")
    if arguments.json:
        print_json(changed)
    else:
        _print(changed)
    return 0


def _print(changed: dict[str, Any]) -> None:
    print(f"reloaded {changed['configuration'] or 'what is found, without a file'}")
    for what in ("providers", "budgets"):
        words = [f"{how} {', '.join(names)}" for how, names in changed[what].items() if names]
        print(f"{what:<13}  {'; '.join(words) or 'as before'}")
    before, now = changed["deployments_before"], changed["deployments"]
    counted = f"{now}" if now == before else f"{now}, before {before}"
    print(f"deployments    {counted}, of {changed['models']} models")
    if changed["silent"]:
        print(f"no answer      {', '.join(changed['silent'])}: what was known of it stays")
    if changed["needs_restart"]:
        print(f"needs restart  {', '.join(changed['needs_restart'])}: not in force yet")
