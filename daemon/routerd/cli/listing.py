"""`routerd models | shortcuts`: the directory as the daemon would load it. Asks no daemon."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import msgspec

from routerd.app.startup import find_settings_file, load_user_directory
from routerd.cli import auditing, comparing
from routerd.cli.planned import planned_models, providers_named
from routerd.cli.tables import print_json, print_table
from routerd.errors import StartError
from routerd.models import BOUNDARIES, Directory
from routerd.models.browse import CAPABILITIES, SORTS, Filter, Pair, browse
from routerd.models.describe import score_text
from routerd.models.schema import DIMENSIONS, Kind
from routerd.models.tables import ModelRow, model_rows, shortcut_rows
from routerd.settings import Settings, load_settings

__all__ = ["configure"]

EPILOGS = {
    "models": """\
Lists what the directory knows, with your own additions, whether or not a key for it is there;
`routerd status` shows who is served now. Prices are dollars for a million tokens. A model's id is a
target of a call, and so is that of a deployment.

examples:
  routerd models --class fast --sort price        the cheapest of a class first
  routerd models --needs vision,tools --boundary vendor
  routerd models --kind embedding --sort price
  routerd models --sort score:coding              the best at code first; unknown last
  routerd models show claude-opus-5-5             all of one model, with sources
  routerd models compare gpt-5.5-2026-04-23 gemini-4-argon kimi-k3
  routerd models check                            what has ended, what moves, what is missing""",
    "shortcuts": """\
A shortcut is what an app asks for: a job, with the models that do it in order and the defaults they
get. The first models are those that your providers and your default policy let serve: a moving
alias, say, is not among them unless the policy allows it. Add your own in a file that `directory`
of the configuration names; `--order NAME` says why the candidates of one stand as they do.

examples:
  routerd shortcuts
  routerd shortcuts --order code""",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    parser.epilog = EPILOGS[verb]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    if verb == "shortcuts":
        parser.add_argument("--order", metavar="NAME", help="why the candidates of one stand so")
        return
    parser.add_argument("--class", dest="model_class", metavar="CLASS", help="only this class")
    parser.add_argument("--provider", help="only what this provider serves")
    parser.add_argument("--vendor", help="only what this vendor made")
    parser.add_argument("--kind", choices=get_args(Kind), help="only what serves such calls")
    parser.add_argument("--boundary", choices=BOUNDARIES, help="only where text goes so far")
    parser.add_argument(
        "--needs",
        default="",
        metavar="A,B",
        help=f"only what can all of these: {', '.join(CAPABILITIES)}",
    )
    parser.add_argument(
        "--sort", metavar="KEY", help=f"the best first, unknown last: {', '.join(SORTS)}"
    )
    parser.add_argument("--scores", action="store_true", help="show the scores, 0 to 100")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    comparing.configure(actions)
    auditing.configure(actions)


def models(arguments: argparse.Namespace) -> int:
    """List models with each of their deployments."""
    directory = load_user_directory(arguments.config or find_settings_file(dict(os.environ)))
    pairs = _found(directory, arguments)
    rows = model_rows(directory, pairs)
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
        _print(rows, pairs, arguments.sort)
    return 0


def _found(directory: Directory, arguments: argparse.Namespace) -> list[Pair]:
    """Find what was asked for; StartError names what there is instead of an unknown name."""
    vendors = {model.vendor for model in directory.models.values()}
    needs = tuple(filter(None, (name.strip() for name in arguments.needs.split(","))))
    for what, given, known in (
        ("class", arguments.model_class, directory.classes),
        ("provider", arguments.provider, directory.providers),
        ("vendor", arguments.vendor, sorted(vendors)),
        ("order", arguments.sort, SORTS),
        *(("capability", name, CAPABILITIES) for name in needs),
    ):
        if given is not None and given not in known:
            raise StartError(f"{given!r} is no known {what}; known: {', '.join(known)}.")
    wanted = Filter(
        model_class=arguments.model_class,
        provider=arguments.provider,
        vendor=arguments.vendor,
        kind=arguments.kind,
        boundary=arguments.boundary,
        needs=needs,
    )
    return browse(directory, wanted, arguments.sort)


def _print(rows: Iterable[ModelRow], pairs: Iterable[Pair], sort: str | None) -> None:
    """Print a row a deployment; what it was sorted by and is no column is one more."""
    headings = ["model", "class", "deployment", "boundary", "window", "in $/M", "out $/M", "pinned"]
    more = [_sorted_by(pair, sort) for pair in pairs]
    headings += [sort] if sort is not None and any(more) else []
    print_table(
        (*headings, "retires"),
        [
            (
                row.model,
                row.model_class,
                row.deployment or "none here",
                row.boundary,
                row.context_window,
                row.input_price,
                row.output_price,
                row.pinned,
                *([extra] if any(more) else []),
                row.retires_on,
            )
            for row, extra in zip(rows, more, strict=True)
        ],
    )


def _sorted_by(pair: Pair, sort: str | None) -> str:
    model, deployment = pair
    if sort is not None and sort.startswith("score:"):
        return score_text(getattr(model.scores, sort.removeprefix("score:")))
    speed = deployment.speed if deployment is not None else None
    if sort in {"speed", "first_token"} and speed is not None:
        figure = speed.output_tokens_per_second if sort == "speed" else speed.first_token_seconds
        return f"{figure:g}" if figure is not None else ""
    most = (deployment or model).max_output_tokens
    return str(most) if sort == "output" and most is not None else ""


def _score_rows(rows: list[ModelRow]) -> list[tuple[str, ...]]:
    """Return one row a model: scores are the weights', wherever they are served."""
    by_model = {row.model: (row.model, *(score or "-" for score in row.scores)) for row in rows}
    return list(by_model.values())


def shortcuts(arguments: argparse.Namespace) -> int:
    """List every shortcut with what it is for and who serves it, or one with why."""
    environ = dict(os.environ)
    file = arguments.config or find_settings_file(environ)
    directory = load_user_directory(file)
    if arguments.order is not None:
        return _show_order(directory, arguments.order, as_json=arguments.json)
    settings = load_settings(file) if file is not None else Settings()
    rows = shortcut_rows(directory)
    named = providers_named(settings, directory, environ, has_file=file is not None)
    planned = planned_models(directory, settings, named or directory.providers)
    if arguments.json:
        print_json([{**msgspec.to_builtins(row), "planned": planned[row.name]} for row in rows])
        return 0
    print_table(
        ("shortcut", "for", "served by", "first models"),
        [
            (row.name, row.description, row.serves, ", ".join(planned[row.name][:3]) or "none here")
            for row in rows
        ],
    )
    whose = f"with {', '.join(named)}" if named else "with every provider, since none is configured"
    print(f"\nfirst models: what the default policy lets serve {whose}; no server was asked")
    return 0


def _show_order(directory: Directory, name: str, *, as_json: bool) -> int:
    """Print the candidates of a shortcut in order, with why each stands where it does."""
    if name not in directory.shortcuts:
        known = ", ".join(directory.shortcuts)
        raise StartError(f"{name!r} is no known shortcut; known: {known}.")
    resolution = directory.resolve(name)
    rows = [
        {"deployment": item.id, "why": resolution.ranks.get(item.id, "in the order of a list")}
        for item in resolution.candidates
    ]
    rows += [
        {"deployment": target, "why": f"serves {complexity} calls"}
        for complexity, target in resolution.by_complexity.items()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("candidate", "why it stands there"), [tuple(row.values()) for row in rows])
    return 0
