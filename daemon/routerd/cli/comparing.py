"""`routerd models show | compare`: all that is known of one model, or of some side by side."""

from __future__ import annotations

import argparse
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from routerd.app.startup import find_settings_file, load_user_directory
from routerd.cli.tables import print_json, print_table, printable
from routerd.errors import StartError
from routerd.models import Directory
from routerd.models.browse import Pair, named
from routerd.models.describe import facts, sources

__all__ = ["configure"]

SHOW = """\
Everything the directory says of a model, or of one of its deployments, and where each number is
from. A score is 0 to 100, with how far to trust it (0 to 1) and what measured it.

examples:
  routerd models show claude-opus-5-5
  routerd models show bedrock/us.anthropic.claude-opus-5-5 --json"""
COMPARE = """\
Models side by side: prices, limits, capabilities, and scores with what measured them. Only scores
of one benchmark can be compared. A deployment's id compares its own price; a model's id, that of
its first deployment.

examples:
  routerd models compare gpt-5.5-2026-04-23 gemini-4-argon kimi-k3
  routerd models compare groq/openai/gpt-oss-120b bedrock/openai.gpt-oss-120b-1:0"""


def configure(actions: Any) -> None:
    """Describe the arguments of both actions."""
    show_parser = _action(actions, "show", "show everything about one model", SHOW)
    show_parser.add_argument("names", nargs=1, metavar="MODEL", help="a model or a deployment")
    show_parser.set_defaults(run=show)
    text = "show models side by side"
    compare_parser = _action(actions, "compare", text, COMPARE)
    compare_parser.add_argument("names", nargs="+", metavar="MODEL", help="models or deployments")
    compare_parser.set_defaults(run=compare)


def _action(actions: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=text,
        description=f"{text.capitalize()}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # What stands before the action holds too, unless it is said again behind it.
    suppressed = argparse.SUPPRESS
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=suppressed, help="the configuration file"
    )
    parser.add_argument("--json", action="store_true", default=suppressed, help="print JSON")
    return parser


def show(arguments: argparse.Namespace) -> int:
    """Print everything about one model."""
    directory = _directory(arguments)
    [name] = arguments.names
    model, first = _named(directory, name)
    deployments = [
        item for item in directory.deployments_of(model.id) if name in (item.id, model.id)
    ]
    if arguments.json:
        print_json(
            {
                **msgspec.to_builtins(model),
                "deployments": msgspec.to_builtins(deployments),
                "named_by": _named_by(directory, model.id),
            }
        )
        return 0
    print(printable(model.id))
    own = dict(facts(model, first))
    print()
    _print_pairs((key, value) for key, value in own.items() if value)
    for deployment in deployments:
        if deployment != first:
            # What is the model's own was said already.
            known = facts(model, deployment)
            print()
            _print_pairs((key, value) for key, value in known if value and value != own[key])
    print("\nnamed by")
    print("  " + (", ".join(_named_by(directory, model.id)) or "no class and no shortcut"))
    print("\nsources")
    _print_pairs(sources(model, first))
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Print models side by side; what is known of none is left out."""
    directory = _directory(arguments)
    pairs = {name: _named(directory, name) for name in dict.fromkeys(arguments.names)}
    columns = {name: dict(facts(*pair)) for name, pair in pairs.items()}
    if arguments.json:
        print_json(columns)
        return 0
    rows = next(iter(columns.values()))
    print_table(
        ("", *columns),
        [
            (row, *(column[row] or "-" for column in columns.values()))
            for row in rows
            if any(column[row] for column in columns.values())
        ],
    )
    return 0


def _directory(arguments: argparse.Namespace) -> Directory:
    return load_user_directory(arguments.config or find_settings_file(dict(os.environ)))


def _named(directory: Directory, name: str) -> Pair:
    pair = named(directory, name)
    if pair is None:
        near = get_close_matches(name[:100], [*directory.models, *directory.deployments], n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise StartError(f"{name!r} is no known model or deployment{hint}.")
    return pair


def _named_by(directory: Directory, model: str) -> list[str]:
    """Return the classes and shortcuts that a model is a candidate of."""
    return [
        *(f"class {name}" for name, item in directory.classes.items() if model in item.candidates),
        *(
            f"shortcut {name}"
            for name in directory.shortcuts
            if any(item.model == model for item in directory.resolve(name).candidates)
        ),
    ]


def _print_pairs(pairs: Any) -> None:
    rows = list(pairs)
    width = max((len(key) for key, _ in rows), default=0)
    for key, value in rows:
        print(f"  {key.ljust(width)}  {printable(value)}")
