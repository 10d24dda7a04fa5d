"""`routerd models | shortcuts`: the directory as the daemon would load it. Asks no daemon."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec

from routerd.app.startup import find_settings_file, load_user_directory
from routerd.cli.tables import print_json, print_table
from routerd.models import Directory
from routerd.models.schema import DIMENSIONS
from routerd.models.tables import ModelRow, model_rows, shortcut_rows

__all__ = ["configure"]

EPILOGS = {
    "models": (
        "Lists what the directory knows, with your own additions, whether or not a key for it is "
        "there; `routerd status` shows who is served now. Prices are dollars for a million tokens. "
        "A model's id is a target, and so is that of a deployment."
    ),
    "shortcuts": (
        "A shortcut is what an app asks for: a job, with the models that do it in order and the "
        "defaults they get. Add your own in a file that `directory` of the configuration names."
    ),
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    parser.epilog = EPILOGS[verb]
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    if verb == "models":
        parser.add_argument("--class", dest="model_class", metavar="CLASS", help="only this class")
        parser.add_argument("--provider", help="only what this provider serves")
        parser.add_argument("--scores", action="store_true", help="show the scores, 0 to 100")


def _directory(arguments: argparse.Namespace) -> Directory:
    environ = dict(os.environ)
    return load_user_directory(arguments.config or find_settings_file(environ))


def models(arguments: argparse.Namespace) -> int:
    """List every model with each of its deployments."""
    rows = [
        row
        for row in model_rows(_directory(arguments))
        if arguments.model_class in (None, row.model_class)
        and arguments.provider in (None, row.provider)
    ]
    if arguments.json:
        print_json(
            [
                {
                    **msgspec.to_builtins(row),
                    "scores": dict(zip(DIMENSIONS, row.scores, strict=True)),
                }
                for row in rows
            ]
        )
    elif arguments.scores:
        print_table(("model", *DIMENSIONS), _score_rows(rows))
    else:
        print_table(
            ("model", "class", "deployment", "boundary", "window", "in $/M", "out $/M", "retires"),
            [
                (
                    row.model,
                    row.model_class,
                    row.deployment or "none here",
                    row.boundary,
                    row.context_window,
                    row.input_price,
                    row.output_price,
                    row.retires_on,
                )
                for row in rows
            ],
        )
    return 0


def _score_rows(rows: list[ModelRow]) -> list[tuple[str, ...]]:
    """Return one row a model: scores are the weights', wherever they are served."""
    by_model = {row.model: (row.model, *(score or "-" for score in row.scores)) for row in rows}
    return list(by_model.values())


def shortcuts(arguments: argparse.Namespace) -> int:
    """List every shortcut with what it is for and who serves it."""
    rows = shortcut_rows(_directory(arguments))
    if arguments.json:
        print_json(rows)
        return 0
    print_table(
        ("shortcut", "for", "served by", "first models"),
        [
            (row.name, row.description, row.serves, ", ".join(row.models[:3]) or "none here")
            for row in rows
        ],
    )
    return 0
