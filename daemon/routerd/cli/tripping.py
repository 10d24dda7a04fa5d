"""`routerd trip | reset`: have the daemon leave something alone, and use it again."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any, Final

from routerd.cli.tables import print_json, print_table, printable
from routerd_client import Client

__all__ = ["configure"]

EPILOGS: Final = {
    "trip": """\
Nothing is sent there from now on, not even when nothing else is left, until `routerd reset`
says so; a restart does not change it. Calls that run end as they began.

  routerd trip openai --because "incident 4711"     a provider
  routerd trip openai/gpt-5.6-luna                  a deployment
  routerd trip claude-opus-5-5                      a model, wherever it is served
  routerd trip eu.api.example:443                   one endpoint of a provider

For root and the daemon's own user. `routerd status` lists what is tripped.""",
    "reset": """\
What was tripped by hand passes again, and what was seen of it is forgotten: an open breaker
closes, failures are counted from nothing, keys cool down no more, a model that was gone is
asked for again.

  routerd reset openai
  routerd reset --all            everything that was tripped by hand

For root and the daemon's own user.""",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    parser.epilog = EPILOGS[verb]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    what = "a provider, an endpoint (host:port), a deployment or a model"
    if verb == "trip":
        parser.add_argument("name", help=what)
        parser.add_argument("--because", default="", metavar="TEXT", help="why, for the others")
    else:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("name", nargs="?", help=what)
        which.add_argument("--all", action="store_true", help="everything tripped by hand")
    parser.add_argument(
        "--kind",
        choices=("provider", "endpoint", "deployment", "model"),
        help="what it is, where two things have the name",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def trip(arguments: argparse.Namespace) -> int:
    """Have something left alone."""
    named = {"name": arguments.name, "kind": arguments.kind, "because": arguments.because}
    return _ask("trip", arguments, named)


def reset(arguments: argparse.Namespace) -> int:
    """Have it used again."""
    return _ask("reset", arguments, {"name": arguments.name, "kind": arguments.kind})


def _ask(command: str, arguments: argparse.Namespace, named: dict[str, Any]) -> int:
    with Client(arguments.socket, connect_patience=2.0) as client:
        answer = client.command(command, **named)
    if arguments.json:
        print_json(answer)
    else:
        _print(command, answer)
    return 0 if answer["kept"] else 1


def _print(command: str, answer: dict[str, Any]) -> None:
    done = "tripped" if command == "trip" else "reset"
    for item in answer["changed"]:
        print(f"{done}  {item['kind']} {printable(item['name'])}")
    if not answer["changed"]:
        print("nothing was tripped by hand")
    if not answer["kept"]:
        print("THE DISK DID NOT TAKE IT: it holds until the daemon stops, see its log")
    print_trips(answer["trips"])


def print_trips(trips: list[dict[str, Any]]) -> None:
    """Print what is tripped by hand, where anything is."""
    if not trips:
        return
    print()
    rows = [
        (
            item["kind"],
            printable(item["name"]),
            f"{datetime.fromtimestamp(item['at'], UTC):%Y-%m-%d %H:%M} UTC",
            printable(item["because"]),
        )
        for item in trips
    ]
    print_table(("tripped by hand", "name", "since", "because"), rows)
