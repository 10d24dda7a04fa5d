"""Cohere's own client against the simulator: it reads there what the router's adapter reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import httpx
import msgspec
import pytest
from msgspec.structs import replace

from routerd.domain import Part, Usage
from routerd.providers.base import Outcome
from routerd.providers.cohere import CohereAdapter
from routerd.simulate import Fault, Pacing, Simulator, expected_text
from routerd_proto.content import Document, Message, Text, Tool
from routerd_proto.frames import CitationAdded, LogprobsAdded
from tests.daemon.providers.drive import ABLE, calls_in, decode, reasoning_in, request, text_in

cohere = pytest.importorskip(
    "cohere", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)

ADAPTER = CohereAdapter()
MODEL = "command-a-plus-05-2026"
SAID = "Describe the lantern."
TOKENS = 60
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("get_weather", "", CITY), Tool("get_tides", "", CITY)]
DOCUMENT = Document(data=b"It is old.", media_type="text/plain", title="Lantern")
CASES: dict[str, dict[str, Any]] = {
    "text": {},
    "thinking": {"reasoning": "medium"},
    "tools": {"tools": TOOLS, "said": "Call both tools"},
    "thinking before tools": {"tools": TOOLS, "said": "Call both tools", "reasoning": "low"},
    "documents": {"said": [DOCUMENT, Text(SAID)]},
    "schema": {"output_schema": CITY},
    "logprobs": {"logprobs": 0, "capabilities": replace(ABLE, logprobs=True)},
    "limit": {"max_output_tokens": 5},
    # The second to ask is told of the cache, which changes nothing in what is billed.
    "cached": {"said": "Describe the lantern in the harbour. " * 200},
}


class Read:
    """What a reader made of an answer, whoever it was."""

    def __init__(self) -> None:
        self.text = self.reasoning = self.plan = ""
        self.calls: list[list[str]] = []
        self.citations: list[Any] = []
        self.logprobs: list[tuple[str, float]] = []
        self.finish = ""
        self.billed: tuple[float, float] = (-1, -1)

    def add_usage(self, usage: Any) -> None:
        self.billed = usage.billed_units.input_tokens, usage.billed_units.output_tokens


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["cohere"], pacing=Pacing(output_tokens=TOKENS)) as running:
        yield running


def body_of(case: dict[str, Any], *, stream: bool) -> tuple[bytes, dict[str, Any]]:
    """Return a request as the adapter writes it, as bytes and as the client takes it."""
    options = dict(case)
    said = options.pop("said", SAID)
    body = ADAPTER.encode(request(MODEL, [Message("user", said)], stream=stream, **options)).body
    fields = msgspec.json.decode(body)
    fields.pop("stream", None)
    return body, fields


@contextmanager
def client_of(simulator: Simulator) -> Iterator[Any]:
    with httpx.Client(trust_env=False, timeout=10.0) as opened:
        base_url = f"{simulator.base_url}/cohere"
        yield cohere.ClientV2(api_key="test", base_url=base_url, httpx_client=opened)


def by_the_client(simulator: Simulator, fields: dict[str, Any], *, stream: bool) -> Read:
    read = Read()
    with client_of(simulator) as client:
        if stream:
            for event in client.chat_stream(**fields):
                take_event(read, event)
            return read
        answer = client.chat(**fields)
    for item in answer.message.content or ():
        read.text += item.text if item.type == "text" else ""
        read.reasoning += item.thinking if item.type == "thinking" else ""
    read.plan = answer.message.tool_plan or ""
    for call in answer.message.tool_calls or ():
        read.calls.append([call.id, call.function.name, call.function.arguments])
    read.citations = [plain(citation) for citation in answer.message.citations or ()]
    read.logprobs = [(item.text, sum(item.logprobs)) for item in answer.logprobs or ()]
    read.finish = answer.finish_reason
    read.add_usage(answer.usage)
    return read


def take_event(read: Read, event: Any) -> None:
    message: Any = getattr(getattr(event, "delta", None), "message", None)
    if event.type == "content-delta":
        read.text += message.content.text or ""
        read.reasoning += message.content.thinking or ""
        if event.logprobs is not None:
            read.logprobs.append((event.logprobs.text, sum(event.logprobs.logprobs)))
    elif event.type == "tool-plan-delta":
        read.plan += message.tool_plan
    elif event.type == "tool-call-start":
        call = message.tool_calls
        read.calls.append([call.id, call.function.name, call.function.arguments])
    elif event.type == "tool-call-delta":
        read.calls[event.index][2] += message.tool_calls.function.arguments
    elif event.type == "citation-start":
        read.citations.append(plain(message.citations))
    elif event.type == "message-end":
        read.finish = event.delta.finish_reason
        read.add_usage(event.delta.usage)


def plain(citation: Any) -> Any:
    return citation.model_dump(exclude_unset=True)


async def by_the_adapter(
    simulator: Simulator, body: bytes, *, stream: bool
) -> tuple[list[Part], Outcome]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{simulator.base_url}/cohere/v2/chat",
            headers=ADAPTER.authorize("test"),
            content=body,
        )
    return decode(ADAPTER, [answer.content], stream=stream)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_both_read_the_same(simulator: Simulator, case: Any, stream: bool) -> None:
    body, fields = body_of(case, stream=stream)
    read = await anyio.to_thread.run_sync(lambda: by_the_client(simulator, fields, stream=stream))
    parts, outcome = await by_the_adapter(simulator, body, stream=stream)
    assert text_in(parts) == read.text
    assert reasoning_in(parts) == read.reasoning + read.plan
    # The ids of two answers differ; what comes before their number does not.
    called = [(call_id.rpartition("_")[0], *call) for call_id, *call in calls_in(parts)]
    assert called == [(call_id.rpartition("_")[0], *call) for call_id, *call in read.calls]
    cited = [part.citation for part in parts if isinstance(part, CitationAdded)]
    assert cited == read.citations
    told = [part for part in parts if isinstance(part, LogprobsAdded)]
    assert [(one.token, one.logprob) for part in told for one in part.tokens] == read.logprobs
    assert bool(told) == ("logprobs" in case)
    billed, made = map(int, read.billed)
    assert outcome.usage == Usage(input_tokens=billed, output_tokens=made)
    assert (simulator.account.total.cached_tokens > 0) == (case is CASES["cached"])
    finishes = {"COMPLETE": "stop", "TOOL_CALL": "tool_calls", "MAX_TOKENS": "length"}
    assert outcome.finish == finishes[read.finish]
    assert read.text or read.calls


async def test_the_words_are_the_expected_ones(simulator: Simulator) -> None:
    _, fields = body_of({}, stream=False)
    read = await anyio.to_thread.run_sync(lambda: by_the_client(simulator, fields, stream=False))
    assert (read.text, read.finish) == (expected_text(MODEL, SAID, TOKENS), "COMPLETE")
    assert read.billed[1] == TOKENS


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "BadRequestError"),
        (401, "UnauthorizedError"),
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "TooManyRequestsError"),
        (498, "InvalidTokenError"),
        (499, "ClientClosedRequestError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
        (504, "GatewayTimeoutError"),
    ],
)
async def test_errors(simulator: Simulator, status: int, error: str) -> None:
    simulator.script.replace([Fault(kind="status", status=status)])
    _, fields = body_of({}, stream=False)
    options = {"max_retries": 0}

    def call() -> Any:
        with client_of(simulator) as client:
            return client.chat(**fields, request_options=options)

    with pytest.raises(getattr(cohere, error)) as raised:
        await anyio.to_thread.run_sync(call)
    assert raised.value.body["message"]


async def test_the_clients_list_of_models(simulator: Simulator) -> None:
    def listed() -> list[str]:
        with client_of(simulator) as client:
            return [model.name for model in client.models.list().models]

    assert (await anyio.to_thread.run_sync(listed))[0] == MODEL
