"""The simulator as a server: hang-ups, pacing, the books, its own door, many clients at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx
import msgspec
import pytest
import trustme

from routerd.simulate import (
    AccountSnapshot,
    Fault,
    Pacing,
    Price,
    Simulator,
    expected_text,
    run,
    serve,
)

if TYPE_CHECKING:
    from .conftest import Dialect

PRICE = Price(input=2_000_000_000, output=10_000_000_000)


def client_of(simulator: Simulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=simulator.base_url, trust_env=False)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_hang_up_while_thinking_is_seen(dialect: Dialect, stream: bool) -> None:
    pacing = Pacing(think_seconds=60, output_tokens=10)
    async with Simulator(pacing=pacing, prices={dialect.model: PRICE}) as simulator:
        _, writer = await dialect.raw(simulator, stream=stream)
        await simulator.until(lambda account: account.total.running == 1)
        writer.close()
        await simulator.until(lambda account: account.total.aborted == 1)
        (attempt,) = simulator.account.attempts
    assert (attempt.status, attempt.sent_tokens, attempt.usage.output) == (None, 0, 0)
    assert attempt.billed_nanodollars == attempt.usage.input * 2000


async def test_a_hang_up_in_the_middle_is_seen_with_what_was_sent(dialect: Dialect) -> None:
    pacing = Pacing(tokens_per_second=100, output_tokens=100_000)
    more = {} if dialect.openai else {"max_tokens": 100_000}
    async with Simulator(pacing=pacing, prices={dialect.model: PRICE}) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True, **more)
        await reader.readuntil(b"\r\n\r\n")
        await simulator.until(lambda account: account.total.sent_tokens >= 3)
        writer.close()
        await simulator.until(lambda account: account.total.aborted == 1)
        (attempt,) = simulator.account.attempts
        await simulator.until(lambda account: account.connections_open == 0)
    assert 3 <= attempt.sent_tokens <= attempt.usage.output < 2000
    assert attempt.billed_nanodollars == attempt.usage.input * 2000 + attempt.usage.output * 10_000


async def test_a_hang_up_before_a_body_counts_what_was_made(dialect: Dialect) -> None:
    pacing = Pacing(tokens_per_second=20, output_tokens=100_000)
    more = {} if dialect.openai else {"max_tokens": 100_000}
    async with Simulator(pacing=pacing) as simulator:
        _, writer = await dialect.raw(simulator, stream=False, **more)
        await simulator.until(lambda account: account.total.running == 1)
        await asyncio.sleep(0.2)
        writer.close()
        await simulator.until(lambda account: account.total.aborted == 1)
        (attempt,) = simulator.account.attempts
    assert (attempt.status, attempt.sent_tokens) == (None, 0)
    assert 1 <= attempt.usage.output < 2000


async def test_a_reader_that_is_slow_and_leaves_is_seen(dialect: Dialect) -> None:
    more = {} if dialect.openai else {"max_tokens": 200_000}
    async with Simulator(pacing=Pacing(output_tokens=150_000)) as simulator:
        _, writer = await dialect.raw(simulator, stream=True, **more)
        await simulator.until(lambda account: account.total.sent_tokens > 0)
        writer.transport.abort()
        await simulator.until(lambda account: account.total.aborted == 1)


async def test_the_schedule_is_absolute_and_late_tokens_are_joined(dialect: Dialect) -> None:
    # 400 tokens at 8000 a second: timers cannot be that fine, so tokens must be joined.
    pacing = Pacing(tokens_per_second=8000, output_tokens=400)
    async with Simulator(pacing=pacing) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await reader.read(65536)
        writer.close()
    chunks = received.count(b"\r\n", received.index(b"\r\n\r\n") + 4) // 2
    assert chunks < 300
    text = expected_text(dialect.model, dialect.said, 400)
    assert dialect.text_of_stream(received.replace(b"\r\n", b"\n")) == text


async def test_without_a_pace_the_whole_stream_is_one_chunk(dialect: Dialect) -> None:
    async with Simulator(pacing=Pacing(output_tokens=400, tokens_per_second=0)) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True)
        await reader.readuntil(b"\r\n\r\n")
        length = int((await reader.readuntil(b"\r\n")).strip(), 16)
        received = await reader.readexactly(length)
        assert await reader.readexactly(7) == b"\r\n0\r\n\r\n"
        writer.close()
    assert dialect.text_of_stream(received) == expected_text(dialect.model, dialect.said, 400)
    assert received.endswith(dialect.end)


@pytest.mark.time_limit(60)
async def test_two_hundred_streams_at_once_each_get_their_own_words(dialect: Dialect) -> None:
    pacing = Pacing(tokens_per_second=20, output_tokens=20_000)
    more = {} if dialect.openai else {"max_tokens": 20_000}
    texts: dict[int, str] = {}

    async def one(number: int) -> None:
        said = f"question {number}"
        reader, writer = await dialect.raw(simulator, stream=True, said=said, **more)
        received = b""
        while len(texts.get(number, "")) < 10:
            received += await reader.read(65536)
            texts[number] = dialect.text_of_stream(received.replace(b"\r\n", b"\n"))
        await simulator.until(lambda account: len(texts) == account.total.requests == 200)
        writer.close()

    async with Simulator(pacing=pacing) as simulator:
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(one, number)
        await simulator.until(lambda account: account.total.aborted == 200)
        await simulator.until(lambda account: account.connections_open == 0)
    for number, text in texts.items():
        assert expected_text(dialect.model, f"question {number}", 20_000).startswith(text)


async def test_a_request_that_ends_in_its_middle_is_no_call_and_no_error(
    dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    async with Simulator() as simulator:
        head = f"POST {dialect.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n"
        for sent in ("", head[:20], head, f"{head}{{"):
            await send_and_leave(simulator, sent.encode())
        await simulator.until(lambda account: account.connections_accepted == 4)
        await simulator.until(lambda account: account.connections_open == 0)
        assert simulator.account.total.requests == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def send_and_leave(simulator: Simulator, data: bytes) -> None:
    host, _, port = simulator.base_url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    writer.close()


async def test_leaving_does_not_wait_for_a_reader_that_does_not_read(dialect: Dialect) -> None:
    more = {} if dialect.openai else {"max_tokens": 200_000}
    async with Simulator(pacing=Pacing(output_tokens=150_000)) as simulator:
        _, writer = await dialect.raw(simulator, stream=True, **more)
        await simulator.until(lambda account: account.total.sent_tokens > 0)
        cast("asyncio.Transport", writer.transport).pause_reading()
    await simulator.until(lambda account: account.connections_open == 0)
    assert simulator.account.total.stopped == 1
    writer.close()


async def test_it_comes_back_on_the_same_port_with_its_books(dialect: Dialect) -> None:
    simulator = Simulator()
    for round_number in (1, 2):
        async with simulator, client_of(simulator) as client:
            assert (await dialect.post(client)).status_code == 200
            _, writer = await dialect.raw(simulator, stream=True, model="slow")
            await simulator.until(lambda account: account.total.running == 0)
            writer.close()
            url = simulator.base_url
        assert simulator.account.tally(model=dialect.model).completed == round_number
        assert simulator.base_url == url


async def test_leaving_stops_what_is_under_way(dialect: Dialect) -> None:
    async with Simulator(pacing=Pacing(think_seconds=60)) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True)
        await simulator.until(lambda account: account.total.running == 1)
    assert simulator.account.total.stopped == 1
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match=r".+"):
        await dialect.raw(simulator, stream=True)


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_as_it_leaves_is_dropped_too(turns: int) -> None:
    """Accepted by the kernel, by the loop, or made: whoever keeps it finds nobody there."""
    simulator = Simulator(vendors=["openai"])
    loop = asyncio.get_running_loop()
    with socket.socket() as late:
        late.setblocking(False)
        async with simulator:
            host, _, port = simulator.base_url.removeprefix("http://").rpartition(":")
            with contextlib.suppress(BlockingIOError):
                late.connect((host, int(port)))
            for _ in range(turns):
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(late, b"GET /control/account HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await loop.sock_recv(late, 1) == b""


async def test_connections_are_counted(
    simulator: Simulator, client: httpx.AsyncClient, dialect: Dialect
) -> None:
    await dialect.post(client)
    await dialect.post(client)
    assert simulator.account.connections_accepted == 1
    assert simulator.account.connections_open == 1
    await client.aclose()
    await simulator.until(lambda account: account.connections_open == 0)


async def test_arrivals_are_in_order_and_on_a_steady_clock(
    simulator: Simulator, client: httpx.AsyncClient, openai: Dialect, anthropic: Dialect
) -> None:
    for dialect in (openai, anthropic, openai):
        await dialect.post(client)
    attempts = simulator.account.attempts
    assert [one.vendor for one in attempts] == ["openai", "anthropic", "openai"]
    assert [one.number for one in attempts] == [1, 2, 3]
    assert attempts[0].arrived <= attempts[1].arrived <= attempts[2].arrived


async def test_the_bill_is_that_of_the_usage_told(openai: Dialect) -> None:
    async with Simulator(prices={"openai/model-1": PRICE}) as simulator, client_of(simulator) as c:
        usage = (await openai.post(c)).json()["usage"]
        expected = usage["prompt_tokens"] * 2000 + usage["completion_tokens"] * 10_000
        assert simulator.account.tally("openai", "model-1").billed_nanodollars == expected


async def test_every_answer_says_that_it_is_simulated(
    simulator: Simulator, client: httpx.AsyncClient, dialect: Dialect
) -> None:
    prefix = f"/{dialect.vendor}/v1"
    answers = [
        await dialect.post(client),
        await dialect.post(client, stream=True),
        await dialect.post(client, model=None),
        await client.get(f"{prefix}/models", headers=dialect.headers),
        await client.get(f"{prefix}/models"),
        await client.get(f"{prefix}/nothing"),
        await client.get("/nothing"),
        await client.get("/_simulator/account"),
        await client.get("/_simulator/nothing"),
    ]
    assert [one.headers["x-routerd-simulated"] for one in answers] == ["1"] * len(answers)
    assert [one.status_code for one in answers] == [200, 200, 400, 200, 401, 404, 404, 200, 404]


async def test_ids_differ_between_calls_and_repeat_with_the_seed(dialect: Dialect) -> None:
    seen: list[list[str]] = []
    for seed in ("a", "a", "b"):
        async with Simulator(seed=seed) as simulator, client_of(simulator) as client:
            seen.append([(await dialect.post(client)).json()["id"] for _ in range(2)])
    assert seen[0] == seen[1]
    assert len({*seen[0], *seen[2]}) == 4


async def test_the_books_are_read_over_http(
    simulator: Simulator, client: httpx.AsyncClient, dialect: Dialect
) -> None:
    await dialect.post(client)
    told = await client.get("/_simulator/account")
    snapshot = msgspec.json.decode(told.content, type=AccountSnapshot)
    assert snapshot == simulator.account.snapshot()
    assert snapshot.total.completed == 1


async def test_faults_are_changed_while_it_runs(
    simulator: Simulator, client: httpx.AsyncClient, dialect: Dialect
) -> None:
    given = [{"kind": "status", "status": 500, "times": 1}, "status:503,times=1"]
    told = await client.post("/_simulator/faults", json=given)
    assert [one["status"] for one in told.json()] == [500, 503]
    assert [(await dialect.post(client)).status_code for _ in range(3)] == [500, 503, 200]
    assert (await client.get("/_simulator/faults")).json() == told.json()
    await client.post("/_simulator/faults", json=["status:500"])
    assert (await client.delete("/_simulator/faults")).json() == []
    assert simulator.script.faults == ()
    assert (await dialect.post(client)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", b"["),
        ("faults", b'{"kind":"reset"}'),
        ("faults", b'["burn"]'),
        ("faults", b'[{"kind":"cut","status":500}]'),
        ("pacing", b'{"speed":3}'),
        ("pacing", b'{"think_seconds":-1}'),
    ],
)
async def test_what_cannot_be_set_is_refused_and_changes_nothing(
    simulator: Simulator, client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    simulator.script.replace([Fault(kind="reset", times=1)])
    before = simulator.script.faults, simulator.pacing
    refused = await client.post(f"/_simulator/{path}", content=body)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert (simulator.script.faults, simulator.pacing) == before


async def test_the_pacing_is_changed_while_it_runs(
    simulator: Simulator, client: httpx.AsyncClient, dialect: Dialect
) -> None:
    told = await client.post("/_simulator/pacing", json={"output_tokens": 7})
    assert (
        told.json()["output_tokens"]
        == (await client.get("/_simulator/pacing")).json()["output_tokens"]
    )
    text = dialect.text_of_body((await dialect.post(client)).json())
    assert text == expected_text(dialect.model, dialect.said, 7)
    assert simulator.pacing == Pacing(output_tokens=7)


async def test_bare_paths_find_their_vendor(
    client: httpx.AsyncClient, openai: Dialect, anthropic: Dialect
) -> None:
    for dialect in (openai, anthropic):
        path = dialect.path.removeprefix(f"/{dialect.vendor}")
        body = dialect.body(stream=False)
        answered = await client.post(path, headers=dialect.headers, json=body)
        assert dialect.text_of_body(answered.json())
    listed = (await client.get("/v1/models", headers=openai.headers)).json()
    assert listed["object"] == "list"
    listed = (await client.get("/v1/models", headers=anthropic.headers)).json()
    assert listed["has_more"] is False


async def test_only_the_vendors_asked_for_are_there(openai: Dialect, anthropic: Dialect) -> None:
    async with Simulator(vendors=["anthropic"]) as simulator, client_of(simulator) as client:
        assert (await anthropic.post(client)).status_code == 200
        assert (await openai.post(client)).status_code == 404
        listed = await client.get("/v1/models", headers=anthropic.headers)
        assert "has_more" in listed.json()
    for wrong in (["acme"], []):
        with pytest.raises(ValueError, match="choose of openai, openai-responses, anthropic"):
            Simulator(vendors=wrong)


async def test_given_models_are_the_only_ones(dialect: Dialect) -> None:
    models = ["openai/only-a", "anthropic/only-b", "model-1", "open/weights"]
    own = "only-a" if dialect.openai else "only-b"
    async with Simulator(models=models) as simulator, client_of(simulator) as client:
        prefix = f"/{dialect.vendor}/v1/models"
        listed = (await client.get(prefix, headers=dialect.headers)).json()["data"]
        assert [one["id"] for one in listed] == [own, "model-1", "open/weights"]
        assert (await client.get(f"{prefix}/{own}", headers=dialect.headers)).json()["id"] == own
        missing = await client.get(f"{prefix}/other", headers=dialect.headers)
        unknown = await dialect.post(client, model="other")
        assert (await dialect.post(client, model=own)).status_code == 200
        attempts = simulator.account.attempts
    for refused in (missing, unknown):
        assert refused.status_code == 404
        error = refused.json()["error"]
        assert error.get("code" if dialect.openai else "type") == (
            "model_not_found" if dialect.openai else "not_found_error"
        )
    assert [one.outcome for one in attempts] == ["refused", "completed"]


async def test_a_body_over_the_limit_is_refused(dialect: Dialect) -> None:
    async with Simulator(body_limit=2000) as simulator, client_of(simulator) as client:
        refused = await dialect.post(client, said="x" * 5000)
        assert refused.status_code == 413
        assert refused.json()["error"]["message"]


@pytest.fixture
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return serving, trusting


async def test_it_speaks_tls_and_resets_there_too(
    dialect: Dialect, certified: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    serving, trusting = certified
    async with Simulator(ssl_context=serving) as simulator:
        assert simulator.base_url.startswith("https://")
        async with httpx.AsyncClient(
            base_url=simulator.base_url, trust_env=False, verify=trusting
        ) as client:
            assert (await dialect.post(client)).status_code == 200
            simulator.script.replace([Fault(kind="reset", times=1)])
            with pytest.raises(httpx.ReadError):
                await dialect.post(client)
            assert (await dialect.post(client)).status_code == 200


async def test_serving_tells_its_address_and_ends_when_cancelled(dialect: Dialect) -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    simulator = Simulator()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, simulator, ready.put_nowait)
        assert await ready.get() == simulator.base_url
        async with client_of(simulator) as client:
            assert (await dialect.post(client)).status_code == 200
        tasks.cancel_scope.cancel()
    await simulator.until(lambda account: account.connections_open == 0)


async def test_running_takes_what_a_command_line_gives(openai: Dialect) -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    given: dict[str, Any] = {
        "vendors": ["openai"],
        "faults": ["status:503,times=1", Fault(kind="status", status=500, times=1)],
        "pacing": Pacing(output_tokens=3),
        "on_ready": ready.put_nowait,
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run(**given))
        async with httpx.AsyncClient(base_url=await ready.get(), trust_env=False) as client:
            answers = [await openai.post(client) for _ in range(3)]
        tasks.cancel_scope.cancel()
    assert [one.status_code for one in answers] == [503, 500, 200]
    assert answers[2].json()["usage"]["completion_tokens"] == 3


async def test_running_refuses_a_wrong_fault_before_it_opens_a_port() -> None:
    with pytest.raises(ValueError, match="unknown fault 'burn'"):
        await run(faults=["burn"], on_ready=pytest.fail)
