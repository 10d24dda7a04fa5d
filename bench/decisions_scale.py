"""What a decision costs as a company grows: models in the directory, tenants, budgets, policies.

    .venv/bin/python bench/decisions_scale.py [--quick] [--runs N] [--json FILE]

Rules of this file: a decision is taken as for a call, from its measured facts to the hold of its
first attempt: rules, policy, snapshot, plan, hold, settlement. The tenants call in turn, so that
what is remembered of one is cold when its turn comes again. CPU of the process, in
batches, on one core; a number is the median of the batches, then of the runs, beside it half of
(largest - smallest) over the median. Nothing is written into the checkout.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
from msgspec import structs

from bench.decisions import CALLER, MESSAGES, OPTIONS, grown, rule_of
from bench.machine import choose_cores, describe, pinned, reference_cpu_seconds
from bench.measures import Numbers
from bench.report import aligned, figure
from routerd.budget.budgets import Budgets
from routerd.budget.definitions import read_budgets
from routerd.budget.holds import HoldRefused, Spending
from routerd.budget.keys import Keys
from routerd.classify.features import measure
from routerd.decide import Book, PolicyDocument
from routerd.domain import Intent, Script
from routerd.execute.accounts import Accounts
from routerd.execute.deciding import decide, understand
from routerd.models import Directory, load_directory
from routerd.settings import Budget, Budgeting, PolicySettings

__all__ = ["main"]

RUNS: Final = 5
QUICK_RUNS: Final = 2
# Decisions of a batch, and batches of a run: every tenant has had its turn by the end of it.
A_BATCH: Final = 500
BATCHES: Final = 24
QUICK_BATCHES: Final = 8
RULES: Final = 50
MODELS: Final = (60, 250, 1000)
TENANTS: Final = (1, 100, 10_000)
TABLES: Final = {
    "models": ("models in the directory", MODELS),
    "each": ("tenants, of whom each has a cap by one budget for each", TENANTS),
    "own": ("tenants, of whom each has a budget of its own", TENANTS),
    "policies": ("tenants, of whom each has a policy of its own", TENANTS),
}
# So large that nothing is refused and no mark is reached.
DOLLARS: Final = 1_000_000_000


class NoJournal:
    """A journal that keeps nothing: what is written down is measured elsewhere."""

    bounds: Final[dict[str, int]] = {}
    token_rates: Final[dict[tuple[str, Script], int]] = {}

    def intend(self, _intent: Intent) -> bool:
        """Take an intent."""
        return True

    def learn_bound(self, deployment: str, thousandths: int) -> None:
        """Keep nothing."""

    def learn_token_rate(self, model: str, thousandths: int, script: Script) -> None:
        """Keep nothing."""


class Company:
    """Everything that a decision meets, for so many tenants."""

    def __init__(
        self,
        directory: Directory,
        tenants: int,
        budgets: dict[str, Budget],
        policies: dict[str, PolicySettings],
    ) -> None:
        document = PolicyDocument(
            providers=tuple(directory.providers),
            rules={f"rule-{number}": rule_of(number) for number in range(RULES)},
            policies={"default": PolicySettings(moving_aliases=True), **policies},
        )
        self.book = Book(directory, document)
        self.accounts = Accounts(
            Budgets(read_budgets(budgets, Budgeting())), Keys({}, ()), NoJournal(), _say_nothing
        )
        self.features = measure(MESSAGES, OPTIONS, words=self.book.words)
        self.callers = cycle([structs.replace(CALLER, tenant=f"t{n}") for n in range(tenants)])
        # Twice: very many counters are looked through once while they are new.
        for _ in range(2 * tenants):
            self.decide()

    def decide(self) -> None:
        """Decide one call and hold its money, then settle it."""
        caller = next(self.callers)
        now = time.time()
        asked = understand(self.book, "smart", self.features, OPTIONS, caller)
        spending = Spending((caller.tenant, None, None, caller.user, caller.feature))
        plan, _ = decide(self.book, self.accounts, asked, spending, now)
        route = plan.routes[0]
        hold = self.accounts.budgets.hold(
            spending,
            (route.deployment, route.provider, route.model),
            route.bound_nanodollars,
            route.bound_tokens or 0,
            now,
        )
        if isinstance(hold, HoldRefused):
            raise SystemExit(f"the bench has no room for a call: {hold.detail}")
        hold.settle(1_000_000, 500)


def _say_nothing(_event: object) -> None:
    """Hear what happens."""


def company_of(table: str, size: int) -> Company:
    """Return the company that a column of a table is about."""
    directory = load_directory()
    all_of_them = {"everything": Budget(window="month", dollars=DOLLARS)}
    if table == "models":
        return Company(resized(directory, size), 1, all_of_them, {})
    if table == "each":
        each = Budget(each="tenant", window="month", dollars=DOLLARS)
        return Company(directory, size, {**all_of_them, "tenants": each}, {})
    names = [f"t{number}" for number in range(size)]
    if table == "own":
        own = {f"of-{name}": Budget(tenant=name, window="month", dollars=DOLLARS) for name in names}
        return Company(directory, size, {**all_of_them, **own}, {})
    policies = {f"of-{name}": PolicySettings(tenants=[name]) for name in names}
    return Company(directory, size, all_of_them, policies)


def resized(directory: Directory, size: int) -> Directory:
    """Return a directory of so many models, with copies or without the last that smart may go on.

    What names a model that is left out names none.
    """
    if size > len(directory.models):
        directory = grown(directory, -(-size // len(directory.models)))
    resolution = directory.resolve("smart")
    may_serve = [*resolution.candidates, *resolution.backups]
    may_serve += [item for step in resolution.degraded for item in step.candidates]
    kept = dict.fromkeys(item.model for item in may_serve) | dict.fromkeys(directory.models)
    names = set(list(kept)[:size])
    document: tuple[dict[str, Any], Any] = msgspec.json.decode(directory.document(), type=tuple)
    entries, listed = document
    entries["models"] = {
        name: _without(item, names) for name, item in entries["models"].items() if name in names
    }
    entries["deployments"] = {
        name: item for name, item in entries["deployments"].items() if item["model"] in names
    }
    for kind in ("classes", "shortcuts"):
        for item in entries[kind].values():
            if item.get("candidates"):
                item["candidates"] = [name for name in item["candidates"] if name in names]
    return Directory.from_document(msgspec.json.encode((entries, listed)))


def _without(model: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a model whose backups and replacement are among these names, or nobody."""
    others = ("backup", "secondary_backup", "replacement")
    return {key: item for key, item in model.items() if key not in others or item in names}


def microseconds(step: Callable[[], object], batches: int) -> float:
    """Return the CPU time of a step: the median of the batches."""
    times = []
    for _ in range(batches):
        began_at = time.process_time_ns()
        for _ in range(A_BATCH):
            step()
        times.append((time.process_time_ns() - began_at) / A_BATCH / 1000)
    return statistics.median(times)


def one_run(companies: dict[str, dict[int, Company]], batches: int) -> dict[str, Numbers]:
    """Measure each company once, those of a table in turns."""
    reference = min(reference_cpu_seconds() for _ in range(20))
    run: dict[str, Numbers] = {"machine": {"reference_us": reference * 1e6}}
    for table, those in companies.items():
        run[table] = {
            str(size): microseconds(company.decide, batches) for size, company in those.items()
        }
    return run


def report(machine: dict[str, Any], runs: list[dict[str, Numbers]]) -> str:
    """Return a table for each way to grow, as markdown, below a line on the machine."""
    reference = figure([run["machine"]["reference_us"] for run in runs])
    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}; median of {len(runs)} runs, ± half of (largest - smallest) over the "
        f"median; load before: {machine['load_before']}; "
        f"reference work: {reference.median:.0f} ±{reference.spread:.0%} µs"
    )
    parts = [head]
    for table, (label, sizes) in TABLES.items():
        costs = [figure([run[table][str(size)] for run in runs]) for size in sizes]
        rows = [
            [label, *(f"{size:,}" for size in sizes)],
            ["a decision and its hold, µs", *(f"{c.median:.1f} ±{c.spread:.0%}" for c in costs)],
        ]
        parts.append("\n".join(aligned(rows)))
    return "\n\n".join(parts)


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench/decisions_scale.py", description="Measure what a decision costs as all grows."
    )
    parser.add_argument("--runs", type=int, help=f"how many runs (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help="two short runs: a look only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    machine = describe()
    count = chosen.runs or (QUICK_RUNS if chosen.quick else RUNS)
    with pinned(choose_cores().system):
        companies = {
            table: {size: company_of(table, size) for size in sizes}
            for table, (_, sizes) in TABLES.items()
        }
        batches = QUICK_BATCHES if chosen.quick else BATCHES
        runs = [one_run(companies, batches) for _ in range(count)]
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "scale.json")
    data = {"machine": machine, "quick": chosen.quick, "runs": runs}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(data)))
    print(report(machine, runs))
    print(f"\nall numbers: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
