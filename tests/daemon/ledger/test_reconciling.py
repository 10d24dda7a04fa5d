"""The ledger beside exports with planted discrepancies: each is found, and named for what it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from msgspec import structs

from routerd.domain import Record, Usage
from routerd.ledger.comparing import Compared, compare
from routerd.ledger.exports import Invoice, InvoiceLine, invoice_of, read_export
from routerd.ledger.findings import explain_differences
from tests.daemon.ledger.book import book_of, bought, milliseconds

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"
CENT = 10_000_000
NOW_MS = milliseconds("2026-11-21T12:00")
SOL, LUNA, HAIKU = "openai/gpt-6.1-sol", "openai/gpt-6-luna", "anthropic/claude-haiku-4-5-20251001"
# An older call, so that the days that are compared are not the first of the ledger.
OLDEST = bought(0, "2026-11-01T12:00", SOL, 1)
# What the clean exports say, to the token.
DEAR = bought(1, "2026-11-18T09:00", SOL, 30 * CENT, Usage(100_000, 0, 0, 0, 10_000))
CACHED = bought(2, "2026-11-18T23:59", SOL, 125 * CENT // 10, Usage(50_000, 50_000, 0, 0, 2_000))
CHEAP = bought(3, "2026-11-18T12:00", LUNA, 3 * CENT, Usage(200_000, 0, 0, 0, 20_000))
LATER = bought(4, "2026-11-19T00:00", SOL, 20 * CENT, Usage(80_000, 0, 0, 0, 4_000))
LAST = bought(5, "2026-11-19T13:00", LUNA, 4 * CENT, Usage(100_000, 0, 0, 0, 60_000))
CLAUDE = bought(
    6, "2026-11-18T13:00", HAIKU, 29 * CENT, Usage(100_000, 200_000, 40_000, 10_000, 20_000)
)
FREE = bought(7, "2026-11-18T13:00", LUNA, 0, Usage(), free=True)
MADE_UP = bought(8, "2026-11-18T13:00", SOL, 999 * CENT, Usage(10**6), simulated=True)
RECORDS = [OLDEST, DEAR, CACHED, CHEAP, LATER, LAST, CLAUDE, MADE_UP]


def read(*names: str) -> Invoice:
    return invoice_of([read_export((EXPORTS / name).read_bytes()) for name in names])


def compared(
    invoice: Invoice, records: list[Record] = RECORDS, names: Mapping[str, str] | None = None
) -> list[Compared]:
    book = book_of(records)
    rows = compare(book, invoice, names or {})
    explain_differences(book, invoice, rows, NOW_MS)
    return rows


def differing(rows: list[Compared]) -> dict[str, tuple[float, list[str]]]:
    """Return the differences in cents, and what is said of them."""
    return {
        f"{row.day:%d} {row.model}": ((row.difference_nanodollars or 0) / CENT, row.reasons)
        for row in rows
        if not row.agrees
    }


@pytest.mark.parametrize(
    "names",
    [
        ["openai_costs_clean.json"],
        ["openai_usage_clean.json"],
        ["openai_costs_clean.json", "openai_usage_clean.json"],
        ["openai_dashboard_costs.csv", "openai_dashboard_usage.tsv"],
        ["anthropic_costs_clean.json"],
        ["anthropic_console_costs.csv"],
        ["anthropic_costs_clean.json", "anthropic_usage_clean.json"],
        ["anthropic_console_usage.csv"],
    ],
)
def test_a_clean_export_has_no_difference(names: list[str]) -> None:
    rows = compared(read(*names))
    assert rows
    assert differing(rows) == {}
    assert [row.reasons for row in rows] == [[]] * len(rows)


def test_a_call_that_is_missing_from_the_invoice() -> None:
    assert differing(compared(read("openai_costs_missing_call.json"))) == {
        "18 gpt-6.1-sol": (
            -30,
            [f"the difference is what call {DEAR.decision_id} cost: missing from the invoice?"],
        )
    }


def test_a_call_that_was_billed_twice() -> None:
    assert differing(compared(read("openai_costs_doubled_call.json"))) == {
        "19 gpt-6.1-sol": (
            20,
            [f"the difference is what call {LATER.decision_id} cost: billed twice?"],
        )
    }


def test_a_call_that_is_missing_from_the_ledger() -> None:
    records = [record for record in RECORDS if record is not CACHED]
    rows = compared(read("openai_costs_clean.json", "openai_usage_clean.json"), records)
    theirs = "150000 input, 50000 cache read, 12000 output"
    assert differing(rows) == {
        "18 gpt-6.1-sol": (
            12.5,
            [
                "the invoice counts 2 requests, the ledger 1",
                f"the invoice counts {theirs}, the ledger 100000 input, 10000 output",
            ],
        )
    }


def test_another_price() -> None:
    rows = compared(read("openai_costs_wrong_price.json", "openai_usage_clean.json"))
    assert differing(rows) == {
        "18 gpt-6-luna": (
            3,
            [
                "the tokens agree: a price or a discount differs (2 times the ledger's amount)",
            ],
        )
    }


def test_another_model() -> None:
    rows = compared(read("openai_costs_other_model.json", "openai_usage_other_model.json"))
    assert differing(rows) == {
        "18 gpt-6.1-terra": (
            30,
            [
                "the ledger has nothing of it that day: did another program use the account?",
                "at gpt-6-luna the same is missing the other way round",
            ],
        ),
        "18 gpt-6-luna": (
            -3,
            [
                "the invoice has nothing of it that day",
                f"the difference is what call {CHEAP.decision_id} cost: missing from the invoice?",
                "at gpt-6.1-terra the same is missing the other way round",
            ],
        ),
    }


def test_another_day() -> None:
    assert differing(compared(read("openai_costs_wrong_day.json"))) == {
        "18 gpt-6.1-sol": (20, ["on 2026-11-19 the same is missing the other way round"]),
        "19 gpt-6.1-sol": (
            -20,
            [
                "the invoice has nothing of it that day",
                f"the difference is what call {LATER.decision_id} cost: missing from the invoice?",
                "on 2026-11-18 the same is missing the other way round",
            ],
        ),
    }


def test_a_cache_discount_that_was_not_given() -> None:
    files = ["openai_costs_no_cache_discount.json", "openai_usage_no_cache_discount.json"]
    assert differing(compared(read(*files))) == {
        "18 gpt-6.1-sol": (
            9.5,
            ["50000 tokens of input were read from the cache here and not there"],
        )
    }
    # And where there are no costs to see it by.
    assert differing(compared(read(files[1]))) == {
        "18 gpt-6.1-sol": (
            0,
            ["50000 tokens of input were read from the cache here and not there"],
        )
    }


def test_what_is_no_model_is_no_matter_of_models() -> None:
    assert differing(compared(read("openai_costs_tool.json"))) == {
        "18 web search tool calls": (
            25,
            ["this is no model: nothing that routerd sends is billed so"],
        )
    }


def test_what_the_ledger_itself_does_not_know_for_sure() -> None:
    records = [
        OLDEST,
        structs.replace(DEAR, attempts=[structs.replace(DEAR.attempts[0], cost_basis="estimated")]),
        bought(9, "2026-11-18T12:00", SOL, None, Usage(50_000, 50_000, 0, 0, 2_000)),
        CHEAP,
        FREE,
        LATER,
        LAST,
    ]
    invoice = read("openai_costs_wrong_price.json")
    assert differing(compared(invoice, records)) == {
        "18 gpt-6.1-sol": (
            12.5,
            [
                "$0.30 of the ledger's amount are estimated",
                "1 requests have no known cost in the ledger",
            ],
        ),
        "18 gpt-6-luna": (
            3,
            [
                f"the difference is what call {CHEAP.decision_id} cost: billed twice?",
                "1 requests were counted on a free tier",
            ],
        ),
    }


def test_days_that_the_ledger_or_the_invoice_cannot_know() -> None:
    lines = [
        InvoiceLine(day=date(2026, 11, day), model="gpt-6.1-sol", nanodollars=10 * CENT)
        for day in (17, 18, 21)
    ]
    invoice = Invoice(
        provider="openai",
        lines=lines,
        first_day=lines[0].day,
        last_day=lines[-1].day,
        has_amounts=True,
        has_counts=False,
    )
    nothing = "the ledger has nothing of it that day: did another program use the account?"
    assert differing(compared(invoice, [DEAR])) == {
        "17 gpt-6.1-sol": (
            10,
            [nothing, "the ledger has nothing of any call before 2026-11-18"],
        ),
        "18 gpt-6.1-sol": (-20, ["it is the first day of the ledger"]),
        "21 gpt-6.1-sol": (10, [nothing, "the day is not over"]),
    }
    assert compared(invoice, [])[0].reasons[-1] == "the ledger has no calls at all"


def test_a_day_that_is_left_out_is_compared_with_nothing() -> None:
    invoice = structs.replace(read("openai_costs_clean.json"), left_out=[date(2026, 11, 18)])
    assert {row.day.day for row in compared(invoice)} == {19}


def test_an_export_that_does_not_tell_models_apart_is_compared_by_day() -> None:
    lines = [
        InvoiceLine(day=line.day, model="", nanodollars=line.nanodollars)
        for line in read("openai_costs_clean.json").lines
    ]
    invoice = structs.replace(read("openai_costs_clean.json"), lines=lines)
    rows = compared(invoice)
    assert [(row.day.day, row.model, row.agrees) for row in rows] == [
        (18, "gpt-6-luna + gpt-6.1-sol", True),
        (19, "gpt-6-luna + gpt-6.1-sol", True),
    ]


def test_a_deployment_is_known_by_the_provider_s_own_name_for_it() -> None:
    records = [OLDEST, bought(1, "2026-11-18T09:00", "openai/ours", 30 * CENT, Usage(1))]
    line = InvoiceLine(
        day=date(2026, 11, 18), model="gpt-6.1-sol-2026-10-01", nanodollars=30 * CENT
    )
    invoice = structs.replace(read("openai_costs_clean.json"), lines=[line], last_day=line.day)
    assert len(differing(compared(invoice, records))) == 2
    assert differing(compared(invoice, records, {"openai/ours": "gpt-6.1-sol"})) == {}


@pytest.mark.parametrize(("tolerance", "agrees"), [(3 * CENT, True), (3 * CENT - 1, False)])
def test_what_may_differ(tolerance: int, agrees: bool) -> None:
    invoice = read("openai_costs_wrong_price.json")
    rows = compared(structs.replace(invoice, tolerance_nanodollars=tolerance))
    assert all(row.agrees for row in rows) is agrees


def test_other_providers_and_days_are_left_alone() -> None:
    rows = compared(read("openai_costs_clean.json"))
    assert sum(row.ledger_nanodollars for row in rows) == int(69.5 * CENT)
    assert {row.day.day for row in rows} == {18, 19}
