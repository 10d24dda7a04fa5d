"""Each fault over a real connection, for each vendor, streamed and not."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from routerd.simulate import Fault, Pacing, Simulator, expected_text
from routerd.simulate.answer import text_tokens

if TYPE_CHECKING:
    from .conftest import Dialect

TOKENS = 20


def faulty(fault: Fault, **more: Any) -> Simulator:
    return Simulator(script=[fault], pacing=Pacing(output_tokens=TOKENS, **more))


def client_of(simulator: Simulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=simulator.base_url, trust_env=False)


def first_tokens(dialect: Dialect, count: int) -> str:
    return "".join(text_tokens(dialect.model, dialect.said, TOKENS)[:count])


def whole_text(dialect: Dialect) -> str:
    return expected_text(dialect.model, dialect.said, TOKENS)


@pytest.mark.parametrize("stream", [True, False])
async def test_status_gives_the_vendors_error_so_many_times(dialect: Dialect, stream: bool) -> None:
    fault = Fault(kind="status", status=429, retry_after=2, times=1)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        refused = await dialect.post(client, stream=stream)
        served = await dialect.post(client, stream=stream)
        attempts = simulator.account.attempts
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.headers["x-routerd-simulated"] == "1"
    error = refused.json()["error"]
    if dialect.openai:
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert refused.headers["x-ratelimit-reset-requests"] == "2s"
    else:
        assert error["type"] == "rate_limit_error"
        assert refused.json()["request_id"] == refused.headers["request-id"]
        assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert served.status_code == 200
    assert [(one.fault, one.outcome, one.status) for one in attempts] == [
        ("status", "refused", 429),
        (None, "completed", 200),
    ]


async def test_a_rate_limit_without_a_time_names_none_anywhere(dialect: Dialect) -> None:
    async with faulty(Fault(kind="status", status=429)) as simulator, client_of(simulator) as http:
        headers = (await dialect.post(http)).headers
    assert [name for name in headers if "retry-after" in name] == []
    spent = [name for name, value in headers.items() if "remaining" in name and value == "0"]
    assert spent
    assert not {name.replace("remaining", "reset") for name in spent} & set(headers)


OPENAI_ERRORS = [
    (400, None, "invalid_request_error", None),
    (400, "context_length_exceeded", "invalid_request_error", "context_length_exceeded"),
    (401, None, "invalid_request_error", "invalid_api_key"),
    (403, None, "request_forbidden", "unsupported_country_region_territory"),
    (404, None, "invalid_request_error", "model_not_found"),
    (429, "insufficient_quota", "insufficient_quota", "insufficient_quota"),
    (500, None, "server_error", None),
    (503, None, "service_unavailable_error", "server_is_overloaded"),
    (400, "some_new_code", "invalid_request_error", "some_new_code"),
]
ANTHROPIC_ERRORS = [
    (400, None, "invalid_request_error", None),
    (400, "context_length_exceeded", "invalid_request_error", None),
    (401, None, "authentication_error", None),
    (402, None, "billing_error", None),
    (403, None, "permission_error", None),
    (404, None, "not_found_error", None),
    (429, "enforced_spend_limit_reached", "rate_limit_error", "enforced_spend_limit_reached"),
    (500, None, "api_error", None),
    (529, None, "overloaded_error", None),
    (503, "cmek_key_unreachable", "api_error", "cmek_key_unreachable"),
    (500, "timeout_error", "timeout_error", None),
]


@pytest.mark.parametrize(
    ("vendor", "status", "code", "kind", "told"),
    [("openai", *case) for case in OPENAI_ERRORS]
    + [("anthropic", *case) for case in ANTHROPIC_ERRORS],
)
async def test_each_status_has_the_vendors_own_words(
    request: pytest.FixtureRequest,
    vendor: str,
    status: int,
    code: str | None,
    kind: str,
    told: str | None,
) -> None:
    dialect: Dialect = request.getfixturevalue(vendor)
    fault = Fault(kind="status", status=status, code=code)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        refused = await dialect.post(client)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (status, kind)
    if dialect.openai:
        assert error["code"] == told
        assert "param" in error
    else:
        assert error.get("details", {}).get("error_code") == told
        assert refused.json()["type"] == "error"
    assert error["message"]


@pytest.mark.parametrize("status", [502, 520])
async def test_a_vendor_that_is_not_there_gives_a_page(dialect: Dialect, status: int) -> None:
    fault = Fault(kind="status", status=status)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        refused = await dialect.post(client)
    assert refused.status_code == status
    assert refused.headers["content-type"].startswith("text/html")
    assert "<html>" in refused.text


async def test_a_wait_finer_than_seconds_is_told_in_milliseconds(dialect: Dialect) -> None:
    fault = Fault(kind="status", status=429, retry_after=0.25)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        headers = (await dialect.post(client)).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "250")


@pytest.mark.parametrize("stream", [True, False])
async def test_reset_is_a_tcp_reset_before_any_byte(dialect: Dialect, stream: bool) -> None:
    async with faulty(Fault(kind="reset")) as simulator:
        reader, writer = await dialect.raw(simulator, stream=stream)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await simulator.until(lambda account: account.total.broken == 1)
        assert simulator.account.total.output_tokens == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_lasts_until_the_client_leaves(dialect: Dialect, stream: bool) -> None:
    async with faulty(Fault(kind="silence")) as simulator:
        reader, writer = await dialect.raw(simulator, stream=stream)
        await simulator.until(lambda account: account.total.faulted == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.close()
        await simulator.until(lambda account: account.total.aborted == 1)
        (attempt,) = simulator.account.attempts
    assert (attempt.fault, attempt.status, attempt.sent_tokens) == ("silence", None, 0)
    assert attempt.usage.input == attempt.usage.output == 0


@pytest.mark.parametrize("speed", [None, 2000.0])
async def test_cut_ends_the_connection_inside_a_chunk(
    dialect: Dialect, speed: float | None
) -> None:
    fault = Fault(kind="cut", after_tokens=7)
    async with faulty(fault, tokens_per_second=speed) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True)
        received = await reader.read()
        writer.close()
        await simulator.until(lambda account: account.total.broken == 1)
        (attempt,) = simulator.account.attempts
    assert dialect.end not in received
    assert not received.endswith(b"0\r\n\r\n")
    # The last chunk promises more than it brings.
    *_, promised, brought = received.split(b"\r\n")
    assert 0 < len(brought) < int(promised, 16)
    assert dialect.text_of_stream(received.replace(b"\r\n", b"\n")) == first_tokens(dialect, 7)
    assert (attempt.sent_tokens, attempt.usage.output) == (7, 7)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_may_be_reset_in_its_middle(dialect: Dialect, stream: bool) -> None:
    fault = Fault(kind="reset_in_answer", after_tokens=7)
    async with faulty(fault) as simulator:
        reader, writer = await dialect.raw(simulator, stream=stream)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await simulator.until(lambda account: account.total.broken == 1)
        (attempt,) = simulator.account.attempts
    assert (attempt.fault, attempt.status) == ("reset_in_answer", 200)
    assert attempt.ended is not None
    assert attempt.ended >= attempt.arrived


async def test_a_model_may_refuse_to_go_on_with_the_callers_words(dialect: Dialect) -> None:
    fault = Fault(kind="status", status=400, code="prefill_refused", prefilled=True)
    begun = [{"role": "user", "content": "Go on"}, {"role": "assistant", "content": "Once"}]
    async with faulty(fault) as simulator, client_of(simulator) as client:
        assert (await dialect.post(client)).status_code == 200
        refused = await dialect.post(client, messages=begun)
    assert refused.status_code == 400
    if not dialect.openai:
        assert "prefill" in refused.json()["error"]["message"]


async def test_a_cut_stream_is_an_error_to_a_client(dialect: Dialect) -> None:
    async with faulty(Fault(kind="cut")) as simulator, client_of(simulator) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await dialect.post(client, stream=True)


@pytest.mark.parametrize("kind", ["cut", "stall"])
async def test_a_body_is_cut_or_held_before_its_promised_length(
    dialect: Dialect, kind: Any
) -> None:
    async with faulty(Fault(kind=kind)) as simulator:
        reader, writer = await dialect.raw(simulator, stream=False)
        head = await reader.readuntil(b"\r\n\r\n")
        promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if kind == "cut":
            received = await reader.read()
        else:
            received = await reader.readexactly(promised // 2 - 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(promised), 0.05)
        assert 0 < len(received) < promised
        writer.close()
        expected = "broken" if kind == "cut" else "aborted"
        await simulator.until(lambda account: getattr(account.total, expected) == 1)


async def test_stall_stops_and_holds_the_connection(dialect: Dialect) -> None:
    async with faulty(Fault(kind="stall", after_tokens=3)) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True)
        await simulator.until(lambda account: account.total.sent_tokens == 3)
        received = b""
        while dialect.text_of_stream(received.replace(b"\r\n", b"\n")) != first_tokens(dialect, 3):
            received += await reader.read(4096)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        assert simulator.account.total.running == 1
        writer.close()
        await simulator.until(lambda account: account.total.aborted == 1)
        assert simulator.account.attempts[0].usage.output == 3


async def test_malformed_adds_one_broken_event_and_goes_on(dialect: Dialect) -> None:
    async with faulty(Fault(kind="malformed")) as simulator, client_of(simulator) as client:
        received = (await dialect.post(client, stream=True)).content
        assert simulator.account.total.completed == 1
    broken = []
    for event in received.split(b"\n\n"):
        payload = event.partition(b"data: ")[2]
        if payload and payload != b"[DONE]":
            try:
                json.loads(payload)
            except json.JSONDecodeError:
                broken.append(payload)
    assert len(broken) == 1
    assert dialect.text_of_stream(received) == whole_text(dialect)
    assert received.endswith(dialect.end)


@pytest.mark.parametrize("after", [None, 0, 4])
async def test_missing_end_is_a_clean_close_with_no_finish(
    dialect: Dialect, after: int | None
) -> None:
    fault = Fault(kind="missing_end", after_tokens=after)
    more = {"stream_options": {"include_usage": True}} if dialect.openai else {}
    async with faulty(fault) as simulator, client_of(simulator) as client:
        received = (await dialect.post(client, stream=True, **more)).content
        assert simulator.account.total.broken == 1
    expected = whole_text(dialect) if after is None else first_tokens(dialect, after)
    assert dialect.text_of_stream(received) == expected
    assert dialect.end not in received
    assert b'"finish_reason":"' not in received
    assert b"message_delta" not in received
    assert b'"total_tokens"' not in received


async def test_missing_mark_leaves_out_the_last_event_alone(dialect: Dialect) -> None:
    fault = Fault(kind="missing_mark", times=1)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        received, whole = [(await dialect.post(client, stream=True)).content for _ in range(2)]
        answer = (await dialect.post(client)).json()
        outcomes = [attempt.outcome for attempt in simulator.account.attempts]
    assert outcomes == ["broken", "completed", "completed"]
    assert dialect.text_of_stream(received) == whole_text(dialect)
    assert dialect.text_of_body(answer) == whole_text(dialect)
    assert dialect.end not in received
    assert len(received.split(b"\n\n")) == len(whole.split(b"\n\n")) - 1


async def test_an_error_comes_inside_the_stream(dialect: Dialect) -> None:
    fault = Fault(kind="error_in_stream", after_tokens=2)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        received = (await dialect.post(client, stream=True)).content
    *_, last = dialect.events(received)
    assert dialect.text_of_stream(received) == first_tokens(dialect, 2)
    if dialect.openai:
        assert last["error"]["type"] == "server_error"
    else:
        assert last["error"]["type"] == "overloaded_error"
        assert received.split(b"\n\n")[-2].startswith(b"event: error\n")
    assert dialect.end not in received


async def test_the_error_inside_a_stream_may_be_chosen(dialect: Dialect) -> None:
    fault = Fault(kind="error_in_stream", code="rate_limit_exceeded")
    async with faulty(fault) as simulator, client_of(simulator) as client:
        received = (await dialect.post(client, stream=True)).content
    error = dialect.events(received)[-1]["error"]
    assert error["type"] == ("requests" if dialect.openai else "rate_limit_error")


async def test_slow_first_token_holds_it_back_after_the_headers(dialect: Dialect) -> None:
    async with faulty(Fault(kind="slow_first_token", seconds=60)) as simulator:
        reader, writer = await dialect.raw(simulator, stream=True)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert dialect.text_of_stream(await reader.read(4096)) == ""
        assert simulator.account.total.sent_tokens == 0
        writer.close()
        await simulator.until(lambda account: account.total.aborted == 1)


async def test_slow_first_token_then_goes_on(dialect: Dialect) -> None:
    fault = Fault(kind="slow_first_token", seconds=0.02)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        received = (await dialect.post(client, stream=True)).content
        assert simulator.account.total.completed == 1
    assert dialect.text_of_stream(received) == whole_text(dialect)
    assert received.endswith(dialect.end)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("malformed", "broken"),
        ("missing_end", "broken"),
        ("error_in_stream", "broken"),
        ("slow_first_token", "completed"),
    ],
)
async def test_faults_of_an_answer_that_is_not_streamed(
    dialect: Dialect, kind: Any, outcome: str
) -> None:
    fault = Fault(kind=kind, seconds=0.01 if kind == "slow_first_token" else None)
    async with faulty(fault) as simulator, client_of(simulator) as client:
        response = await dialect.post(client)
        assert simulator.account.attempts[0].outcome == outcome
    assert response.status_code == 200
    if kind in {"malformed", "missing_end"}:
        with pytest.raises(json.JSONDecodeError):
            response.json()
    elif kind == "error_in_stream":
        assert response.json()["error"]["message"]
    else:
        assert dialect.text_of_body(response.json()) == whole_text(dialect)


async def test_probes_fail_only_where_they_are_meant(dialect: Dialect) -> None:
    path = f"/{dialect.vendor}/v1/models"
    outage = Fault(kind="status", status=503, scope="all")
    async with faulty(outage) as simulator, client_of(simulator) as client:
        assert (await client.get(path, headers=dialect.headers)).status_code == 503
        assert (await dialect.post(client)).status_code == 503
        simulator.script.replace([Fault(kind="status", status=503)])
        assert (await client.get(path, headers=dialect.headers)).status_code == 200
        assert (await dialect.post(client)).status_code == 503
        simulator.script.replace([Fault(kind="reset", scope="probes")])
        with pytest.raises(httpx.ReadError):
            await client.get(path, headers=dialect.headers)
        assert (await dialect.post(client)).status_code == 200
        assert simulator.account.probes == {dialect.vendor: 3}
        simulator.script.replace([Fault(kind="silence", scope="probes")])
        with pytest.raises(httpx.ReadTimeout):
            await client.get(path, headers=dialect.headers, timeout=0.05)
