"""`routerd reconcile`: the ledger of a running daemon beside what a provider bills."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from routerd.cli.tables import print_json, print_table
from routerd.cli.typed import cents, day
from routerd.errors import StartError
from routerd.ledger.exports import (
    Export,
    Invoice,
    MixedExports,
    UnknownExport,
    invoice_of,
    read_export,
)
from routerd.models.amounts import format_dollars
from routerd_client import Client

__all__ = ["configure"]

EPILOG = """\
FILE is what a provider exports, recognised by what is in it: OpenAI's answers of
organization/costs (grouped by line_item) and organization/usage/completions
(grouped by model), Anthropic's of cost_report (grouped by description) and
usage_report/messages (grouped by model), and the CSV files of both dashboards.
Several pages, or costs and usage together, make one invoice:

  routerd reconcile costs.json usage.json
  routerd reconcile october.csv --since 2026-10 --until 2026-11 --correct

Each day (UTC) that the exports cover is compared, model by model; a dated snapshot and
its alias are the same. Every difference is named, with what may explain it.

A day between them that no page mentions is left out, and named.

Exit code 0 says that all days and models agree to a cent, 1 that some do not, or that
a day was left out or a row could not be read.

--correct spreads a difference over the requests of that day and model whose cost was
only estimated or not known, never over what was measured, and leaves a day alone
that is not over. `routerd spend` shows the corrected amounts from then on. Give it
whole exports: what is left out of one looks as if it had not been billed."""

Row = dict[str, Any]


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=reconcile, verb=verb)
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="an export; several make one invoice"
    )
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    parser.add_argument(
        "--provider", metavar="NAME", help="its name in the configuration, if not the vendor's"
    )
    parser.add_argument("--since", type=day, metavar="DAY", help="from this day or month on")
    parser.add_argument("--until", type=day, metavar="DAY", help="up to before this day or month")
    parser.add_argument(
        "--tolerance",
        type=cents,
        default="1",
        metavar="CENTS",
        help="what a day and model may differ by and still agree (default 1)",
    )
    parser.add_argument(
        "--correct", action="store_true", help="make estimated costs what the invoice says"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def reconcile(arguments: argparse.Namespace) -> int:
    """Compare, correct if asked to, and show what differs."""
    exports = [_read(path) for path in arguments.files]
    unread = [
        f"{path}, {row}"
        for path, export in zip(arguments.files, exports, strict=True)
        for row in export.unread
    ]
    if unread and arguments.correct:
        raise StartError(
            f"{unread[0]}. Nothing is corrected by an export that is understood only in part."
        )
    invoice = _invoice(arguments, exports)
    with Client(arguments.socket) as client:
        answer = client.command(
            "reconcile", invoice=msgspec.to_builtins(invoice), correct=arguments.correct
        )
    notes = [note for export in exports for note in export.notes]
    left_out = [day.isoformat() for day in invoice.left_out]
    if arguments.json:
        print_json({**answer, "left_out": left_out, "unread": unread, "notes": notes})
    else:
        _print(invoice, answer)
        if left_out:
            print(f"left out: {', '.join(left_out)}: the export says nothing of them")
            print("next: fetch the pages of these days too, and name them all in one command")
        for row in unread:
            print(f"not understood: {row}")
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    agrees = all(row["agrees"] for row in answer["rows"])
    return 0 if agrees and not unread and not left_out else 1


def _read(path: Path) -> Export:
    try:
        return read_export(path.read_bytes())
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error
    except UnknownExport as error:
        raise StartError(f"cannot read {path}: {error}.") from error


def _invoice(arguments: argparse.Namespace, exports: list[Export]) -> Invoice:
    until: date | None = arguments.until
    try:
        return invoice_of(
            exports,
            provider=arguments.provider,
            source=", ".join(path.name for path in arguments.files),
            first_day=arguments.since,
            last_day=until - timedelta(days=1) if until is not None else None,
            tolerance_nanodollars=arguments.tolerance,
        )
    except MixedExports as error:
        raise StartError(f"these exports make no invoice: {error}.") from error


def _print(invoice: Invoice, answer: Row) -> None:
    rows = answer["rows"]
    for row in answer["corrected"]:
        print(
            f"corrected {row['day']} {row['model']}: {row['requests']} requests by "
            f"{format_dollars(row['nanodollars'])}"
        )
    differing = [row for row in rows if not row["agrees"]]
    if differing:
        print_table(
            ("day", "model", "ledger", "invoice", "difference", "share"), map(_cells, differing)
        )
        print()
        for row in differing:
            for reason in row["reasons"]:
                print(f"{row['day']} {row['model']}: {reason}")
        print()
    print(
        f"{invoice.provider}, {invoice.first_day} to {invoice.last_day}: "
        f"{len(rows) - len(differing)} days and models agree, {len(differing)} differ"
    )
    ledger = _total(row["ledger_nanodollars"] for row in rows)
    print(f"ledger {ledger}, invoice {_total(row['invoice_nanodollars'] for row in rows)}")


def _cells(row: Row) -> tuple[str, ...]:
    billed, difference = row["invoice_nanodollars"], row["difference_nanodollars"]
    share = f"{difference / billed:+.2%}" if billed and difference is not None else "-"
    ledger = "-" if row["presence"] == "invoice" else format_dollars(row["ledger_nanodollars"])
    unknown = " and more" if row["unknown_requests"] else ""
    return (
        row["day"],
        row["model"],
        ledger + unknown,
        "-" if row["presence"] == "ledger" else _dollars(billed),
        _dollars(difference),
        share,
    )


def _dollars(nanodollars: int | None) -> str:
    return "no amounts" if nanodollars is None else format_dollars(nanodollars)


def _total(amounts: Iterable[int | None]) -> str:
    known = [amount for amount in amounts if amount is not None]
    return format_dollars(sum(known)) if known else "-"
