"""What money costs: a hold and its settlement, the ledger, the questions of a month, a start.

    .venv/bin/python bench/money.py [--quick] [--runs N] [--calls N] [--folder DIR] [--json FILE]

Rules of this file: it runs what the other files named `money_` measure and says it in tables. A
number is the median over the runs, beside it half of (largest - smallest) over the median. A ratio
is taken within each run. The month of calls is made once. Nothing is written into the checkout.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
import uvloop
from msgspec import Struct

from bench.machine import choose_cores, describe, pinned, reference_cpu_seconds
from bench.measures import Numbers
from bench.money_holds import one_round
from bench.money_ledger import (
    QUESTIONS,
    RATES,
    MonthOfCalls,
    ask_month,
    build_month,
    lateness,
    start_from,
    sustained,
)
from bench.report import aligned, figure

__all__ = ["main"]

RUNS: Final = 5
QUICK_RUNS: Final = 2
CALLS: Final = 200_000
MOST_ATTEMPTS: Final = 1_000_000
# The targets of the issue, each in the unit of its line.
HOLD_US: Final = 15
RECORDS_A_SECOND: Final = 5000
SPEND_MS: Final = 200
HOLDS: Final = {
    "bare_dict": "nine counters in a bare dict: no cap, no window, nothing kept",
    "hold": "hold and settle in nine budgets",
    "key": "the same, and the choice between two keys",
    "intent": "the same, and the intent appended to a file",
}

# The numbers of what was measured, by its name.
Run = dict[str, Numbers]


class Sizes(Struct, frozen=True):
    """How much load each measure makes."""

    attempts: int = 20_000
    records: int = 20_000
    seconds: float = 3.0


QUICK: Final = Sizes(attempts=4000, records=4000, seconds=0.5)


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    chosen = read(arguments)
    about = {
        "machine": describe(),
        "versions": {name: version(name) for name in ("routerd", "msgspec", "uvloop")},
        "quick": chosen.quick,
    }
    sizes = QUICK if chosen.quick else Sizes()
    count = chosen.runs or (QUICK_RUNS if chosen.quick else RUNS)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="routerd-bench-", dir=chosen.folder) as name:
        for number in range(1, count + 1):
            folder = Path(name, f"run-{number}")
            folder.mkdir()
            runs.append(one_run(folder, sizes, partial(tell, f"run {number} of {count}")))
        attempts = min(chosen.calls, MOST_ATTEMPTS)
        path = Path(name, "month.db")
        month = build_month(path, chosen.calls, attempts, partial(tell, "month"))
        asked = ask(path, month, partial(tell, "month"))
    tell("", "")
    data = {**about, "month": month, "asked": asked, "runs": runs}
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "money.json")
    file.write_bytes(msgspec.json.format(msgspec.json.encode(data)))
    print(report(about, runs, month, asked))
    print(f"\nall numbers: {file}")
    return 0


def read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/money.py", description="Measure what money costs.")
    parser.add_argument("--runs", type=int, help=f"how many runs (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help="two runs with less load: a look only")
    parser.add_argument(
        "--calls", type=int, default=CALLS, help=f"calls in the month (default {CALLS:,})"
    )
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    return parser.parse_args(arguments)


def tell(where: str, what: str) -> None:
    """Say where the bench is, to a person only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{where}: {what}".ljust(70) if what else "\r" + " " * 70 + "\r")
        sys.stderr.flush()


def one_run(folder: Path, sizes: Sizes, tell: Callable[[str], None]) -> Run:
    """Measure everything once but for the month."""
    run: Run = {}
    with pinned(choose_cores().system):
        tell("holds")
        reference = min(reference_cpu_seconds() for _ in range(20))
        run |= uvloop.run(one_round(folder, sizes.attempts))
    run["machine"] = {"reference_us": reference * 1e6}
    # From here on as a daemon runs: the writer's thread may take any core.
    for name, snapshot in (("record", False), ("record_with_snapshot", True)):
        tell("records")
        file = folder / f"{name}.db"
        run[name] = uvloop.run(sustained(file, sizes.records, snapshot=snapshot))
    for rate in RATES:
        for name, path in ((f"without_{rate}", None), (f"with_{rate}", folder / f"{rate}.db")):
            tell(f"{rate} records a second")
            run[name] = uvloop.run(lateness(path, rate, sizes.seconds))
    return run


def ask(path: Path, month: MonthOfCalls, tell: Callable[[str], None]) -> Run:
    """Ask everything of the month, and start from it."""
    asked: Run = {}
    for name in QUESTIONS:
        tell(f"spend {name}")
        asked[name] = ask_month(path, month, name)
    tell("start")
    asked["start"] = uvloop.run(start_from(path))
    return asked


def report(about: dict[str, Any], runs: list[Run], month: MonthOfCalls, asked: Run) -> str:
    """Return all tables as markdown, below a line on the machine."""
    machine = about["machine"]
    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}, uvloop {about['versions']['uvloop']}; median of {len(runs)} runs, "
        f"± half of (largest - smallest) over the median; load before: {machine['load_before']}; "
        f"reference work: {cell(runs, 'machine', 'reference_us')} µs"
    )
    tables = (hold_rows(runs), record_rows(runs), late_rows(runs), month_rows(month, asked))
    start = asked["start"]
    foot = (
        f"The month has {month.calls:,} calls: {month.month_rows:,} rows of its total, "
        f"{month.day_rows:,} of its days, {month.totals_bytes / 1e6:,.0f} MB. A start with "
        f"{month.attempts:,} attempts ({month.attempts_bytes / 1e6:,.0f} MB): "
        f"{start['open_ms']:,.0f} ms to open it, {start['seed_ms']:,.0f} ms to fill nine budgets, "
        f"{start['counters']:,.0f} sums."
    )
    return "\n\n".join([head, *("\n".join(aligned(rows)) for rows in tables), foot])


def cell(runs: list[Run], name: str, key: str, decimals: int = 0) -> str:
    found = figure([run[name][key] for run in runs])
    return f"{found.median:,.{decimals}f} ±{found.spread:.0%}"


def hold_rows(runs: list[Run]) -> list[list[str]]:
    rows = [["CPU of an attempt's money", "p50, µs", "p99, µs", "x dict", "target"]]
    for name, label in HOLDS.items():
        ratio = figure([run[name]["p50_us"] / run["bare_dict"]["p50_us"] for run in runs])
        times = [cell(runs, name, key, 1) for key in ("p50_us", "p99_us")]
        target = f"{HOLD_US}" if name == "hold" else ""
        rows.append([label, *times, f"{ratio.median:.1f}", target])
    return rows


def record_rows(runs: list[Run]) -> list[list[str]]:
    rows = [["what the ledger takes", "records/s", "writer's CPU, µs", "bytes", "target, /s"]]
    labels = {
        "record": "a record of two attempts, and their intents",
        "record_with_snapshot": "the same, with what nine caps left",
    }
    for name, label in labels.items():
        cells = [cell(runs, name, key) for key in ("records_a_second", "writer_cpu_us", "bytes")]
        rows.append([label, *cells, f"{RECORDS_A_SECOND:,}"])
    return rows


def late_rows(runs: list[Run]) -> list[list[str]]:
    rows = [["how late a timer of 1 ms is", "p50, µs", "p99, µs", "max, µs"]]
    for rate in RATES:
        for name, label in (("without", "made, and thrown away"), ("with", "to the ledger")):
            keys = ("p50_us", "p99_us", "max_us")
            cells = [cell(runs, f"{name}_{rate}", key) for key in keys]
            rows.append([f"{rate:,} records/s, {label}", *cells])
    return rows


def month_rows(month: MonthOfCalls, asked: Run) -> list[list[str]]:
    rows = [[f"a month of {month.calls:,} calls", "p50, ms", "max, ms", "rows", "target"]]
    for name in QUESTIONS:
        numbers = asked[name]
        cells = [f"{numbers[key]:,.0f}" for key in ("p50_ms", "max_ms", "rows")]
        rows.append([f"spend {name}", *cells, f"{SPEND_MS}" if name == "--by tenant" else ""])
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
