"""Google's own client against the simulator: it reads there what the router's adapter reads."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import httpx
import pytest

from routerd.providers.base import Outcome
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd.simulate import Fault, Pacing, Simulator, expected_text
from routerd_proto.content import Message, Tool
from routerd_proto.frames import ReasoningEnded
from tests.daemon.providers.drive import calls_in, decode, reasoning_in, request, text_in

genai = pytest.importorskip(
    "google.genai", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)
types = pytest.importorskip("google.genai.types")
credentials = pytest.importorskip("google.oauth2.credentials")
errors = pytest.importorskip("google.genai.errors")

MODEL = "gemini-4-argon"
SAID = "Describe the lantern."
TOKENS = 60
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("get_weather", "", CITY), Tool("get_tides", "", CITY)]
CASES: dict[str, dict[str, Any]] = {
    "text": {},
    "thinking": {"reasoning": "medium"},
    "parallel tools": {"tools": TOOLS, "said": "Call both tools"},
    "thinking before tools": {"tools": TOOLS, "said": "Call both tools", "reasoning": "low"},
    "schema": {"output_schema": CITY},
    "limit": {"max_output_tokens": 5},
    "cached": {"said": "Describe the lantern in the harbour. " * 200},
}
TOKEN = "ya29.a-token"
PROJECT = "/v1/projects/p-1/locations/global"
FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}
both_services = pytest.mark.parametrize("service", ["gemini", "vertex"])


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    pacing = Pacing(output_tokens=TOKENS)
    async with Simulator(vendors=["gemini", "vertex"], pacing=pacing) as running:
        yield running


@contextmanager
def client_of(simulator: Simulator, service: str) -> Iterator[Any]:
    """Open Google's client for one of its services, with a key or a token."""
    with httpx.Client(trust_env=False, timeout=10.0) as opened:
        options = types.HttpOptions(
            base_url=f"{simulator.base_url}/{service}", api_version="v1", httpx_client=opened
        )
        if service == "gemini":
            yield genai.Client(api_key="test", http_options=options)
        else:
            yield genai.Client(
                enterprise=True,
                project="p-1",
                location="global",
                credentials=credentials.Credentials(TOKEN),
                http_options=options,
            )


class Read:
    """What the client made of an answer."""

    def __init__(self) -> None:
        self.text = self.reasoning = self.finish = ""
        self.calls: list[tuple[str, Any]] = []
        self.signatures: list[str] = []
        self.usage: Any = None
        self.model = ""

    def take(self, answer: Any) -> None:
        [candidate] = answer.candidates
        for part in candidate.content.parts or ():
            if part.thought:
                self.reasoning += part.text or ""
            elif part.text:
                self.text += part.text
            if part.function_call:
                self.calls.append((part.function_call.name, part.function_call.args))
            if part.thought_signature:
                self.signatures.append(base64.b64encode(part.thought_signature).decode())
        if candidate.finish_reason:
            self.finish = candidate.finish_reason.value
        self.usage, self.model = answer.usage_metadata, answer.model_version


def by_the_client(simulator: Simulator, service: str, body: Any, *, stream: bool) -> Read:
    read = Read()
    beside = {key: value for key, value in body.items() if key != "contents"}
    config = types.GenerateContentConfig.model_validate(beside.pop("generationConfig", {}) | beside)
    asked = {"model": MODEL, "contents": body["contents"], "config": config}
    with client_of(simulator, service) as client:
        if stream:
            for answer in client.models.generate_content_stream(**asked):
                read.take(answer)
        else:
            read.take(client.models.generate_content(**asked))
    return read


async def by_the_adapter(simulator: Simulator, service: str, chat: Any) -> tuple[Any, Outcome]:
    adapter = GeminiAdapter(SERVICES[service])
    sent = adapter.encode(chat)
    base, headers = f"{simulator.base_url}/{service}", adapter.authorize("test")
    if service == "vertex":
        base, headers = base + PROJECT, [(b"authorization", f"Bearer {TOKEN}".encode())]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            base + sent.path, headers=[*sent.headers, *headers], content=sent.body
        )
    assert answer.status_code == 200, answer.text
    return decode(adapter, [answer.content], stream=chat.stream)


@both_services
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_both_read_the_same(
    simulator: Simulator, case: dict[str, Any], stream: bool, service: str
) -> None:
    options = dict(case)
    chat = request(MODEL, [Message("user", options.pop("said", SAID))], stream=stream, **options)
    body = json.loads(GeminiAdapter().encode(chat).body)
    if case is CASES["cached"]:
        await by_the_adapter(simulator, service, chat)
    read = await anyio.to_thread.run_sync(
        lambda: by_the_client(simulator, service, body, stream=stream)
    )
    parts, outcome = await by_the_adapter(simulator, service, chat)
    assert text_in(parts) == read.text
    assert reasoning_in(parts) == read.reasoning
    assert bool(read.reasoning) == ("reasoning" in case)
    assert [(name, json.loads(given)) for _, name, given in calls_in(parts)] == read.calls
    ended = [part.data for part in parts if isinstance(part, ReasoningEnded)]
    assert len([data for data in ended if "signature" in data]) == len(read.signatures)
    assert bool(read.signatures) == ("tools" in case)
    expected = "tool_calls" if read.calls else FINISHES[read.finish]
    assert (outcome.finish, outcome.complete, outcome.model) == (expected, True, read.model)
    usage, told = outcome.usage, read.usage
    assert usage is not None
    assert usage.input_tokens + usage.cache_read_tokens == told.prompt_token_count
    assert usage.cache_read_tokens == (told.cached_content_token_count or 0)
    assert (usage.cache_read_tokens > 0) == (case is CASES["cached"])
    assert usage.reasoning_tokens == (told.thoughts_token_count or 0)
    assert usage.output_tokens == told.candidates_token_count + (told.thoughts_token_count or 0)
    assert told.prompt_token_count + usage.output_tokens == told.total_token_count
    assert read.text or read.calls


@both_services
async def test_the_words_are_the_expected_ones(simulator: Simulator, service: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": SAID}]}]}
    read = await anyio.to_thread.run_sync(
        lambda: by_the_client(simulator, service, body, stream=True)
    )
    assert (read.text, read.finish) == (expected_text(MODEL, SAID, TOKENS), "STOP")
    assert read.usage.candidates_token_count == TOKENS


@both_services
async def test_the_client_sends_back_what_it_got(simulator: Simulator, service: str) -> None:
    """Signatures and all: the simulator refuses calls and results that do not match."""

    def talk() -> str:
        tools = [{"function_declarations": [{"name": "get_tides"}, {"name": "get_weather"}]}]
        with client_of(simulator, service) as client:
            config = {"tools": tools, "automatic_function_calling": {"disable": True}}
            chat = client.chats.create(model=MODEL, config=config)
            asked = chat.send_message("Call both tools")
            results = [
                types.Part.from_function_response(name=call.name, response={"output": "calm"})
                for call in asked.function_calls
            ]
            assert len(results) == 2
            return str(chat.send_message(results).text)

    assert await anyio.to_thread.run_sync(talk) == expected_text(MODEL, "Call both tools", TOKENS)


@both_services
@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
    ],
)
async def test_errors(simulator: Simulator, status: int, word: str, service: str) -> None:
    simulator.script.replace([Fault(kind="status", status=status, retry_after=1.5)])

    def call() -> Any:
        with client_of(simulator, service) as client:
            return client.models.generate_content(model=MODEL, contents=SAID)

    with pytest.raises(errors.APIError) as raised:
        await anyio.to_thread.run_sync(call)
    assert (raised.value.code, raised.value.status) == (status, word)
    assert "retryDelay" in json.dumps(raised.value.details)


@both_services
async def test_a_blocked_prompt(simulator: Simulator, service: str) -> None:
    simulator.script.replace([Fault(kind="status", status=400, code="content_policy_violation")])

    def call() -> Any:
        with client_of(simulator, service) as client:
            return client.models.generate_content(model=MODEL, contents=SAID)

    answer = await anyio.to_thread.run_sync(call)
    assert not answer.candidates
    assert answer.prompt_feedback.block_reason.value == "PROHIBITED_CONTENT"
