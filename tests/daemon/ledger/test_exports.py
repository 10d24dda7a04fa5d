"""Providers' exports: what each kind of file says, and that nothing in it is passed over."""

from __future__ import annotations

import json
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.ledger.exports import (
    BUCKETS,
    Invoice,
    InvoiceLine,
    MixedExports,
    UnknownExport,
    invoice_of,
    read_export,
)

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"
FIRST, SECOND = date(2026, 11, 18), date(2026, 11, 19)
SOL, LUNA = "gpt-6.1-sol-2026-10-01", "gpt-6-luna"
HAIKU = "claude-haiku-4-5-20251001"
CENT = 10_000_000
OPENAI_COSTS = {(FIRST, SOL): 42.5, (FIRST, LUNA): 3, (SECOND, SOL): 20, (SECOND, LUNA): 4}
OPENAI_TOKENS = {
    (FIRST, SOL): [150_000, 50_000, 0, 0, 12_000, 2],
    (FIRST, LUNA): [200_000, 0, 0, 0, 20_000, 1],
    (SECOND, SOL): [80_000, 0, 0, 0, 4_000, 1],
    (SECOND, LUNA): [100_000, 0, 0, 0, 60_000, 1],
}
ANTHROPIC_TOKENS = [100_000, 200_000, 40_000, 10_000, 20_000, None]


def read(name: str) -> Invoice:
    export = read_export((EXPORTS / name).read_bytes())
    assert (export.unread, export.notes) == ((), ())
    return invoice_of([export])


def costs(invoice: Invoice) -> dict[tuple[date, str], float]:
    return {(line.day, line.model): (line.nanodollars or 0) / CENT for line in invoice.lines}


def counts(line: InvoiceLine) -> list[int | None]:
    return [*(getattr(line, bucket) for bucket in BUCKETS), line.requests]


@pytest.mark.parametrize("name", ["openai_costs_clean.json", "openai_dashboard_costs.csv"])
def test_costs_of_openai(name: str) -> None:
    invoice = read(name)
    assert (invoice.provider, invoice.has_amounts, invoice.has_counts) == ("openai", True, False)
    assert costs(invoice) == OPENAI_COSTS
    # The last day of the CSV says that nothing was billed.
    assert (invoice.first_day, invoice.last_day.day) == (FIRST, 20 if "csv" in name else 19)


@pytest.mark.parametrize("name", ["openai_usage_clean.json", "openai_dashboard_usage.tsv"])
def test_usage_of_openai(name: str) -> None:
    invoice = read(name)
    assert (invoice.provider, invoice.has_amounts, invoice.has_counts) == ("openai", False, True)
    assert {(line.day, line.model): counts(line) for line in invoice.lines} == OPENAI_TOKENS


@pytest.mark.parametrize(
    ("name", "model"),
    [("anthropic_costs_clean.json", HAIKU), ("anthropic_console_costs.csv", "Claude Haiku 4.5")],
)
def test_costs_of_anthropic(name: str, model: str) -> None:
    invoice = read(name)
    assert (invoice.provider, invoice.has_amounts, invoice.has_counts) == ("anthropic", True, False)
    assert costs(invoice) == {(FIRST, model): 29}


@pytest.mark.parametrize("name", ["anthropic_usage_clean.json", "anthropic_console_usage.csv"])
def test_usage_of_anthropic(name: str) -> None:
    invoice = read(name)
    assert (invoice.provider, invoice.has_amounts, invoice.has_counts) == ("anthropic", False, True)
    assert [counts(line) for line in invoice.lines] == [ANTHROPIC_TOKENS]


def openai_costs(*results: Any, **page: Any) -> bytes:
    bucket = {"object": "bucket", "start_time": 1794960000, "results": results}
    return json.dumps({"object": "page", "data": [bucket], **page}).encode()


def openai_cost(line_item: str | None, value: Any = 1, **more: Any) -> dict[str, Any]:
    return {"amount": {"value": value, "currency": "usd"}, "line_item": line_item, **more}


def page_of(time: str, result: dict[str, Any]) -> bytes:
    """Return a page with one result, as OpenAI (`start_time`) or Anthropic (`starting_at`) do."""
    at = {"start_time": 1794960000, "starting_at": "2026-11-18T00:00:00Z"}[time]
    return json.dumps({"data": [{time: at, "results": [result]}]}).encode()


@pytest.mark.parametrize(
    ("line_item", "model", "item", "bucket"),
    [
        ("gpt-6.1-sol, input", "gpt-6.1-sol", "", "input_tokens"),
        ("gpt-6.1-sol, cached input", "gpt-6.1-sol", "", "cache_read_tokens"),
        ("gpt-6.1-sol, cache writes", "gpt-6.1-sol", "", "cache_write_tokens"),
        ("priority | gpt-6.1-sol, output, long context", "gpt-6.1-sol", "", "output_tokens"),
        ("gpt-audio-mini audio, input", "gpt-audio-mini", "", "input_tokens"),
        ("whisper-1, minutes", "whisper-1", "", None),
        ("web search tool calls", "", "web search tool calls", None),
        ("assistants api | file search", "", "assistants api | file search", None),
        (", input", "", ", input", "input_tokens"),
        (None, "", "", None),
    ],
)
def test_a_line_item_is_taken_apart(
    line_item: str | None, model: str, item: str, bucket: str | None
) -> None:
    (amounts,) = read_export(openai_costs(openai_cost(line_item, quantity=7.0))).amounts
    assert (amounts.model, amounts.item) == (model, item)
    assert amounts.counts == ({bucket: 7} if bucket is not None else {})


def test_quantities_are_tokens_where_every_model_has_them() -> None:
    kinds = ("input", "output")
    page = openai_costs(*(openai_cost(f"gpt-6.1-sol, {kind}", quantity=5) for kind in kinds))
    invoice = invoice_of([read_export(page)])
    assert invoice.has_counts
    assert [counts(line) for line in invoice.lines] == [[5, None, None, None, 5, None]]
    # Where usage was exported too, it says how many there were; costs would count them twice.
    usage = read_export((EXPORTS / "openai_usage_clean.json").read_bytes())
    invoice = invoice_of([read_export(page), usage])
    assert {line.model: line.input_tokens for line in invoice.lines}["gpt-6.1-sol"] is None


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (openai_costs(openai_cost("a, input", None)), "bucket 1, result 1: it has no amount"),
        (openai_costs(openai_cost("a, input", "x")), "bucket 1, result 1: 'x' is no amount"),
        (openai_costs(openai_cost("a", "1e99")), "bucket 1, result 1: '1e99' is no amount"),
        (openai_costs({"amount": 5}), "bucket 1, result 1: amount is no object"),
        (
            openai_costs(openai_cost("a"), {"amount": {"value": 1, "currency": "eur"}}),
            "bucket 1, result 2: its amount is in eur",
        ),
        (openai_costs(openai_cost("a"), "x"), "bucket 1, result 2: it is no object"),
        (
            openai_costs(openai_cost("a, input", 1, quantity=0.5)),
            "bucket 1, result 1: quantity is Decimal('0.5')",
        ),
        (
            b'{"data": [{"start_time": "soon", "results": [{"amount": {"value": 1}}]}]}',
            "bucket 1: 'soon' is no time",
        ),
        (b'{"data": [{"start_time": 1, "results": 5}]}', "bucket 1: it has no results"),
        (
            page_of("start_time", {"num_model_requests": 1}),
            "bucket 1, result 1: it has no input_tokens or no output_tokens",
        ),
        (
            page_of(
                "start_time",
                {"num_model_requests": 1, "input_tokens": 5, "input_cached_tokens": 6}
                | {"output_tokens": 1},
            ),
            "bucket 1, result 1: more of its input was cached than its 5 input_tokens",
        ),
        (page_of("starting_at", {"amount": None}), "bucket 1, result 1: None is no amount"),
        (
            page_of("starting_at", {"uncached_input_tokens": -1, "output_tokens": 1}),
            "bucket 1, result 1: uncached_input_tokens is -1",
        ),
        (b"amount_value,start_time\n1,1794960000,x\n", "line 2: it has not 2 columns"),
        (b"amount_value,start_time\n1\n", "line 2: it has not 2 columns"),
        (b"amount_value,start_time,line_item\n,1,a\n", "line 2: 'a' has no amount"),
        (b"usage_date_utc,cost_usd\nyesterday,1\n", "line 2: 'yesterday' is no time"),
        (
            b"usage_date_utc,usage_input_tokens_no_cache,usage_output_tokens\n2026-11-18,,1\n",
            "line 2: it has no input or no output tokens",
        ),
    ],
)
def test_a_row_that_makes_no_sense_is_named(data: bytes, complaint: str) -> None:
    assert read_export(data).unread == (complaint,)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "it is no export of a provider; known are OpenAI's"),
        (b"a,b\n1,2\n", "it is no export of a provider"),
        (b"{}", "it is no export of a provider"),
        (b"[]", "it is no export of a provider"),
        (b'{"data": [{"results": []}]}', "it is no export of a provider"),
        (b"{", "it is no JSON"),
        (b'{"data": NaN}', "NaN is no number"),
        (b"\xff\xfe", "it is no text"),
        (b'cost_usd\n"' + b"x" * 200_000 + b'"\n', "it is no CSV"),
    ],
)
def test_another_file_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(UnknownExport, match=complaint):
        read_export(data)


@given(st.binary(max_size=60) | st.text('{}[]",:1ae\n', max_size=60).map(str.encode))
def test_whatever_a_file_holds_it_is_read_or_refused(data: bytes) -> None:
    try:
        read_export(data)
    except UnknownExport:
        return


def test_a_page_that_goes_on_says_so_and_several_are_one_invoice() -> None:
    page = json.loads(openai_costs(openai_cost("a, input"), has_more=True))
    export = read_export(json.dumps(page).encode())
    assert export.notes == ("the export goes on: fetch the next page too (has_more is true)",)
    last = page | {"has_more": False}
    assert read_export(json.dumps([page, last]).encode()).notes == ()
    next_page = read_export(json.dumps(last).replace("a, input", "b, input").encode())
    lines = invoice_of([export, next_page]).lines
    assert [line.nanodollars for line in lines] == [100 * CENT, 100 * CENT]
    with pytest.raises(MixedExports):
        invoice_of([export, export])


@given(
    st.lists(st.decimals(-10, 10, places=15, allow_nan=False), min_size=1, max_size=20),
)
def test_a_sum_is_exact_and_rounded_once(amounts: list[Any]) -> None:
    page = openai_costs(*(openai_cost("a, input", str(amount)) for amount in amounts))
    (line,) = invoice_of([read_export(page)]).lines
    exact = sum(map(Fraction, amounts), Fraction(0)) * 1_000_000_000
    assert line.nanodollars is not None
    assert Fraction(-1, 2) < line.nanodollars - exact <= Fraction(1, 2)


def test_costs_and_usage_are_about_the_days_they_share() -> None:
    one = read_export((EXPORTS / "openai_dashboard_costs.csv").read_bytes())
    other = read_export((EXPORTS / "openai_usage_clean.json").read_bytes())
    invoice = invoice_of([one, other])
    assert (invoice.first_day, invoice.last_day) == (FIRST, SECOND)
    (line,) = (line for line in invoice.lines if (line.day, line.model) == (FIRST, SOL))
    assert (line.nanodollars, line.requests) == (42 * CENT + CENT // 2, 2)
    asked = invoice_of([one, other], provider="mine", first_day=SECOND, last_day=SECOND)
    assert (asked.provider, {line.day for line in asked.lines}) == ("mine", {SECOND})


def test_a_page_that_is_missing_in_the_middle_is_no_bill_of_nothing() -> None:
    page = json.loads(openai_costs(openai_cost("a, input")))
    (bucket,) = page["data"]

    def days(*numbers: int, results: bool = True) -> bytes:
        buckets = [
            bucket
            | {"start_time": bucket["start_time"] + number * 86400}
            | ({} if results else {"results": []})
            for number in numbers
        ]
        return json.dumps(page | {"data": buckets}).encode()

    start = invoice_of([read_export(days(0))]).first_day
    exports = [read_export(days(0, 1)), read_export(days(4, 6))]
    left_out = [start + timedelta(days=number) for number in (2, 3, 5)]
    assert invoice_of(exports).left_out == left_out
    # Days that were asked for and had nothing are known.
    whole = [
        *exports,
        read_export(
            json.dumps([json.loads(days(2, 3, 5, results=False)), json.loads(days(6))])
            .replace("a, input", "b, input")
            .encode()
        ),
    ]
    assert invoice_of(whole).left_out == []
    # Each kind must be about a day for it to be compared.
    usage = read_export((EXPORTS / "openai_usage_clean.json").read_bytes())
    costs_of_edges = structs.replace(
        read_export((EXPORTS / "openai_costs_clean.json").read_bytes()), days=frozenset({FIRST})
    )
    assert invoice_of([usage, costs_of_edges]).left_out == [SECOND]


def test_rows_of_a_dashboard_need_not_mention_a_day() -> None:
    text = b"usage_date_utc,model,cost_usd,cost_type\n" + b"".join(
        b"2026-11-%02d,claude,1,token\n" % day for day in (1, 5)
    )
    assert invoice_of([read_export(text)]).left_out == []


def test_a_day_that_was_mistyped_makes_no_invoice_of_a_thousand_years() -> None:
    text = b"usage_date_utc,model,cost_usd,cost_type\n2026-11-01,a,1,token\n9026-11-01,a,1,token\n"
    with pytest.raises(MixedExports, match="all days from 2026-11-01 to 9026-11-01"):
        invoice_of([read_export(text)])


def test_exports_that_make_no_invoice() -> None:
    one = read_export((EXPORTS / "openai_costs_clean.json").read_bytes())
    other = read_export((EXPORTS / "anthropic_costs_clean.json").read_bytes())
    with pytest.raises(MixedExports, match="several providers: anthropic, openai"):
        invoice_of([one, other])
    with pytest.raises(MixedExports, match="no day"):
        invoice_of([read_export(b"usage_date_utc,cost_usd\n")])
    with pytest.raises(MixedExports, match="no day"):
        invoice_of([one], first_day=SECOND, last_day=FIRST)


def test_days_that_an_export_is_not_about_are_left_out() -> None:
    export = read_export((EXPORTS / "openai_costs_clean.json").read_bytes())
    whole = invoice_of([export])
    asked = invoice_of([export], first_day=date(2020, 1, 1), last_day=date(2040, 1, 1))
    assert (asked.first_day, asked.last_day) == (whole.first_day, whole.last_day)
