"""What providers say they bill: their exports, recognised by content and read into lines.

Rules of this room: pure parsers. A file is recognised by what is in it, whatever it is called. One
that is none of the known exports is refused; a row of a known one that makes no sense is named.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, NoReturn

from routerd.ledger.exports import anthropic, openai
from routerd.ledger.exports.invoice import (
    BUCKETS,
    Invoice,
    InvoiceLine,
    MixedExports,
    invoice_of,
)
from routerd.ledger.exports.lines import Export, Kind, OddRow, Reading

__all__ = [
    "BUCKETS",
    "Export",
    "Invoice",
    "InvoiceLine",
    "MixedExports",
    "UnknownExport",
    "invoice_of",
    "read_export",
]


class Table(NamedTuple):
    """A kind of CSV file; `mark` is a column that no other has."""

    vendor: str
    kind: Kind
    mark: str
    read: Callable[[Reading, Mapping[str, str]], None]


class Page(NamedTuple):
    """A kind of answer of an API; `time` is a name in its buckets, `mark` one in its results."""

    vendor: str
    kind: Kind
    time: str
    mark: str
    read: Callable[[Reading, Mapping[str, Any], list[Mapping[str, Any]], str], None]


TABLES: Final = (
    Table(openai.VENDOR, "costs", "amount_value", openai.read_cost_row),
    Table(openai.VENDOR, "usage", "num_model_requests", openai.read_usage_row),
    Table(anthropic.VENDOR, "costs", "cost_usd", anthropic.read_cost_row),
    Table(anthropic.VENDOR, "usage", "usage_input_tokens_no_cache", anthropic.read_usage_row),
)
PAGES: Final = (
    Page(openai.VENDOR, "costs", "start_time", "amount", openai.read_costs),
    Page(openai.VENDOR, "usage", "start_time", "num_model_requests", openai.read_usage),
    Page(anthropic.VENDOR, "costs", "starting_at", "amount", anthropic.read_costs),
    Page(anthropic.VENDOR, "usage", "starting_at", "uncached_input_tokens", anthropic.read_usage),
)
KNOWN: Final = (
    "known are OpenAI's organization/costs and organization/usage/completions, Anthropic's "
    "cost_report and usage_report/messages as JSON, and the CSV files of both dashboards"
)


class UnknownExport(Exception):  # noqa: N818 - it says what was found
    """The file is none of the exports that are known."""


def read_export(data: bytes) -> Export:
    """Read a file; UnknownExport where it is none that is known."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnknownExport(f"it is no text; {KNOWN}") from None
    if text.lstrip()[:1] in ("{", "["):
        return _read_pages(text)
    try:
        return _read_table(text)
    except csv.Error as error:
        raise UnknownExport(f"it is no CSV: {error}") from None


def _read_pages(text: str) -> Export:
    """Read a page of an API, or a list of several."""
    try:
        pages = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except ValueError as error:
        raise UnknownExport(f"it is no JSON: {error}") from None
    pages = pages if isinstance(pages, list) else [pages]
    buckets = [bucket for page in pages for bucket in _list(page, "data")]
    page = _recognise(buckets)
    reading = Reading(page.vendor, page.kind)
    if isinstance(pages[-1], dict) and pages[-1].get("has_more"):
        reading.notes.append("the export goes on: fetch the next page too (has_more is true)")
    for number, bucket in enumerate(buckets, 1):
        name = f"bucket {number}"
        with reading.row(name):
            if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
                raise OddRow("it has no results")
            page.read(reading, bucket, _objects(reading, bucket["results"], name), name)
    # A day without anything has its bucket too.
    return reading.export(every_day=True)


def _recognise(buckets: list[Any]) -> Page:
    """Find out whose pages these are, by the first result that says so."""
    known = [bucket for bucket in buckets if isinstance(bucket, dict)]
    for page in PAGES:
        marks = (result for bucket in known for result in _list(bucket, "results"))
        if any(page.time in bucket for bucket in known) and any(
            isinstance(mark, dict) and page.mark in mark for mark in marks
        ):
            return page
    # Nothing says what it is about: it must not pass for a bill of nothing.
    for page in PAGES:
        if page.kind == "usage" and any(page.time in bucket for bucket in known):
            return page
    raise UnknownExport(f"it is no export of a provider; {KNOWN}")


def _objects(reading: Reading, results: list[Any], name: str) -> list[Mapping[str, Any]]:
    """Return the results of a bucket; those that are no objects are named."""
    for number, result in enumerate(results, 1):
        with reading.row(f"{name}, result {number}"):
            if not isinstance(result, dict):
                raise OddRow("it is no object")
    return [result for result in results if isinstance(result, dict)]


def _read_table(text: str) -> Export:
    first_line = text.lstrip().partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in first_line else ",")
    columns = [name.strip() for name in rows.fieldnames or ()]
    rows.fieldnames = columns
    table = next((table for table in TABLES if table.mark in columns), None)
    if table is None:
        raise UnknownExport(f"it is no export of a provider; {KNOWN}")
    reading = Reading(table.vendor, table.kind)
    for row in rows:
        with reading.row(f"line {rows.line_num}"):
            if None in row or None in row.values():
                raise OddRow(f"it has not {len(columns)} columns")
            cells = {name: cell.strip() for name, cell in row.items()}
            if any(cells.values()):
                table.read(reading, cells)
    return reading.export(every_day=False)


def _list(holder: Any, name: str) -> list[Any]:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
