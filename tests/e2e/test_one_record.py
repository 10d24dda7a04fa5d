"""One normal record: whatever the wire, the same fields say the same things, and all there are.

Every wire is asked for real: a daemon in front of a simulator that speaks them all. What the record
says of tokens is compared with the provider's own books, and what only headers tell with what each
vendor is known to tell; None is where it tells nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread
import pytest
from msgspec import structs

from routerd.domain import Attempt, Usage
from routerd.simulate import Fault, Price, Simulator, expected_vector
from routerd_client import Client, Embeddings, Message, Ranking, RouterdError, Text
from tests.e2e.asking import explain
from tests.e2e.conftest import MOVING, NO_DISCOVERY, Daemon

# Long enough to be cached, and never the same for two wires.
LONG = "a long text that is always the same "
SAID = "Tell me a story"
TEXTS = ["a rose", "the sky"]
DIRECTORY = """\
[providers.second]
adapter = "openai-responses"
base_url = "{url}/openai-responses/v1"
boundary = "vendor"

[deployments."second/gpt-6.1-sol"]
model = "gpt-6.1-sol"
provider = "second"
provider_model = "gpt-6.1-sol"

[deployments."second/gpt-6.1-sol".price]
source = "a test"
input = 5_000_000_000
output = 7_000_000_000
cache_read = 1_000_000_000
cache_write = 6_000_000_000

[providers.other]
adapter = "openai"
dialect = "compatible"
base_url = "{url}/openai/v1"
boundary = "vendor"

[deployments."other/gpt-6.1-sol"]
model = "gpt-6.1-sol"
provider = "other"
provider_model = "gpt-6.1-sol"

[deployments."other/gpt-6.1-sol".price]
source = "a test"
input = 5_000_000_000
output = 7_000_000_000
cache_read = 1_000_000_000
cache_write = 6_000_000_000

[deployments."other/text-embedding-3-small"]
model = "text-embedding-3-small"
provider = "other"
provider_model = "text-embedding-3-small"
price = {{ source = "a test", input = 30_000_000 }}

[deployments."vertex/gemini-3.8-flash"]
model = "gemini-3.8-flash"
provider = "vertex"
provider_model = "gemini-3.8-flash"
region = "global"

[deployments."vertex/gemini-3.8-flash".price]
source = "a test"
input = 5_000_000_000
output = 7_000_000_000
cache_read = 1_000_000_000
cache_write = 6_000_000_000

[deployments."vertex/gemini-embedding-2"]
model = "gemini-embedding-2"
provider = "vertex"
provider_model = "gemini-embedding-2"
price = {{ source = "a test", input = 200_000_000 }}

[deployments."vertex/gemini-embedding-001"]
model = "gemini-embedding-001"
provider = "vertex"
provider_model = "gemini-embedding-001"
price = {{ source = "a test", input = 150_000_000 }}
"""
TOKEN = 'token_command = ["echo", "ya29.simulated"]'
PATHS = {
    "openai": "/openai/v1",
    "second": "/openai-responses/v1",
    "other": "/openai/v1",
    "anthropic": "/anthropic",
    "gemini": "/gemini",
    "vertex": "/vertex/v1/projects/p/locations/global",
    "bedrock": "/bedrock",
    "cohere": "/cohere",
    "voyage": "/voyage/v1",
}


class Told(NamedTuple):
    """What a vendor tells of an answer beside its content and its usage."""

    model: bool = True
    fingerprint: bool = False
    response_id: bool = True
    request_id: bool = False
    took: bool = False
    headroom: bool = False


OPENAI = Told(request_id=True, took=True, headroom=True)
CHAT = {
    "openai/gpt-6.1-sol": OPENAI._replace(fingerprint=True),
    "second/gpt-6.1-sol": OPENAI,
    "other/gpt-6.1-sol": OPENAI._replace(fingerprint=True),
    "anthropic/claude-opus-5-5": Told(request_id=True, headroom=True),
    "gemini/gemini-3.8-flash": Told(took=True),
    "vertex/gemini-3.8-flash": Told(took=True),
    "bedrock/us.anthropic.claude-opus-5-5": Told(
        model=False, response_id=False, request_id=True, took=True
    ),
    "cohere/command-a-03-2025": Told(model=False, request_id=True),
}
EMBED = {
    "openai/text-embedding-3-small": OPENAI._replace(response_id=False),
    "other/text-embedding-3-small": OPENAI._replace(response_id=False),
    "gemini/gemini-embedding-2": Told(model=False, response_id=False, took=True),
    "cohere/embed-v4.0": Told(model=False, request_id=True),
    "vertex/gemini-embedding-2": Told(model=False, response_id=False, took=True),
    "vertex/gemini-embedding-001": Told(model=False, response_id=False, took=True),
    "voyage/voyage-4": Told(response_id=False, request_id=True),
}
RERANK = {
    "cohere/rerank-v3.5": Told(model=False, request_id=True),
    "voyage/rerank-2.5": Told(response_id=False, request_id=True),
}


@pytest.fixture
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    named = dict(prices)
    named["openai-responses/gpt-6.1-sol"] = named["openai/gpt-6.1-sol"]
    vendors = [*dict.fromkeys(path.split("/")[1] for path in PATHS.values())]
    async with Simulator(vendors=vendors, prices=named) as running:
        yield running


@pytest.fixture
def start(
    launch: Callable[..., Daemon], tmp_path: Path, simulator: Simulator
) -> Callable[[], Awaitable[Daemon]]:
    async def starting() -> Daemon:
        directory = DIRECTORY.format(url=simulator.base_url)
        await anyio.Path(tmp_path / "mine.toml").write_text(directory)
        tables = "".join(
            f'[providers.{name}]\nbase_url = "{simulator.base_url}{path}"\n'
            f"simulated = true\n{TOKEN if name == 'vertex' else 'keyless = true'}\n"
            for name, path in PATHS.items()
        )
        file = tmp_path / "routerd.toml"
        text = f'directory = ["mine.toml"]\n{NO_DISCOVERY}{MOVING}{tables}'
        await anyio.Path(file).write_text(text)
        return await anyio.to_thread.run_sync(lambda: launch(f"--config={file}").wait_until_ready())

    return starting


async def attempt_of(client: Client, decision_id: str) -> Attempt:
    [attempt] = (await explain(client, decision_id)).attempts
    return attempt


def told_in(attempt: Attempt) -> Told:
    return Told(
        model=attempt.answered_model is not None,
        fingerprint=attempt.fingerprint is not None,
        response_id=attempt.response_id is not None,
        request_id=attempt.request_id is not None,
        took=attempt.took_ms is not None,
        headroom=attempt.headroom is not None,
    )


def check_times(attempt: Attempt, *, has_content: bool) -> None:
    assert attempt.headers_us is not None
    assert attempt.ended_us is not None
    assert attempt.started_us <= attempt.headers_us <= attempt.ended_us
    if has_content:
        assert attempt.first_content_us is not None
        assert attempt.last_content_us is not None
        times = (attempt.headers_us, attempt.first_content_us, attempt.last_content_us)
        assert [*times, attempt.ended_us] == sorted([*times, attempt.ended_us])


def usage_in_books(simulator: Simulator) -> Usage:
    """Return the last answer's tokens as its vendor counts them, each in one bucket alone.

    Cohere bills a prompt as one, and what it bills counts.
    """
    last = simulator.account.attempts[-1]
    used = last.usage
    if last.vendor == "cohere":
        return Usage(input_tokens=used.input, output_tokens=used.output)
    return Usage(
        input_tokens=used.input - used.cached - used.written - used.written_long,
        cache_read_tokens=used.cached,
        cache_write_tokens=used.written,
        cache_write_long_tokens=used.written_long,
        output_tokens=used.output,
    )


async def test_every_wire_of_chat_fills_the_same_record(
    start: Callable[[], Awaitable[Daemon]], simulator: Simulator
) -> None:
    daemon = await start()
    told: dict[str, Told] = {}
    buckets: dict[str, set[str]] = {}
    async with daemon.client() as client:
        for deployment in CHAT:
            marked = Text(deployment + LONG * 700, cache="5m")
            for number in range(2):
                said = [Message("system", [marked]), Message("user", f"{SAID} {number}")]
                stream = client.stream(deployment, said)
                assert "".join([text async for text in stream.text])
                attempt = await attempt_of(client, stream.reply.decision_id)
                books = usage_in_books(simulator)
                assert attempt.usage is not None
                assert structs.replace(attempt.usage, reasoning_tokens=None) == books
                assert stream.reply.usage == attempt.usage
                assert (attempt.deployment, attempt.finish) == (deployment, "stop")
                assert (attempt.status, attempt.cost_basis) == (200, "measured"), attempt
                assert attempt.cost_nanodollars
                check_times(attempt, has_content=True)
                told[deployment] = told_in(attempt)
                filled = {name for name, count in structs.asdict(books).items() if count}
                buckets.setdefault(deployment, set()).update(filled)
    assert told == CHAT
    # Where the vendor caches, the books would show it, and so would the record.
    assert {name for name, filled in buckets.items() if "cache_read_tokens" not in filled} == {
        "cohere/command-a-03-2025"
    }


async def test_every_wire_of_vectors_and_orders_fills_the_same_record(
    start: Callable[[], Awaitable[Daemon]], simulator: Simulator
) -> None:
    daemon = await start()
    told: dict[str, Told] = {}
    async with daemon.client() as client:
        for deployment in EMBED:
            # Vertex takes one text at a time, and may stand in for Gemini.
            texts = TEXTS[:1] if "gemini" in deployment else TEXTS
            found = await client.aembed(deployment, texts, purpose="document")
            attempt = await attempt_of(client, found.decision_id)
            assert attempt.usage == usage_in_books(simulator) == found.usage
            assert (attempt.queries, attempt.cost_basis) == (0, "measured")
            assert (attempt.deployment, attempt.finish, attempt.status) == (deployment, "stop", 200)
            check_times(attempt, has_content=False)
            told[deployment] = told_in(attempt)
        for deployment in RERANK:
            order = await client.arerank(deployment, SAID, TEXTS)
            attempt = await attempt_of(client, order.decision_id)
            sold_by_query = deployment.startswith("cohere")
            assert attempt.queries == 1
            expected = Usage() if sold_by_query else usage_in_books(simulator)
            assert (attempt.usage, attempt.cost_basis) == (expected, "measured")
            assert (attempt.deployment, attempt.finish, attempt.status) == (deployment, "stop", 200)
            check_times(attempt, has_content=False)
            told[deployment] = told_in(attempt)
    assert told == EMBED | RERANK


# What a token costs at each, in nanodollars; Cohere sells orders by the search.
EACH = {
    "openai/text-embedding-3-small": 20,
    "other/text-embedding-3-small": 30,
    "gemini/gemini-embedding-2": 200,
    "cohere/embed-v4.0": 120,
    "vertex/gemini-embedding-2": 200,
    "vertex/gemini-embedding-001": 150,
    "voyage/voyage-4": 60,
    "voyage/rerank-2.5": 50,
}
SEARCH = 2_000_000


async def test_every_vendor_is_asked_in_either_way_for_the_same_money(
    start: Callable[[], Awaitable[Daemon]], simulator: Simulator
) -> None:
    daemon = await start()
    async with daemon.client() as client:
        for deployment in EMBED:
            found = await client.aembed(deployment, TEXTS, purpose="document")
            embed = partial(client.embed, deployment, TEXTS, purpose="document")
            blocking = await anyio.to_thread.run_sync(embed)
            assert len(found.vectors) == len(TEXTS)
            assert [list(one) for one in blocking.vectors] == [list(one) for one in found.vectors]
            for answer in (found, blocking):
                await check_cost(client, answer, EACH[deployment])
        for deployment in RERANK:
            order = await client.arerank(deployment, SAID, TEXTS)
            rerank = partial(client.rerank, deployment, SAID, TEXTS)
            same = await anyio.to_thread.run_sync(rerank)
            assert sorted(item.index for item in order.results) == [0, 1]
            assert same.results == order.results
            for ranking in (order, same):
                await check_cost(client, ranking, EACH.get(deployment))


async def check_cost(client: Client, answer: Embeddings | Ranking, each: int | None) -> None:
    """Compare what is told with what is recorded, by the token or by the search."""
    record = await explain(client, answer.decision_id)
    used = sum(one.usage.input_tokens for one in record.attempts if one.usage is not None)
    expected = SEARCH if each is None else used * each
    assert used or each is None
    assert (answer.cost_nanodollars, answer.cost_basis) == (expected, "measured")
    assert record.cost_nanodollars == expected
    assert sum(one.cost_nanodollars or 0 for one in record.attempts) == expected


async def test_vertex_stands_in_for_gemini_with_the_same_models_vectors(
    start: Callable[[], Awaitable[Daemon]], simulator: Simulator
) -> None:
    daemon = await start()
    simulator.script.replace([Fault(kind="status", status=503, vendor="gemini")])
    async with daemon.client() as client:
        found = await client.aembed("gemini-embedding-2", TEXTS, purpose="query")
        record = await explain(client, found.decision_id)
    asked = [f"task: search result | query: {text}" for text in TEXTS]
    assert [list(vector) for vector in found.vectors] == [
        expected_vector("gemini-embedding-2", text) for text in asked
    ]
    assert (found.model, found.provider) == ("gemini-embedding-2", "vertex")
    assert {attempt.model for attempt in record.attempts} == {"gemini-embedding-2"}


# By provider, what each calls being asked too often.
CODES = {
    "openai": "rate_limit_exceeded",
    "second": "rate_limit_exceeded",
    "other": "rate_limit_exceeded",
    "anthropic": "rate_limit_error",
    "gemini": "RESOURCE_EXHAUSTED",
    "vertex": "RESOURCE_EXHAUSTED",
    "bedrock": "ThrottlingException",
    "cohere": None,
    "voyage": None,
}


async def test_every_wire_says_by_class_and_by_code_why_it_failed(
    start: Callable[[], Awaitable[Daemon]], simulator: Simulator
) -> None:
    daemon = await start()
    simulator.script.replace([Fault(kind="status", status=429)])
    found: dict[str, tuple[str | None, str | None, bool]] = {}
    async with daemon.client() as client:
        for deployment in CHAT | EMBED:
            ask = client.acomplete if deployment in CHAT else client.aembed
            with pytest.raises(RouterdError) as caught:
                await ask(deployment, SAID)
            record = await explain(client, caught.value.decision_id)
            for attempt in record.attempts:
                why = (attempt.error_class, attempt.error_code, bool(attempt.request_id))
                assert found.setdefault(attempt.provider, why) == why
                assert (attempt.status, attempt.error_phase) == (429, "headers")
                assert (attempt.cost_nanodollars, attempt.usage) == (0, None)
                check_times(attempt, has_content=False)
    assert found == {
        name: ("rate_limit", code, (CHAT | EMBED)[deployment].request_id)
        for name, code in CODES.items()
        for deployment in CHAT | EMBED
        if deployment.startswith(f"{name}/")
    }
