"""`routerd prices import`: take prices over from a public list. Asks no daemon."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from routerd.app.startup import find_settings_file, load_user_directory
from routerd.cli.tables import print_json, print_table
from routerd.errors import SettingsError, StartError
from routerd.models.amounts import format_dollars
from routerd.models.price_import import (
    ABOVE,
    HEADER,
    ChangedRate,
    PriceImport,
    import_prices,
    read_price_list,
)

__all__ = ["configure"]

EPILOG = """\
Knows LiteLLM's model_prices_and_context_window.json and the data.json (or data_slim.json) of
genai-prices, whichever FILE is. What vendors serve by your directory gets the price that the list
has for it, in a directory file of your own that `directory` of the configuration names. A price a
hundredfold from the known one is refused; what the list does not say stays as it is."""


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "write the prices of a public list into a directory file"
    action = actions.add_parser("import", help=text, description=f"{text.capitalize()}.")
    action.epilog = EPILOG
    action.add_argument("file", type=Path, metavar="FILE", help="the list, as it was published")
    action.add_argument(
        "--out",
        type=Path,
        default=Path("prices.toml"),
        metavar="FILE",
        help="the file to write (default prices.toml)",
    )
    action.add_argument(
        "--provider", action="append", default=[], help="only prices of this provider; repeatable"
    )
    action.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    action.add_argument("--json", action="store_true", help="print JSON")
    action.set_defaults(run=import_list, verb=verb)


def import_list(arguments: argparse.Namespace) -> int:
    """Convert a list, write the file and print what changed; 1 where nothing could be taken."""
    environ = dict(os.environ)
    directory = load_user_directory(arguments.config or find_settings_file(environ))
    for name in arguments.provider:
        if name not in directory.providers:
            known = ", ".join(directory.providers)
            raise StartError(f"{name!r} is no known provider; known: {known}.")
    try:
        listed = read_price_list(arguments.file.read_bytes())
    except OSError as error:
        raise StartError(f"cannot read {arguments.file}: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(str(error), file=arguments.file) from None
    result = import_prices(listed, directory, datetime.now(UTC).date(), arguments.provider)
    if result.prices:
        _write(arguments.out, result.text)
    if arguments.json:
        print_json(msgspec.to_builtins(result) | {"file": str(arguments.out)})
    else:
        _print(result, arguments.out)
    return 0 if result.prices else 1


def _write(path: Path, text: str) -> None:
    """Write the file over one of an earlier import, and over no other."""
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(HEADER):
            raise StartError(f"{path} exists and is no import. Name another file with --out.")
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"cannot write {path}: {error}.") from error


def _print(result: PriceImport, path: Path) -> None:
    if result.changed:
        print_table(
            ("deployment", "rate", "from", "old", "new", "change"),
            [
                (
                    row.deployment,
                    row.rate,
                    row.since.isoformat() if row.since else "now",
                    _amount(row, row.old),
                    _amount(row, row.new),
                    "-" if row.percent is None else f"{row.percent:+.1f} %",
                )
                for row in result.changed
            ],
        )
        print()
    for deployment, rates in result.kept.items():
        print(f"kept     {deployment}: the list does not say {', '.join(rates)}")
    for deployment, rates in result.unknown.items():
        print(f"unknown  {deployment}: the list does not say {', '.join(rates)}")
    for deployment in result.missing:
        print(f"missing  {deployment}: the list has no price of it")
    for deployment, reason in result.refused.items():
        print(f"refused  {deployment}: {reason}")
    if not result.prices:
        print("nothing to import: no file was written")
        return
    print(f"wrote {path}: {len(result.prices)} prices, {len(result.changed)} rates changed")
    print(f'next: name it in the configuration, as in directory = ["{path.name}"]')


def _amount(row: ChangedRate, amount: int | None) -> str:
    if amount is None:
        return "-"
    return str(amount) if row.rate == ABOVE else format_dollars(amount)
