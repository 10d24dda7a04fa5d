"""Embeddings and rankings from app to provider and back: batches, failures, money."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import (
    Fault,
    Price,
    Simulator,
    expected_ranking,
    expected_vector,
    parse_fault,
)
from routerd.simulate.delivery import Delivery
from routerd.simulate.exchange import Reply, Search
from routerd.simulate.openai.search import search_body
from routerd.simulate.script import IN_THE_ANSWER
from routerd_client import CallerError, Embeddings, ProviderError
from tests.e2e.asking import explain, newest_record
from tests.e2e.conftest import MOVING, NO_DISCOVERY, OPENAI, Daemon
from tests.e2e.money import attempt_rows, budget_row
from tests.e2e.processes import routerd_beside

Start = Callable[..., Awaitable[Daemon]]
PATHS = {
    "openai": "/openai/v1",
    "cohere": "/cohere",
    "gemini": "/gemini",
    "voyage": "/voyage/v1",
}
MODEL = "text-embedding-3-small"
TEXTS = ["a rose", "the sky", "Straße 東京"]


async def test_every_way_gives_the_same_vectors(
    start_daemon: Callable[..., Awaitable[Daemon]], simulator: Simulator
) -> None:
    daemon = await start_daemon(providers=OPENAI)
    async with daemon.client() as client:
        found = await client.aembed(MODEL, TEXTS)
        blocking = await anyio.to_thread.run_sync(client.embed, MODEL, TEXTS)
        record = await explain(client, found.decision_id)
    expected = [expected_vector(MODEL, text) for text in TEXTS]
    for answer in (found, blocking):
        assert [list(vector) for vector in answer.vectors] == expected
        assert (answer.model, answer.dimensions, answer.missing) == (MODEL, 1536, [])
        assert (answer.cost_basis, answer.simulated, answer.attempts) == ("measured", True, 1)
    [first, _] = simulator.account.attempts
    assert found.usage is not None
    assert found.usage.input_tokens == first.usage.input == 2 + 2 + 4
    assert found.cost_nanodollars == first.billed_nanodollars == 160
    assert record.features is not None
    assert (record.features.kind, record.features.texts) == ("embedding", 3)
    assert [attempt.deployment for attempt in record.attempts] == [f"openai/{MODEL}"]


async def test_the_shortcut_is_served_by_the_first_model_there_is(
    start_daemon: Callable[..., Awaitable[Daemon]],
) -> None:
    daemon = await start_daemon(providers=OPENAI)
    async with daemon.client() as client:
        found = await client.aembed("embed", "one text", dimensions=256, purpose="query")
    assert (found.model, found.dimensions) == ("text-embedding-3-large", 256)
    assert [list(vector) for vector in found.vectors] == [
        expected_vector("text-embedding-3-large", "one text", 256)
    ]
    assert any("purpose was left out" in note for note in found.notes)


async def test_vectors_of_another_model_are_given_to_nobody(
    start_daemon: Callable[..., Awaitable[Daemon]],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def swapped(reply: Reply, search: Search) -> bytes:
        return search_body(reply, search).replace(b"3-small", b"3-large")

    monkeypatch.setattr("routerd.simulate.openai.search_body", swapped)
    daemon = await start_daemon(providers=OPENAI)
    async with daemon.client() as client:
        with pytest.raises(ProviderError) as caught:
            await client.aembed(MODEL, TEXTS)
        record = await explain(client, caught.value.decision_id)
    error, [attempt] = caught.value, record.attempts
    assert (error.code, error.details["first_failure"]) == ("same_model_only", "bad_answer")
    assert "these are the vectors of text-embedding-3-large" in error.message
    assert error.found is None
    assert (attempt.error_class, attempt.error_code) == ("bad_answer", "other_model")
    assert attempt.answered_model == "text-embedding-3-large"
    # They were made, and are paid for.
    assert (attempt.cost_basis, attempt.cost_nanodollars) == ("measured", 160)
    assert simulator.account.total.billed_nanodollars == 160


# --- several requests for one call ---------------------------------------------------------------

MANY = [f"text number {number}" for number in range(250)]


@pytest.fixture
async def searcher(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    """Simulate everybody who embeds and ranks."""
    vendors = ["openai", "cohere", "gemini", "voyage"]
    async with Simulator(vendors=vendors, prices=prices) as running:
        yield running


@pytest.fixture
def start(
    searcher: Simulator, launch: Callable[..., Daemon], tmp_path: Path
) -> Callable[..., Awaitable[Daemon]]:
    """Start a daemon in front of them: `await start("cohere", "voyage", more="...")`."""

    async def run(*providers: str, more: str = "", first: str = "", each: str = "") -> Daemon:
        text = first + NO_DISCOVERY + MOVING + more
        for name in providers:
            address = searcher.base_url + PATHS[name]
            text += f'[providers.{name}]\nbase_url = "{address}"\n'
            text += f"simulated = true\nkeyless = true\n{each}"
        file = tmp_path / "routerd.toml"
        await anyio.Path(file).write_text(text, encoding="utf-8")
        return await anyio.to_thread.run_sync(lambda: launch(f"--config={file}").wait_until_ready())

    return run


def vectors(model: str, texts: list[str], dimensions: int | None = None) -> list[list[float]]:
    return [expected_vector(model, text, dimensions) for text in texts]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "text-embedding-3-large"),
        ("gemini", "gemini-embedding-2"),
        ("cohere", "embed-v5.0-pro"),
        ("voyage", "voyage-4-large"),
    ],
)
async def test_a_provider_that_is_down_is_no_reason_to_ask_another_model(
    start: Start, searcher: Simulator, provider: str, model: str
) -> None:
    searcher.script.replace([parse_fault("status:503")])
    daemon = await start(provider)
    async with daemon.client() as client:
        with pytest.raises(ProviderError) as caught:
            await client.aembed("embed", TEXTS)
        record = await explain(client, caught.value.decision_id)
    error = caught.value
    assert (error.code, error.details["first_failure"]) == ("same_model_only", "overloaded")
    assert f"none has the vectors of {model}" in error.message
    assert "another deployment" in error.next_step
    assert {attempt.model for attempt in record.attempts} == {model}
    assert error.found is None


async def test_many_texts_are_asked_for_in_requests_and_come_back_in_order(
    start: Start, searcher: Simulator
) -> None:
    daemon = await start("cohere")
    async with daemon.client() as client:
        found = await client.aembed("embed-v4.0", MANY, dimensions=64, purpose="document")
        record = await explain(client, found.decision_id)
    assert [list(vector) for vector in found.vectors] == vectors("embed-v4.0", MANY, 64)
    attempts = searcher.account.attempts
    assert [one.outcome for one in attempts] == ["completed"] * 3
    assert found.attempts == len(record.attempts) == 3
    times = [attempt.last_content_us or 0 for attempt in record.attempts]
    assert record.last_content_us == max(times) > 0
    assert found.usage is not None
    assert found.usage.input_tokens == sum(one.usage.input for one in attempts)
    assert found.cost_nanodollars == searcher.account.total.billed_nanodollars
    rows = await attempt_rows(daemon.ledger)
    assert sum(row.cost_nanodollars or 0 for row in rows) == found.cost_nanodollars
    assert [row.number for row in rows] == [1, 2, 3]


async def test_what_was_paid_for_is_given_though_the_call_failed(
    start: Start, searcher: Simulator
) -> None:
    searcher.script.replace([Fault(kind="status", status=422, times=1)])
    daemon = await start("cohere")
    async with daemon.client() as client:
        with pytest.raises(CallerError) as caught:
            await client.aembed("embed-v4.0", MANY, dimensions=8, purpose="document")
        record = await explain(client, caught.value.decision_id)
    error, found = caught.value, caught.value.found
    assert error.code == "bad_request"
    assert isinstance(found, Embeddings)
    lacking = [place for start, end in error.details["missing"] for place in range(start, end)]
    assert found.missing == lacking
    assert len(lacking) in (96, 58)
    for place, vector in enumerate(found.vectors):
        assert list(vector) == (
            [] if place in lacking else expected_vector("embed-v4.0", MANY[place], 8)
        )
    assert error.message.startswith(f"{len(lacking)} of 250 texts have no answer")
    assert record.finish == "error"
    billed = searcher.account.total.billed_nanodollars
    assert record.cost_nanodollars == found.cost_nanodollars == billed
    assert billed
    assert sorted(attempt.error_class or "" for attempt in record.attempts) == [
        "", "", "bad_request",
    ]  # fmt: skip


async def test_texts_that_are_too_many_at_once_are_asked_for_in_halves(
    start: Start, searcher: Simulator
) -> None:
    searcher.script.replace([Fault(kind="status", status=413, times=3)])
    daemon = await start("openai", more='[budgets.whole]\ndollars = "1"\n')
    texts = MANY[:8]
    async with daemon.client() as client:
        found = await client.aembed(MODEL, texts)
        record = await explain(client, found.decision_id)
        row = await budget_row(client, "whole")
    assert [list(vector) for vector in found.vectors] == vectors(MODEL, texts)
    assert found.missing == []
    outcomes = [one.outcome for one in searcher.account.attempts]
    assert outcomes == ["refused"] * 3 + ["completed"] * 4  # of 8, 4 and 2; of 1, 1, 2 and 4
    assert [attempt.status for attempt in record.attempts] == [413] * 3 + [200] * 4
    assert record.finish == "stop"
    assert record.cost_nanodollars == searcher.account.total.billed_nanodollars
    whole, half, quarter, *rest = [attempt.held_nanodollars or 0 for attempt in record.attempts]
    assert whole > half > quarter > rest[0] > 0
    assert whole <= sum(rest) <= 2 * whole
    assert (row["spent"], row["held"]) == (record.cost_nanodollars, 0)


@pytest.mark.parametrize(("texts", "made"), [(64, 6), (4, 3), (1, 1)])
async def test_texts_are_not_halved_without_end(
    start: Start, searcher: Simulator, texts: int, made: int
) -> None:
    searcher.script.replace([parse_fault("status:413")])
    daemon = await start("openai")
    async with daemon.client() as client:
        with pytest.raises(CallerError) as caught:
            await client.aembed(MODEL, MANY[:texts])
        record = await explain(client, caught.value.decision_id)
    assert len(record.attempts) == made
    assert caught.value.details["status"] == 413
    assert searcher.account.total.billed_nanodollars == 0


async def test_a_ranking_is_not_halved(start: Start, searcher: Simulator) -> None:
    searcher.script.replace([parse_fault("status:413")])
    daemon = await start("cohere")
    async with daemon.client() as client:
        with pytest.raises(CallerError) as caught:
            await client.arerank("rerank-v4.0-pro", "a query", MANY[:8])
        record = await explain(client, caught.value.decision_id)
    assert len(record.attempts) == 1


async def test_a_request_that_fails_is_made_again_and_the_others_are_not(
    start: Start, searcher: Simulator
) -> None:
    searcher.script.replace([Fault(kind="status", status=500, times=1)])
    daemon = await start("cohere")
    async with daemon.client() as client:
        found = await client.aembed("embed-v4.0", MANY, dimensions=8)
        record = await explain(client, found.decision_id)
    assert [list(vector) for vector in found.vectors] == vectors("embed-v4.0", MANY, 8)
    assert sorted(one.outcome for one in searcher.account.attempts) == ["completed"] * 3 + [
        "refused"
    ]
    assert [attempt.reason for attempt in record.attempts].count("retry") == 1
    assert found.attempts == 4


@pytest.mark.parametrize("most", [1, 2])
async def test_a_provider_with_little_room_gets_no_more_at_once(
    start: Start, searcher: Simulator, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    running: list[int] = []

    async def think(_delivery: Delivery) -> None:
        running.append(searcher.account.total.running)
        await anyio.sleep(0.02)  # long enough that whoever may come at once does

    monkeypatch.setattr(Delivery, "think", think)
    daemon = await start(
        "cohere", more="[limits]\nin_flight = 1\n", each=f"max_in_flight = {most}\n"
    )
    async with daemon.client() as client:
        found = await client.aembed("embed-v4.0", MANY * 2, dimensions=8)
    assert [list(vector) for vector in found.vectors] == vectors("embed-v4.0", MANY * 2, 8)
    assert len(running) == 6
    assert max(running) == most


async def test_another_deployment_of_the_same_model_takes_over(
    start: Start, searcher: Simulator, tmp_path: Path, prices: dict[str, Price]
) -> None:
    # The second deployment is at a simulator of its own.
    async with Simulator(vendors=["openai"], prices=prices) as other:
        await anyio.Path(tmp_path / "mine.toml").write_text(
            SECOND.format(url=f"{other.base_url}/openai/v1"), encoding="utf-8"
        )
        searcher.script.replace([Fault(kind="status", status=503)])
        daemon = await start("openai", "voyage", more=SECOND_PROVIDER, first=MINE)
        async with daemon.client() as client:
            found = await client.aembed(MODEL, TEXTS)
            record = await explain(client, found.decision_id)
        assert [list(vector) for vector in found.vectors] == vectors(MODEL, TEXTS)
        assert (found.model, found.deployment) == (MODEL, f"second/{MODEL}")
        assert other.account.total.completed == 1
        assert {attempt.model for attempt in record.attempts} == {MODEL}
        assert record.attempts[0].deployment == f"openai/{MODEL}"
        await anyio.to_thread.run_sync(daemon.kill)


@pytest.mark.parametrize(
    ("fault", "tried"),
    [
        ("silence", ["timeout", "", ""]),
        # No second time where somebody stands by who takes less.
        ("status:429", ["rate_limit", "", ""]),
        ("status:400,code=context_length_exceeded", ["context_length"]),
    ],
)
async def test_who_takes_less_stands_by_all_the_same(
    start: Start,
    searcher: Simulator,
    tmp_path: Path,
    prices: dict[str, Price],
    fault: str,
    tried: list[str],
) -> None:
    texts = [f"text number {number}" for number in range(300)]
    async with Simulator(vendors=["openai"], prices=prices) as other:
        await anyio.Path(tmp_path / "mine.toml").write_text(
            SECOND.format(url=f"{other.base_url}/openai/v1"), encoding="utf-8"
        )
        searcher.script.replace([parse_fault(fault)])
        daemon = await start("openai", more=SECOND_PROVIDER, first=MINE)
        async with daemon.client() as client:
            if len(tried) > 1:
                found = await client.aembed(MODEL, texts, timeout=4)
                assert [list(vector) for vector in found.vectors] == vectors(MODEL, texts)
                assert found.deployment == f"second/{MODEL}"
            else:
                # The same model has the same window: nobody else is asked.
                with pytest.raises(CallerError):
                    await client.aembed(MODEL, texts, timeout=4)
                assert other.account.total.completed == 0
            record = await newest_record(client)
        classes = [attempt.error_class or "" for attempt in record.attempts]
        assert classes[: len(tried)] == tried
        await anyio.to_thread.run_sync(daemon.kill)


async def test_what_is_cut_for_who_takes_less_is_asked_for_side_by_side(
    start: Start,
    searcher: Simulator,
    tmp_path: Path,
    prices: dict[str, Price],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"text number {number}" for number in range(1_000)]
    running = 0
    most = 0
    whole = Delivery.whole

    async def counted(delivery: Delivery, reply: Reply, fault: Fault | None) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await anyio.sleep(0.1)
            return await whole(delivery, reply, fault)
        finally:
            running -= 1

    monkeypatch.setattr(Delivery, "whole", counted)
    async with Simulator(vendors=["openai"], prices=prices) as other:
        await anyio.Path(tmp_path / "mine.toml").write_text(
            SECOND.format(url=f"{other.base_url}/openai/v1"), encoding="utf-8"
        )
        searcher.script.replace([Fault(kind="status", status=404)])
        daemon = await start("openai", more=SECOND_PROVIDER, first=MINE)
        async with daemon.client() as client:
            found = await client.aembed(MODEL, texts)
        assert [list(vector) for vector in found.vectors] == vectors(MODEL, texts)
        # The first would have been asked in two requests, since nobody says how long a vector is.
        assert (other.account.total.completed, most) == (5, 5)
        await anyio.to_thread.run_sync(daemon.kill)


async def test_requests_are_as_large_as_whoever_is_asked_takes_them(
    start: Start, searcher: Simulator, tmp_path: Path, prices: dict[str, Price]
) -> None:
    # OpenAI takes 2,048 texts at once, the second server 256.
    texts = [f"text number {number}" for number in range(300)]
    async with Simulator(vendors=["openai"], prices=prices) as other:
        await anyio.Path(tmp_path / "mine.toml").write_text(
            SECOND.format(url=f"{other.base_url}/openai/v1"), encoding="utf-8"
        )
        daemon = await start("openai", more=SECOND_PROVIDER, first=MINE)
        async with daemon.client() as client:
            found = await client.aembed(MODEL, texts)
            assert [list(vector) for vector in found.vectors] == vectors(MODEL, texts)
            assert (searcher.account.total.completed, other.account.total.completed) == (1, 0)
            searcher.script.replace([Fault(kind="status", status=503)])
            found = await client.aembed(MODEL, texts)
            record = await explain(client, found.decision_id)
        assert [list(vector) for vector in found.vectors] == vectors(MODEL, texts)
        assert (found.deployment, found.missing) == (f"second/{MODEL}", [])
        assert other.account.total.completed == 2
        tried = [attempt.deployment.partition("/")[0] for attempt in record.attempts]
        assert tried == ["openai", "openai", "second", "second"]
        billed = sum(attempt.billed_nanodollars or 0 for attempt in other.account.attempts)
        assert found.cost_nanodollars == billed == record.cost_nanodollars
        await anyio.to_thread.run_sync(daemon.kill)


@pytest.mark.parametrize(
    ("fault", "tried"),
    [
        ("status:500", ["server_error", ""]),
        ("status:429", ["rate_limit", ""]),
        ("status:404", ["not_found", ""]),
        ("reset", ["connection", ""]),
        ("cut", ["connection", ""]),
        ("reset_in_answer", ["connection", ""]),
        ("malformed", ["bad_answer", ""]),
        ("missing_end", ["bad_answer", ""]),
        ("error_in_stream", ["server_error", ""]),
    ],
)
async def test_whatever_breaks_the_same_vectors_come_and_what_was_sent_is_paid_for(
    start: Start,
    searcher: Simulator,
    tmp_path: Path,
    prices: dict[str, Price],
    fault: str,
    tried: list[str],
) -> None:
    async with Simulator(vendors=["openai"], prices=prices) as other:
        await anyio.Path(tmp_path / "mine.toml").write_text(
            SECOND.format(url=f"{other.base_url}/openai/v1"), encoding="utf-8"
        )
        searcher.script.replace([parse_fault(f"{fault},times=1")])
        daemon = await start("openai", more=SECOND_PROVIDER, first=MINE)
        async with daemon.client() as client:
            found = await client.aembed(MODEL, TEXTS)
            record = await explain(client, found.decision_id)
        assert [list(vector) for vector in found.vectors] == vectors(MODEL, TEXTS)
        assert [attempt.error_class or "" for attempt in record.attempts] == tried
        # Of an answer that broke nobody says what it cost: it is charged for what may be read.
        was_read = fault in IN_THE_ANSWER or fault == "reset"
        costs = [bool(attempt.cost_nanodollars) for attempt in record.attempts]
        assert costs == [was_read, True]
        assert record.cost_nanodollars == found.cost_nanodollars
        await anyio.to_thread.run_sync(daemon.kill)


SECOND = """\
[providers.second]
adapter = "openai"
dialect = "compatible"
base_url = "{url}"
boundary = "vendor"

[deployments."second/text-embedding-3-small"]
model = "text-embedding-3-small"
provider = "second"
provider_model = "text-embedding-3-small"
price = {{ source = "a test", input = 20_000_000 }}
"""
SECOND_PROVIDER = "[providers.second]\nsimulated = true\nkeyless = true\n"
MINE = 'directory = ["mine.toml"]\n'


@pytest.mark.parametrize(
    ("provider", "model", "tokens_told"),
    [
        ("gemini", "gemini-embedding-2", True),
        ("gemini", "gemini-embedding-001", False),
        ("voyage", "voyage-4", True),
        ("cohere", "embed-v4.0", True),
    ],
)
async def test_every_vendor_gives_its_vectors(
    start: Start, provider: str, model: str, *, tokens_told: bool
) -> None:
    daemon = await start(provider)
    async with daemon.client() as client:
        found = await client.aembed(model, TEXTS, purpose="document", tenant="acme")
    texts = TEXTS
    if model == "gemini-embedding-2":
        texts = [f"title: none | text: {text}" for text in TEXTS]
    assert [list(vector) for vector in found.vectors] == vectors(model, texts)
    assert found.cost_basis == ("measured" if tokens_told else "estimated")
    assert found.cost_nanodollars


# --- rankings ------------------------------------------------------------------------------------

QUERY = "Which of these is red?"
DOCUMENTS = ["the sky is blue", "a rose is red", "these are red, which is fine"]


async def test_every_way_gives_the_same_order(start: Start, searcher: Simulator) -> None:
    daemon = await start("cohere")
    async with daemon.client() as client:
        found = await client.arerank("rerank-v3.5", QUERY, DOCUMENTS)
        best = await anyio.to_thread.run_sync(
            lambda: client.rerank("rerank-v3.5", QUERY, DOCUMENTS, top=1)
        )
        record = await explain(client, found.decision_id)
    expected = expected_ranking("rerank-v3.5", QUERY, DOCUMENTS)
    assert [(item.index, item.score) for item in found.results] == expected
    assert [(item.index, item.score) for item in best.results] == expected[:1]
    assert found.of(DOCUMENTS) == [DOCUMENTS[2], DOCUMENTS[1], DOCUMENTS[0]]
    # Sold by the search: two dollars a thousand.
    for answer in (found, best):
        assert (answer.cost_nanodollars, answer.cost_basis) == (2_000_000, "measured")
    assert searcher.account.total.billed_nanodollars == 4_000_000
    assert record.features is not None
    assert (record.features.kind, record.features.queries) == ("rerank", 1)
    assert [attempt.queries for attempt in record.attempts] == [1]


async def test_a_ranking_fails_over_to_another_model(start: Start, searcher: Simulator) -> None:
    searcher.script.replace([Fault(kind="status", status=503, vendor="voyage")])
    daemon = await start("voyage", "cohere")
    async with daemon.client() as client:
        found = await client.arerank("rerank-2.5", QUERY, DOCUMENTS)
        record = await explain(client, found.decision_id)
    assert (found.model, found.provider) == ("rerank-v3.5", "cohere")
    assert found.degraded == "backup of rerank-2.5"
    assert [item.index for item in found.results] == [2, 1, 0]
    assert [attempt.model for attempt in record.attempts] == ["rerank-2.5"] * 2 + ["rerank-v3.5"]


async def test_many_documents_are_put_in_one_order(start: Start, searcher: Simulator) -> None:
    documents = [
        f"document {number} is {'red' if number % 7 else 'blue'}" for number in range(1100)
    ]
    daemon = await start("voyage", "cohere")
    async with daemon.client() as client:
        found = await client.arerank("rerank-2.5", QUERY, documents, top=20)
        record = await explain(client, found.decision_id)
        alone = await explain(
            client, (await client.arerank("rerank-2.5", QUERY, DOCUMENTS)).decision_id
        )
    expected = expected_ranking("rerank-2.5", QUERY, documents, 20)
    assert [(item.index, item.score) for item in found.results] == expected
    assert len(searcher.account.attempts) == 2 + 1
    assert found.model == "rerank-2.5"
    # Who may not stand in is told; for a ranking in one request anybody may.
    assert record.plan is not None
    [first, *others] = record.plan.routes
    assert first.model == "rerank-2.5"
    assert others
    assert [(item.deployment, item.code) for item in record.skipped] == [
        (route.deployment, "other_scores") for route in others
    ]
    assert alone.skipped == []
    shown = await routerd_beside(
        "explain",
        found.decision_id,
        home=daemon.folder,
        environ={"ROUTERD_SOCKET": str(daemon.socket)},
    )
    assert all(
        f"skipped    {item.deployment}: {item.detail}" in shown.stdout for item in record.skipped
    )


# --- money and words -----------------------------------------------------------------------------


async def test_a_budget_that_is_too_small_for_all_of_it_lets_none_of_it_through(
    start: Start, searcher: Simulator
) -> None:
    more = '[budgets.small]\ntenant = "acme"\ndollars = "0.0002"\n'
    daemon = await start("cohere", more=more)
    async with daemon.client() as client:
        with pytest.raises(CallerError) as caught:
            await client.aembed("embed-v4.0", MANY, tenant="acme")
        assert searcher.account.total.requests == 0
        found = await client.aembed("embed-v4.0", TEXTS, tenant="acme")
        row = await budget_row(client, "small")
    assert caught.value.code == "budget_exceeded"
    assert (row["spent"], row["held"]) == (found.cost_nanodollars, 0)


async def test_nothing_that_was_said_is_written_down(start: Start) -> None:
    daemon = await start("cohere", "openai")
    async with daemon.client() as client:
        marked = [f"MARKERTEXT{number}" for number in range(100)]
        found = await client.aembed("embed-v4.0", marked, dimensions=8)
        await client.arerank("rerank-v3.5", "MARKERQUERY", marked)
        with pytest.raises(CallerError):
            await client.aembed("embed-v4.0", ["MARKERTEXT", ""])
    assert await anyio.to_thread.run_sync(daemon.stop) == 0
    packed = bytes(memoryview(found.vectors[0]).cast("B"))
    written = await anyio.to_thread.run_sync(
        lambda: [file.read_bytes() for file in daemon.folder.iterdir() if file.is_file()]
    )
    assert len(written) >= 3
    for data in written:
        assert b"MARKER" not in data
        assert packed not in data
        assert str(list(found.vectors[0])).encode() not in data


async def test_who_hangs_up_is_recorded_and_nothing_stays_held(
    start: Start, searcher: Simulator
) -> None:
    searcher.script.replace([Fault(kind="silence")])
    daemon = await start("cohere")
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.aembed, "embed-v4.0", MANY)
            await searcher.until(lambda account: account.total.running == 3)
            tasks.cancel_scope.cancel()
        await searcher.until(lambda account: account.total.aborted == 3)
        record = await newest_record(client)
        assert (await client.acommand("status"))["calls_in_flight"] == 0
    assert record.error_code == "cancelled"
    assert [attempt.error_class for attempt in record.attempts] == ["cancelled"] * 3
    # What was sent is billed for its input.
    assert record.cost_basis == "estimated"
    assert record.cost_nanodollars


async def test_a_call_is_explained_and_one_that_is_not_made_is_planned(start: Start) -> None:
    daemon = await start("cohere", "voyage")
    async with daemon.client() as client:
        found = await client.aembed("embed", TEXTS)
        planned = await client.acommand("plan", target="embed", inputs=TEXTS)
        ranked = await client.acommand("plan", target="rerank", query="q", documents=["a"])
        with pytest.raises(CallerError, match=r"inputs\[1\]: is empty"):
            await client.acommand("plan", target="embed", inputs=["a", ""])
        again = (await client.acommand("explain", decision_id=found.decision_id))["again"]
    assert again == {"possible": True, "why": "", "differences": []}
    assert planned["features"]["kind"] == "embedding"
    assert [item["deployment"] for item in planned["plan"]["routes"]] == [found.deployment]
    assert {item["code"] for item in planned["plan"]["dropped"]} >= {"other_vectors"}
    assert ranked["features"]["kind"] == "rerank"
    assert ranked["plan"]["routes"][0]["deployment"] == "voyage/rerank-3"
    shown = await routerd_beside(
        "explain",
        found.decision_id,
        home=daemon.folder,
        environ={"ROUTERD_SOCKET": str(daemon.socket)},
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"{found.deployment}" in shown.stdout
    assert "other_vectors" in shown.stdout
