"""`routerd spend | budgets`: what was spent, and what caps leave. Asked of a running daemon."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from routerd.cli.money_state import span_text, used_text
from routerd.cli.tables import print_json, print_table
from routerd.cli.typed import day, first_of_this_month, month_after
from routerd.errors import StartError
from routerd.models.amounts import NANODOLLARS_PER_DOLLAR, format_dollars
from routerd.models.rooms import amount_text
from routerd_client import Client

__all__ = ["configure"]

NAMES = (
    "tenant",
    "team",
    "agent",
    "user",
    "feature",
    "task",
    "class",
    "model",
    "provider",
    "deployment",
    "target",
)
EPILOGS = {
    "spend": """\
Without more it shows this month by model. Days and months are those of UTC.

  routerd spend --month 2026-10 --by tenant       what each tenant spent in October
  routerd spend --tenant acme --by month,model --since 2026-01
  routerd spend --by day,feature --since 2026-11-01 --until 2026-11-15
  routerd spend --by tenant --users               how many users, and what each cost
  routerd spend --baseline claude-opus-5-5        what one model would have cost for all
  routerd spend --by tenant,model --csv > spend.csv

A call counts with its first request, at the model that one went to; every request
is a cost of the model it was sent to, failed ones too if the provider bills them.
"estimated" is part of the cost: calls that were cut, or whose process died. A cost
that is not known is in no sum, and of one that is known in part only that part; the
column "unknown" counts such requests, and the sum is then shown as "more than". A
baseline charges the same tokens at one model's price of today: what a model would
have made of the same prompts nobody knows.""",
    "budgets": """\
Shows every cap that counts something now: what is spent and what is held for calls
that are under way, by whom, and when the cap is free again. What is spent and held
never is above the limit; a call that does not fit is refused, or goes to a model
that does. Caps are set in [budgets.NAME] of the configuration.""",
}
TOKENS_IN = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_long_tokens")
SOME_HOLDERS = 2
# The time and a bit of chance: whoever began in the same minute looks alike in fewer.
SHORT_ID = 16
NANODOLLARS = "nanodollars"

Row = dict[str, Any]


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    parser.epilog = EPILOGS[verb]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    if verb == "spend":
        _configure_spend(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _configure_spend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        metavar="NAMES",
        default="model",
        help=f"one row for each, with commas: day, month, {', '.join(NAMES)}; '' for the total",
    )
    for name in NAMES:
        parser.add_argument(
            f"--{name}",
            action="append",
            dest=f"only_{name}",
            metavar="NAME",
            help=f"only this {name}; repeatable",
        )
    parser.add_argument("--month", type=day, metavar="2026-11", help="only this month")
    parser.add_argument("--since", type=day, metavar="DAY", help="from this day or month on")
    parser.add_argument("--until", type=day, metavar="DAY", help="up to before this day or month")
    parser.add_argument("--users", action="store_true", help="count the users, and cost for each")
    parser.add_argument(
        "--baseline", metavar="MODEL", help="what this model would have cost, and what was saved"
    )
    parser.add_argument("--simulated", action="store_true", help="include simulated calls")
    parser.add_argument("--csv", action="store_true", help="print CSV, with whole nanodollars")


def spend(arguments: argparse.Namespace) -> int:
    """Show sums of what was spent."""
    since, until = _period(arguments)
    by = [name.strip() for name in arguments.by.split(",") if name.strip()]
    only = {name: getattr(arguments, f"only_{name}") for name in NAMES}
    with Client(arguments.socket) as client:
        answer = client.command(
            "spend",
            by=by,
            filters={name: values for name, values in only.items() if values is not None},
            since=None if since is None else since.isoformat(),
            until=None if until is None else until.isoformat(),
            users=arguments.users,
            baseline=arguments.baseline,
            simulated=arguments.simulated,
        )
    if arguments.json:
        print_json(answer)
        return 0
    if arguments.csv:
        _print_csv(by, answer)
    else:
        _print_spend(by, answer)
    for note in answer["notes"]:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _period(arguments: argparse.Namespace) -> tuple[date | None, date | None]:
    """Return the first day that is meant, and the first one that is not any more."""
    if arguments.month is not None:
        if arguments.since is not None or arguments.until is not None:
            raise StartError("--month is a whole month: leave --since and --until out.")
        first = arguments.month.replace(day=1)
        return first, month_after(first)
    if arguments.since is None and arguments.until is None:
        return first_of_this_month(), None
    return arguments.since, arguments.until


def _print_spend(by: list[str], answer: Row) -> None:
    total = answer["total"]
    rows = [*answer["rows"], total] if by else [total]
    names = [[_shown(row["names"][name]) for name in by] for row in rows[:-1]]
    names.append(["total", *[""] * (len(by) - 1)] if by else [])
    columns = _columns(total)
    cells = [_right_aligned(heading, map(show, rows)) for heading, show in columns.items()]
    headings, *lines = zip(*cells, strict=True)
    print_table((*by, *headings), [(*a, *b) for a, b in zip(names, lines, strict=True)])


def _columns(total: Row) -> dict[str, Callable[[Row], str]]:
    """Return the columns there is something to say in, and how to show a row in each."""
    columns = {
        "calls": _count("calls"),
        "requests": _count("requests"),
        "cached": _count("cached"),
        "refused": _count("refused"),
        "tokens in": lambda row: f"{sum(row[name] for name in TOKENS_IN):,}",
        "tokens out": _count("output_tokens"),
        "cost": _cost,
        "unknown": _count("unknown_requests"),
        "estimated": _dollars("estimated_nanodollars"),
        "a call": _dollars("cost_per_call_nanodollars"),
        "users": _count("users"),
        "a user": _dollars("cost_per_user_nanodollars"),
        "baseline": _dollars("baseline_nanodollars"),
        "saved": _dollars("saved_nanodollars"),
    }
    left_out = {
        "cached": not total["cached"],
        "refused": not total["refused"],
        "unknown": not total["unknown_requests"],
        "estimated": not total["estimated_nanodollars"],
        "users": total["users"] is None,
        "a user": total["users"] is None,
        "baseline": total["baseline_nanodollars"] is None,
        "saved": total["baseline_nanodollars"] is None,
    }
    return {heading: show for heading, show in columns.items() if not left_out.get(heading)}


def _right_aligned(heading: str, cells: Iterable[str]) -> list[str]:
    column = [heading, *cells]
    width = max(map(len, column))
    return [cell.rjust(width) for cell in column]


def _count(name: str) -> Callable[[Row], str]:
    return lambda row: f"{row[name]:,}"


def _dollars(name: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[name] is None else format_dollars(row[name])


def _cost(row: Row) -> str:
    more = "more than " if row["unknown_requests"] else ""
    return more + format_dollars(row["cost_nanodollars"])


def _shown(name: str) -> str:
    """Show a caller's name, which may be empty."""
    return name or "-"


def _print_csv(by: list[str], answer: Row) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*by, *_csv_values(answer["total"])])
    for row in answer["rows"]:
        names = [_csv_text(row["names"][name]) for name in by]
        writer.writerow([*names, *_csv_values(row).values()])


def _csv_values(row: Row) -> Row:
    """Return the numbers of a row, each amount in nanodollars and once more in dollars."""
    values = {name: value for name, value in row.items() if name != "names"}
    for name in [name for name in values if name.endswith(NANODOLLARS)]:
        values[name.removesuffix(NANODOLLARS) + "dollars"] = _exact_dollars(values[name])
    return values


def _csv_text(name: str) -> str:
    """Keep a spreadsheet from taking a caller's name for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _exact_dollars(nanodollars: int | None) -> str | None:
    if nanodollars is None:
        return None
    whole, rest = divmod(abs(nanodollars), NANODOLLARS_PER_DOLLAR)
    return f"{'-' if nanodollars < 0 else ''}{whole}.{rest:09}"


def budgets(arguments: argparse.Namespace) -> int:
    """Show every cap with what is spent and held of it."""
    with Client(arguments.socket) as client:
        rows = client.command("budgets")
    if arguments.json:
        print_json(rows)
        return 0
    if not rows:
        print("no budget counts anything: set caps in [budgets.NAME] of the configuration")
        return 0
    print_table(
        ("budget", "scope", "window", "limit", "spent", "held", "by", "used", "resets"),
        [_budget_cells(row, time.time()) for row in rows],
    )
    return 0


def _budget_cells(row: Row, now: float) -> Sequence[str]:
    resets = datetime.fromtimestamp(row["resets_at"], UTC)
    return (
        row["budget"],
        _shown(row["scope"]),
        row["window"],
        *(amount_text(row["unit"], row[name]) for name in ("limit", "spent", "held")),
        _holders(row["holders"]),
        used_text(row),
        f"{resets:%Y-%m-%d %H:%M} UTC, in {span_text(row['resets_at'] - now)}",
    )


def _holders(holders: list[Row]) -> str:
    named = [holder["decision_id"][:SHORT_ID] for holder in holders[:SOME_HOLDERS]]
    more = len(holders) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") or "-"
