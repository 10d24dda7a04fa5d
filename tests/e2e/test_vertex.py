"""Vertex against a real daemon: every source of tokens, their renewal, and a source that fails."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Simulator, expected_text
from routerd_client import RouterdError
from tests.daemon.providers.tokens.endpoint import (
    AUTHORIZED_USER,
    PRIVATE_KEY,
    TokenEndpoint,
    service_account,
)
from tests.e2e.conftest import MOVING, NO_DISCOVERY, Daemon

MODEL = "gemini-3.8-flash"
SAID = "Tell me a story"
TEXT = expected_text(MODEL, SAID)
DIRECTORY = f"""\
[deployments."vertex/{MODEL}"]
model = "{MODEL}"
provider = "vertex"
provider_model = "{MODEL}"
region = "global"
price = {{ source = "a test", input = 750_000_000, output = 3_750_000_000 }}
"""
PROJECT = "/vertex/v1/projects/{project}/locations/global"
SECRETS = ("ya29.", "a-client-secret", "1//a-refresh-token", PRIVATE_KEY.splitlines()[1])
Start = Callable[..., Any]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["vertex"]) as running:
        yield running


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint() as running:
        yield running


@pytest.fixture
def start(launch: Callable[..., Daemon], tmp_path: Path, simulator: Simulator) -> Start:
    """Start a daemon with Vertex, whose table ends with these lines."""

    async def starting(lines: str, **environ: str) -> Daemon:
        await anyio.Path(tmp_path / "mine.toml").write_text(DIRECTORY)
        base_url = simulator.base_url + PROJECT
        table = f'[providers.vertex]\nbase_url = "{base_url}"\nsimulated = true\n{lines}'
        text = f'directory = ["mine.toml"]\n{NO_DISCOVERY}{MOVING}{table}'
        file = tmp_path / "config.toml"
        await anyio.Path(file).write_text(text)
        daemon = await anyio.to_thread.run_sync(
            lambda: launch(f"--config={file}", environ={"GOOGLE_CLOUD_PROJECT": "p-9"} | environ)
        )
        await anyio.to_thread.run_sync(daemon.wait_until_ready)
        return daemon

    return starting


async def assert_nothing_shows(daemon: Daemon) -> None:
    log = await anyio.to_thread.run_sync(lambda: daemon.log)
    ledger = await anyio.Path(daemon.ledger).read_bytes()
    for secret in SECRETS:
        assert secret not in log
        assert secret.encode() not in ledger


def printing(endpoint_file: Path) -> str:
    """Return a command that prints what a file holds."""
    code = f"import sys; sys.stdout.write(open({str(endpoint_file)!r}).read())"
    return f"token_command = {json.dumps([sys.executable, '-c', code])}\n"


@pytest.mark.parametrize("source", ["service account", "user", "metadata", "command", "named file"])
async def test_the_three_entry_points(
    start: Start, tmp_path: Path, simulator: Simulator, endpoint: TokenEndpoint, source: str
) -> None:
    file, environ = tmp_path / "key", {"GCE_METADATA_HOST": endpoint.host}
    held = service_account(endpoint.url)
    lines = f'key_file = "{file}"\n'
    if source == "user":
        held = json.dumps(AUTHORIZED_USER | {"token_uri": endpoint.url})
    elif source == "metadata":
        lines = 'token_metadata = "google"\n'
    elif source == "command":
        held, lines = "ya29.printed", printing(file)
    elif source == "named file":
        environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(file)
        lines = ""
    await anyio.Path(file).write_text(held)
    daemon = await start(lines, **environ)
    async with daemon.client() as client:
        stream = client.stream(MODEL, SAID)
        pieces = [text async for text in stream.text]
        replies = [stream.reply, await client.acomplete(MODEL, SAID)]
    with daemon.client() as client:
        replies.append(await anyio.to_thread.run_sync(client.complete, MODEL, SAID))
    assert ("".join(pieces), len(pieces) > 1) == (TEXT, True)
    for reply in replies:
        assert (reply.text, reply.provider, reply.finish) == (TEXT, "vertex", "stop")
        assert (reply.cost_basis, bool(reply.cost_nanodollars)) == ("measured", True)
    assert [one.outcome for one in simulator.account.attempts] == ["completed"] * 3
    assert endpoint.asked == (0 if source == "command" else 1)
    await assert_nothing_shows(daemon)


async def test_a_token_is_renewed_while_calls_go_on(
    start: Start, tmp_path: Path, simulator: Simulator
) -> None:
    async with TokenEndpoint(seconds=2) as endpoint:
        await anyio.Path(tmp_path / "key").write_text(service_account(endpoint.url))
        daemon = await start(f'key_file = "{tmp_path / "key"}"\n')
        calls = 0
        async with daemon.client() as client:
            while endpoint.given < 4:
                reply = await client.acomplete(MODEL, SAID)
                assert (reply.text, reply.attempts) == (TEXT, 1)
                calls += 1
    assert [one.outcome for one in simulator.account.attempts] == ["completed"] * calls
    names = [event["event"] for event in await daemon.events()]
    assert not any(name.startswith("token_") for name in names)
    await assert_nothing_shows(daemon)


async def test_a_reload_keeps_the_token(
    start: Start, tmp_path: Path, endpoint: TokenEndpoint
) -> None:
    await anyio.Path(tmp_path / "key").write_text(service_account(endpoint.url))
    daemon = await start(f'key_file = "{tmp_path / "key"}"\n')
    async with daemon.client() as client:
        await client.acomplete(MODEL, SAID)
    with daemon.client() as blocking:
        changed = await anyio.to_thread.run_sync(blocking.command, "reload")
    assert changed["providers"]["changed"] == []
    async with daemon.client() as client:
        assert (await client.acomplete(MODEL, SAID)).text == TEXT
    assert endpoint.asked == 1


async def test_a_source_that_fails_is_a_clear_error_and_nothing_is_sent(
    start: Start, tmp_path: Path, simulator: Simulator
) -> None:
    async with TokenEndpoint(statuses=(400,) * 50) as endpoint:
        await anyio.Path(tmp_path / "key").write_text(service_account(endpoint.url))
        daemon = await start(f'key_file = "{tmp_path / "key"}"\n')
        async with daemon.client() as client:
            with pytest.raises(RouterdError) as raised:
                await client.acomplete(MODEL, SAID)
        asked = endpoint.asked
    error = raised.value
    assert (error.code, error.blame, error.retryable) == ("auth", "router", False)
    assert "a service account answered with status 400: invalid_grant" in str(error)
    assert error.details["code"] == "invalid_grant"
    # Once for all: it is left alone for a while.
    assert asked == 1
    assert simulator.account.attempts == ()
    told = [event for event in await daemon.events() if event["event"] == "token_unrenewed"]
    assert [(one["provider"], one["error_code"], one["level"]) for one in told] == [
        ("vertex", "invalid_grant", "error")
    ]
    await assert_nothing_shows(daemon)


async def test_a_source_that_is_slow_is_no_fault_of_the_provider(
    start: Start, simulator: Simulator
) -> None:
    sleeping = json.dumps([sys.executable, "-c", "import time; time.sleep(60)"])
    limits = "[timeouts]\nheaders = 0.5\nfirst_content = 0.5\nwhole_answer = 0.5\n"
    daemon = await start(f"token_command = {sleeping}\n{limits}")
    async with daemon.client() as client:
        for _ in range(4):
            with pytest.raises(RouterdError) as raised:
                await client.acomplete(MODEL, SAID)
            assert raised.value.code == "auth"
            assert "gave none in the time that a call may wait" in str(raised.value)
    with daemon.client() as blocking:
        status = await anyio.to_thread.run_sync(blocking.command, "status")
    assert [row["state"] for row in status["health"]] == ["passing"]
    assert [(row["provider"], row["cooling_because"]) for row in status["keys"]] == [
        ("vertex", "auth")
    ]
    assert simulator.account.attempts == ()


async def test_the_key_of_a_failing_source_rests_and_another_one_serves(
    start: Start, tmp_path: Path, simulator: Simulator, endpoint: TokenEndpoint
) -> None:
    await anyio.Path(tmp_path / "key").write_text(service_account(endpoint.url))
    failing = json.dumps([sys.executable, "-c", "raise SystemExit(3)"])
    daemon = await start(
        f"[providers.vertex.keys.broken]\ntoken_command = {failing}\n"
        f'[providers.vertex.keys.account]\nkey_file = "{tmp_path / "key"}"\n'
    )
    async with daemon.client() as client:
        replies = [await client.acomplete(MODEL, SAID) for _ in range(3)]
    # The first call finds out, and is served all the same; the others know.
    assert [reply.text for reply in replies] == [TEXT] * 3
    assert [reply.attempts for reply in replies] == [2, 1, 1]
    assert [one.outcome for one in simulator.account.attempts] == ["completed"] * 3


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('token_command = ["no-such-program-anywhere"]\n', "expected a program that can be run"),
        ('token_metadata = "google"\nkey_env = "KEY"\n', "leave key_env out"),
        ('key_file = "{file}"\n', "of the type external_account"),
    ],
)
async def test_a_mistake_is_told_at_the_start(
    launch: Callable[..., Daemon], tmp_path: Path, lines: str, said: str
) -> None:
    file = tmp_path / "key"
    await anyio.Path(file).write_text('{"type": "external_account"}')
    await anyio.Path(tmp_path / "mine.toml").write_text(DIRECTORY)
    table = f"[providers.vertex]\n{lines.format(file=file)}"
    config = tmp_path / "config.toml"
    await anyio.Path(config).write_text(f'directory = ["mine.toml"]\n{NO_DISCOVERY}{table}')
    daemon = await anyio.to_thread.run_sync(lambda: launch(f"--config={config}", environ={}))
    assert await anyio.to_thread.run_sync(daemon.wait_for_end) != 0
    assert said in await anyio.to_thread.run_sync(lambda: daemon.log)
