"""Every shipped shortcut under the conditions that a router is judged by.

    python -m tests.daemon.decide.shortcuts        writes the table of them anew

Rules of this file: the real directory and all its providers, with a server on this machine that has
two models. What is expected stands in a table that a person reads when it changes.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import structs

from routerd.decide import Book, PolicyDocument, plan_call, refusal
from routerd.domain import BudgetRoom, Caller, Features, Kind, Plan, Snapshot
from routerd.models import Directory, load_directory
from routerd.settings import shipped_rules

__all__ = ["CONDITIONS", "Listed", "book", "features_for", "plan_under", "table"]

TABLE: Final = Path(__file__).parents[2] / "fixtures" / "plans" / "shortcuts.csv"
NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DOLLAR: Final = 1_000_000_000
LIMIT: Final = 100 * DOLLAR
CONDITIONS: Final = (
    "all healthy",
    "first provider down",
    "budget at 85 %",
    "budget at 85 %; critical",
    "budget at the cap",
    "private",
    "simple",
    "complex",
    "a server in the network",
)


class Listed(NamedTuple):
    """A model as a local server lists it."""

    id: str
    context_window: int | None
    kind: Kind | None = None


def directory() -> Directory:
    """The shipped directory, and a local server with two models."""
    models = (Listed("gpt-oss:20b", 131_072), Listed("qwen3:8b", 40_960))
    return load_directory().with_local_models("ollama", models)


def book(known: Directory | None = None) -> Book:
    """Every provider can be called, and nothing else is configured; the rules are the shipped."""
    known = known or directory()
    document = PolicyDocument(providers=tuple(known.providers), rules=shipped_rules())
    return Book(known, document)


@cache
def with_own_server(known: Book) -> Book:
    """Return a book that has a larger server too, in the network and not on this machine."""
    found = known.directory
    server = structs.replace(
        found.providers["vllm"], base_url="http://gpu.lan/v1", boundary="own-network"
    )
    listed = [Listed("openai/gpt-oss-120b", 131_072)]
    return book(found.with_provider(server).with_local_models("vllm", listed))


def features_for(known: Book, shortcut: str) -> Features:
    """Return a small call that is what the shortcut is for."""
    resolution = known.directory.resolve(shortcut)
    return Features(
        500,
        input_tokens_bound=2_000,
        kind=resolution.serves,
        images=1 if shortcut in ("vision", "ocr") else 0,
    )


def plan_under(known: Book, shortcut: str, condition: str) -> tuple[Plan, Snapshot]:
    """Plan a call to a shortcut under a condition."""
    features = features_for(known, shortcut)
    fields = {name: getattr(features, name) for name in Features.__struct_fields__}
    snapshot = Snapshot(NOW)
    match condition:
        case "first provider down":
            healthy, _ = plan_under(known, shortcut, "all healthy")
            down = healthy.routes[0].provider
            snapshot = Snapshot(NOW, unhealthy={down: "three failures in a row"})
        case "budget at 85 %" | "budget at 85 %; critical":
            snapshot = Snapshot(NOW, rooms=(room(85 * DOLLAR),))
            fields["critical"] = condition.endswith("critical")
        case "budget at the cap":
            snapshot = Snapshot(NOW, rooms=(room(LIMIT),))
        case "private":
            fields["sensitivity"] = "private"
        case "simple" | "complex":
            fields["flags"] = (condition,)
        case "a server in the network":
            known = with_own_server(known)
    return plan_call(known, shortcut, Features(**fields), Caller(), snapshot), snapshot


def room(spent: int) -> BudgetRoom:
    return BudgetRoom(
        "month", "all calls", "nanodollars", LIMIT, spent, 0, LIMIT * 8 // 10, NOW + 86_400
    )


def table() -> str:
    """Return who serves each shortcut under each condition, or with which code it is refused."""
    known = book()
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("shortcut", "condition", "primary", "backup", "secondary", "degraded"))
    for shortcut in known.directory.shortcuts:
        for condition in CONDITIONS:
            plan, snapshot = plan_under(known, shortcut, condition)
            served = [route.deployment for route in plan.routes]
            if not served:
                served = [f"refused: {refusal(plan, snapshot).code}"]
            degraded = plan.routes[0].degraded if plan.routes else ""
            served += [""] * (3 - len(served))
            rows.writerow((shortcut, condition, *served, degraded or ""))
    return written.getvalue()


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
