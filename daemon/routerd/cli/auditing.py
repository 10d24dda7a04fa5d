"""`routerd models check`: what somebody should know of the directory, or do about it."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from routerd.app.model_lists import ModelLists, ask_for_lists
from routerd.app.startup import find_settings_file, load_user_directory, prepare
from routerd.cli.tables import print_json, print_table, printable
from routerd.errors import StartError
from routerd.models.audit import CODES, Finding, audit, audit_lists

__all__ = ["configure"]

EPILOG = """\
A problem needs somebody to act: the exit code is then 1. A note is worth knowing: 0.
Reads the directory with your own additions. With --live the providers that the configuration
enables are asked for their own lists of models, with their keys and at no cost.

what is found:
{codes}

examples:
  routerd models check
  routerd models check --days 30 --only retiring
  routerd models check --on 2027-04-01             as it will be on that day
  routerd models check --live                      asks every enabled provider
  routerd models check --live --provider openai --json"""

WIDEST = max(map(len, CODES))


def configure(actions: Any) -> None:
    """Describe the arguments of the action."""
    text = "report what has ended, what moves and what is missing"
    parser: argparse.ArgumentParser = actions.add_parser(
        "check",
        help=text,
        description=f"{text.capitalize()}.",
        epilog=EPILOG.format(
            codes="\n".join(f"  {code:{WIDEST}}  {what}" for code, what in CODES.items())
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    suppressed = argparse.SUPPRESS
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=suppressed, help="the configuration file"
    )
    parser.add_argument("--json", action="store_true", default=suppressed, help="print JSON")
    parser.add_argument(
        "--days", type=_days, default=60, metavar="N", help="how far ahead to look (default 60)"
    )
    parser.add_argument(
        "--on", type=_day, metavar="DATE", help="as of another day than today (UTC)"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(CODES),
        default=[],
        metavar="WHAT",
        help="only such findings; repeatable",
    )
    parser.add_argument(
        "--live", action="store_true", help="ask the providers for their lists of models"
    )
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        dest="providers",
        help="with --live, ask only this one; repeatable",
    )
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Print all findings; 1 where one of them is a problem."""
    environ = dict(os.environ)
    file = arguments.config or find_settings_file(environ)
    day = arguments.on or datetime.now(UTC).date()
    answered = ModelLists({}, {})
    if arguments.live:
        startup = prepare(file, environ)
        directory = startup.directory
        for name in arguments.providers:
            if name not in startup.providers:
                enabled = ", ".join(startup.providers) or "none"
                raise StartError(f"{name!r} is no enabled provider; enabled: {enabled}.")
        answered = ask_for_lists(startup, arguments.providers)
    else:
        directory = load_user_directory(file)
    found = audit_lists(directory, answered.lists, day, days=arguments.days)
    found += audit(directory, day, days=arguments.days)
    found = [item for item in found if not arguments.only or item.code in arguments.only]
    found.sort(key=lambda item: item.severity == "note")
    if arguments.json:
        _print_json(found, answered)
    else:
        _print(found, answered)
    return 1 if any(item.severity == "problem" for item in found) else 0


def _print_json(found: list[Finding], answered: ModelLists) -> None:
    print_json(
        {
            "findings": msgspec.to_builtins(found),
            "asked": {name: len(models) for name, models in answered.lists.items()},
            "not_answered": answered.failures,
        }
    )


def _print(found: list[Finding], answered: ModelLists) -> None:
    if found:
        print_table(
            ("", "what", "of", "more"),
            [(item.severity, item.code, item.subject, item.text) for item in found],
        )
        print()
    for name, models in answered.lists.items():
        print(f"{name} lists {len(models)} models")
    for name, why in answered.failures.items():
        print(f"{name} did not say: {printable(why)}")
    many = Counter(item.severity for item in found)
    print(f"{_plural(many['problem'], 'problem')}, {_plural(many['note'], 'note')}")


def _plural(many: int, what: str) -> str:
    return f"{many} {what}" if many == 1 else f"{many} {what}s"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; expected YYYY-MM-DD") from None


def _days(text: str) -> int:
    if not text.isdecimal() or len(text) > 5:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return int(text)
