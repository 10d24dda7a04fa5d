"""The command line: thin, one file a family of verbs.

Rules of this room: a verb reads its arguments, asks the daemon over the socket or the directory
on disk, and prints. Nothing is imported before the verb that needs it is known, so that a health
check by `routerd status` stays cheap. Exit codes: 0 done, 1 it failed, 2 wrong usage or
configuration, 3 no daemon is there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from routerd.errors import SettingsError, StartError
from routerd_client import DaemonUnavailable, RouterdError

__all__ = ["main"]

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# The first kind that fits.
EXIT_CODES: dict[type[Exception], int] = {
    SettingsError: EXIT_USAGE,
    StartError: EXIT_USAGE,
    DaemonUnavailable: 3,
    RouterdError: 1,
}
VERBS = {
    "serve": ("serving", "run the daemon"),
    "init": ("configuring", "write a commented starter configuration from what is found"),
    "check": ("configuring", "check the configuration without starting"),
    "reload": ("reloading", "have the running daemon read its configuration again"),
    "trip": ("tripping", "send nothing more to a provider, endpoint, deployment or model"),
    "reset": ("tripping", "use again what was tripped"),
    "status": ("asking", "show the state of the running daemon"),
    "ask": ("asking", "send one call and print the answer as it comes"),
    "explain": ("explaining", "show what happened to one call and why, or what would"),
    "calls": ("asking", "list the last calls, by who made them and how they ended"),
    "spend": ("spending", "show what was spent, by whom and on what"),
    "budgets": ("spending", "show every cap, what is spent and who holds it"),
    "reconcile": ("reconciling", "compare the ledger with a provider's invoice"),
    "drill": (
        "drilling",
        "rehearse outages, slow providers and empty budgets on the configuration",
    ),
    "models": ("listing", "list the models of the directory"),
    "shortcuts": ("listing", "list the names apps can ask for"),
    "prices": ("pricing", "take over the prices of a public list"),
    "lint": ("linting", "report what speaks to vendors without routerd in an app's source"),
    "simulate": ("simulating", "run a provider simulator to rehearse outages"),
}
EPILOG = """\
first steps:
  routerd init               writes routerd.toml from the keys and servers it finds
  routerd serve              runs the daemon; `routerd serve --simulated` needs no key
  routerd ask smart "Hello"  sends a call

`routerd VERB --help` explains a verb. Exit codes: 0 done, 1 failed, 2 wrong usage or
configuration, 3 no daemon is there."""


def main(arguments: Sequence[str]) -> int:
    """Run one verb; returns the exit code."""
    parser = _parser(next((argument for argument in arguments if argument in VERBS), None))
    parsed = parser.parse_args(arguments)
    if parsed.version:
        from importlib.metadata import version  # noqa: PLC0415 - 10 ms that only this needs

        print(version("routerd"))
        return 0
    if parsed.verb is None:
        parser.print_help()
        return EXIT_USAGE
    return _run(parsed)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """Describe all verbs, and the arguments of the chosen one."""
    parser = argparse.ArgumentParser(
        prog="routerd",
        description="A multi-model LLM router: apps ask for a job, routerd finds who serves it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for verb, (module, text) in VERBS.items():
        description = f"{text[0].upper()}{text[1:]}."
        verb_parser = verbs.add_parser(verb, help=text, description=description)
        if verb == chosen:
            import_module(f"{__name__}.{module}").configure(verb, verb_parser)
    return parser


def _run(parsed: argparse.Namespace) -> int:
    try:
        code = int(parsed.run(parsed))
        # Here, because at exit a reader that left would be told about with a traceback.
        sys.stdout.flush()
    except tuple(EXIT_CODES) as error:
        print(f"routerd: {error}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
    except BrokenPipeError:
        # The reader (`| head`) has had enough, and nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code
