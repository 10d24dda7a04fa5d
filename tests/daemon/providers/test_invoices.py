"""Golden invoices: what vendors report, through the real decoders, to the nanodollar.

The tables are in fixtures/invoices. genai-prices, which reads the same answers with a parser and
prices of its own, is asked as an oracle.
"""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec
import pytest

from routerd.domain import Usage
from routerd.models import cost, load_directory
from routerd.providers.base import Outcome
from routerd.providers.registry import build_adapter
from tests.daemon.providers.drive import FIXTURES, decode

DIRECTORY = load_directory()
VENDORS = ("openai", "anthropic", "mistral", "cohere")
# A vendor's other wire format, and whose prices hold.
OTHER_WIRES = {"openai-responses": "openai"}
# The shipped prices are of this day.
AS_OF = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
# What its reader of usage calls the wire formats.
FLAVORS: Final = {
    **dict.fromkeys(VENDORS, "default"),
    "openai": "chat",
    "openai-responses": "responses",
}


class Invoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a table; raw JSON in `usage` and `stream`."""

    name: str
    model: str
    usage: str | None = None
    stream: list[str] | None = None
    nanodollars: int | None = None
    early_nanodollars: int | None = None
    differs: str | None = None
    vendor: str = ""

    @property
    def was_cut(self) -> bool:
        return self.usage is None

    @property
    def provider(self) -> str:
        return OTHER_WIRES.get(self.vendor, self.vendor)


def invoices() -> list[Invoice]:
    names = (*VENDORS, *OTHER_WIRES)
    texts = {name: (FIXTURES / "invoices" / f"{name}.toml").read_text() for name in names}
    return [
        msgspec.convert(row | {"vendor": vendor}, Invoice)
        for vendor, text in texts.items()
        for row in tomllib.loads(text)["invoices"]
    ]


INVOICES = invoices()
WHOLE = [invoice for invoice in INVOICES if not invoice.was_cut]
CUT = [invoice for invoice in INVOICES if invoice.was_cut]


def ids(chosen: list[Invoice]) -> list[str]:
    return [f"{invoice.vendor}: {invoice.name}" for invoice in chosen]


def plain_answer(invoice: Invoice) -> dict[str, Any]:
    """Return the least answer of the vendor that carries the usage."""
    usage = json.loads(invoice.usage or "null")
    if invoice.vendor == "anthropic":
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": invoice.model,
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn",
            "usage": usage,
        }
    if invoice.vendor == "cohere":
        content = [{"type": "text", "text": "Hello"}]
        message = {"role": "assistant", "content": content}
        # The model is for the oracle's reader: the answer does not name it.
        return {"finish_reason": "COMPLETE", "message": message, "usage": usage} | {
            "model": invoice.model
        }
    if invoice.vendor == "openai-responses":
        part = {"type": "output_text", "text": "Hello", "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}
        answer = {"id": "resp_1", "object": "response", "status": "completed", "output": [item]}
        return answer | {"model": invoice.model, "usage": usage}
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "Hello"},
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": invoice.model,
        "choices": [choice],
        "usage": usage,
    }


def streamed_answer(invoice: Invoice) -> bytes:
    written = {
        "anthropic": anthropic_events,
        "cohere": cohere_events,
        "openai-responses": responses_events,
    }
    return b"".join(written.get(invoice.vendor, chat_events)(invoice))


def responses_events(invoice: Invoice) -> list[bytes]:
    opened = {"id": "resp_1", "status": "in_progress", "model": invoice.model, "usage": None}
    place = {"output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": opened},
        {"type": "response.output_text.delta", **place, "delta": "Hello"},
    ]
    if not invoice.was_cut:
        events.append({"type": "response.completed", "response": plain_answer(invoice)})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def cohere_events(invoice: Invoice) -> list[bytes]:
    said = {"message": {"content": {"text": "Hello"}}}
    events: list[dict[str, Any]] = [{"type": "content-delta", "index": 0, "delta": said}]
    if not invoice.was_cut:
        end = {"finish_reason": "COMPLETE", "usage": json.loads(invoice.usage or "null")}
        events.append({"type": "message-end", "delta": end})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def anthropic_events(invoice: Invoice) -> list[bytes]:
    first, *later = [json.loads(usage) for usage in invoice.stream or []]
    message = {"id": "msg_1", "role": "assistant", "model": invoice.model, "content": []}
    delta = {"stop_reason": "end_turn"}
    text = {"type": "text_delta", "text": "Hello"}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message | {"usage": first}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": text},
    ]
    if not invoice.was_cut:
        events.append({"type": "content_block_stop", "index": 0})
        events += [{"type": "message_delta", "delta": delta, "usage": usage} for usage in later]
        events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def chat_events(invoice: Invoice) -> list[bytes]:
    usage = json.loads(invoice.usage or "null")
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": invoice.model}
    said = {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks: list[dict[str, Any]] = [{"choices": [said], "usage": None}]
    if invoice.was_cut:
        pass
    elif invoice.vendor == "mistral":
        # It reports on the chunk that finishes; OpenAI on one of its own behind it.
        chunks.append({"choices": [end], "usage": usage})
    else:
        chunks += [{"choices": [end], "usage": None}, {"choices": [], "usage": usage}]
    events = [f"data: {json.dumps(common | chunk)}\n\n".encode() for chunk in chunks]
    return events if invoice.was_cut else [*events, b"data: [DONE]\n\n"]


def outcome_of(invoice: Invoice, *, stream: bool) -> Outcome:
    provider = DIRECTORY.providers[invoice.provider]
    wire = invoice.vendor if invoice.vendor in OTHER_WIRES else provider.adapter
    adapter = build_adapter(wire, provider.dialect)
    body = streamed_answer(invoice) if stream else json.dumps(plain_answer(invoice)).encode()
    _, outcome = decode(adapter, [body], stream=stream)
    return outcome


def cost_of(invoice: Invoice, usage: Usage | None) -> int | None:
    if usage is None:
        return None
    price = DIRECTORY.deployments[f"{invoice.provider}/{invoice.model}"].price
    return cost(price.at(AS_OF.date()) if price is not None else None, usage)


@pytest.mark.parametrize("invoice", WHOLE, ids=ids(WHOLE))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_an_answer_costs_what_the_invoice_says(invoice: Invoice, stream: bool) -> None:
    outcome = outcome_of(invoice, stream=stream)
    assert outcome.complete
    assert outcome.notes == []
    assert cost_of(invoice, outcome.usage) == invoice.nanodollars
    # Not reported is not zero.
    assert (outcome.usage is None) == (json.loads(invoice.usage or "null") is None)


@pytest.mark.parametrize("invoice", WHOLE, ids=ids(WHOLE))
def test_streamed_and_plain_answers_report_the_same(invoice: Invoice) -> None:
    assert outcome_of(invoice, stream=True).usage == outcome_of(invoice, stream=False).usage


@pytest.mark.parametrize("invoice", CUT, ids=ids(CUT))
def test_an_answer_that_was_cut_reports_what_came_before(invoice: Invoice) -> None:
    outcome = outcome_of(invoice, stream=True)
    assert not outcome.complete
    assert outcome.usage is None
    assert cost_of(invoice, outcome.early_usage) == invoice.early_nanodollars


@pytest.fixture
def genai() -> Any:
    return pytest.importorskip(
        "genai_prices", reason="not installed: requirements-vendors.lock has it"
    )


def told_by_the_oracle(genai: Any, invoice: Invoice) -> int:
    extracted = genai.extract_usage(
        plain_answer(invoice), provider_id=invoice.provider, api_flavor=FLAVORS[invoice.vendor]
    )
    dollars: Decimal = extracted.calc_price(genai_request_timestamp=AS_OF).total_price
    return int((dollars * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_UP))


REPORTED = [invoice for invoice in WHOLE if invoice.usage != "null"]


@pytest.mark.parametrize("invoice", REPORTED, ids=ids(REPORTED))
def test_genai_prices_comes_to_the_same_unless_the_table_says_why_not(
    invoice: Invoice, genai: Any
) -> None:
    told = told_by_the_oracle(genai, invoice)
    if invoice.differs is None:
        assert told == invoice.nanodollars
    else:
        # An explanation of what is not so would be in the way.
        assert told != invoice.nanodollars


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_priced_model_of_a_vendor_costs_what_genai_prices_says(
    vendor: str, genai: Any
) -> None:
    asked = 0
    for deployment in DIRECTORY.deployments.values():
        if deployment.provider != vendor or deployment.price is None:
            continue
        # What makes vectors writes nothing, and keeps nothing in a cache.
        read, written = (500, 200) if deployment.kind == "chat" else (0, 0)
        read = read if deployment.price.cache_read is not None else 0
        usage = Usage(input_tokens=1_500 - read, cache_read_tokens=read, output_tokens=written)
        try:
            calculated = genai.calc_price(
                genai.Usage(input_tokens=1_500, cache_read_tokens=read, output_tokens=written),
                model_ref=deployment.provider_model,
                provider_id=vendor,
                genai_request_timestamp=AS_OF,
            )
        except LookupError:
            assert deployment.kind != "chat", f"genai-prices knows no {deployment.id}"
            continue  # it knows hardly any models that embed or rank
        assert cost(deployment.price, usage) == int(calculated.total_price * 10**9), deployment.id
        asked += 1
    assert asked >= 2
