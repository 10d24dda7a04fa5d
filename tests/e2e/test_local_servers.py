"""Model servers of your own: found, asked for models, and the only ones to see private text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Simulator, expected_ranking, expected_vector, parse_fault
from routerd_client import Client, RouterdError
from tests.e2e.conftest import NO_DISCOVERY, Daemon
from tests.e2e.processes import routerd_beside

Launch = Callable[..., Daemon]
MODELS = ("qwen3:8b", "my-own-tune", "nomic-embed-text:latest")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    """Simulate a server with three models that, as such servers do, asks for no key."""
    async with Simulator(vendors=["openai"], models=MODELS) as server:
        monkeypatch.setattr(server._vendors["openai"], "authenticate", lambda asked: None)
        yield server


async def start(launch: Launch, *arguments: str, **environ: str) -> Daemon:
    return await anyio.to_thread.run_sync(
        lambda: launch(*arguments, environ=environ).wait_until_ready()
    )


@pytest.mark.parametrize("kind", ["ollama", "vllm", "llamacpp"])
async def test_a_local_server_serves_local_and_private_calls(
    server: Simulator, launch: Launch, kind: str
) -> None:
    places = f"{kind}={server.base_url}/openai/v1"
    daemon = await start(launch, ROUTERD_LOCAL_SERVERS=places)
    async with daemon.client() as client:
        (provider,) = (await client.acommand("status"))["providers"]
        for target in ("local", "private", "open-weight"):
            reply = await client.acomplete(target, "Hello", sensitivity="private")
            assert reply.deployment == f"{kind}/qwen3:8b"
            assert (reply.cost_nanodollars, reply.degraded) == (0, None)
        reply = await client.acomplete(f"{kind}/my-own-tune", "Hello")
        assert reply.provider == kind
        vectors = await client.aembed(f"{kind}/{MODELS[2]}", ["Hello"], sensitivity="private")
        assert list(vectors.vectors[0]) == expected_vector(MODELS[2], "Hello")
        assert (vectors.provider, vectors.cost_nanodollars) == (kind, 0)
        with pytest.raises(RouterdError, match="embedding"):
            await client.acomplete(f"{kind}/{MODELS[2]}", "Hello")
        async for _ in (stream := client.stream("local", "Hello")):
            pass
        assert stream.reply.finish == "stop"
    assert (provider["name"], provider["boundary"]) == (kind, "machine")
    assert provider["deployments"] == 3
    models = [attempt.model for attempt in server.account.attempts]
    assert models == ["qwen3:8b"] * 3 + ["my-own-tune", MODELS[2], "qwen3:8b"]


async def test_ollama_host_names_the_place(server: Simulator, launch: Launch) -> None:
    # Ollama's own variable holds no path but one that a proxy in front of it adds.
    daemon = await start(launch, OLLAMA_HOST=f"{server.base_url}/openai")
    async with daemon.client() as client:
        names = [item["name"] for item in (await client.acommand("status"))["providers"]]
        reply = await client.acomplete("ollama/qwen3:8b", "Hello")
    assert "ollama" in names
    assert reply.provider == "ollama"


async def test_a_server_that_a_file_names_is_asked_for_its_models(
    server: Simulator, launch: Launch, tmp_path: Path
) -> None:
    text = f"""{NO_DISCOVERY}
[providers.gpu-box]
adapter = "openai"
dialect = "compatible"
base_url = "{server.base_url}/openai/v1/"
boundary = "own-network"
"""
    file = tmp_path / "routerd.toml"
    await anyio.Path(file).write_text(text, encoding="utf-8")
    daemon = await start(launch, f"--config={file}")
    async with daemon.client() as client:
        reply = await client.acomplete("local", "Hello", sensitivity="internal")
        assert (reply.deployment, reply.cost_nanodollars) == ("gpu-box/qwen3:8b", 0)
        with pytest.raises(RouterdError, match="no_candidates"):
            await client.acomplete("local", "Hello", sensitivity="private")
    assert len(server.account.attempts) == 1


@pytest.mark.parametrize("end", ["", "/", "/v1"])
@pytest.mark.parametrize("model", ["BAAI/bge-m3", "BAAI/bge-reranker-v2-m3"])
async def test_tei_says_what_its_model_is_for(
    launch: Launch, tmp_path: Path, model: str, end: str
) -> None:
    async with Simulator(vendors=["tei"], models=[model, "BAAI/bge-m3"]) as tei:
        text = f"""{NO_DISCOVERY}
[providers.box]
adapter = "openai"
dialect = "tei"
base_url = "{tei.base_url}/tei{end}"
boundary = "machine"
"""
        file = tmp_path / "routerd.toml"
        await anyio.Path(file).write_text(text, encoding="utf-8")
        daemon = await start(launch, f"--config={file}")
        many = [f"a text, number {number}" for number in range(50)]
        async with daemon.client() as client:
            if "rerank" in model:
                order = await client.arerank(f"box/{model}", "number 7", many, top=3)
                # It is not told by name which model is meant, since it has one.
                expected = expected_ranking("BAAI/bge-m3", "number 7", many)[:3]
                assert [(item.index, item.score) for item in order.results] == expected
                assert order.cost_basis == "estimated"
            else:
                found = await client.aembed(f"box/{model}", many, sensitivity="private")
                assert [list(one) for one in found.vectors] == [
                    expected_vector(model, text) for text in many
                ]
        # No more texts at once than it takes.
        assert [one.outcome for one in tei.account.attempts] == ["completed"] * 2
        await anyio.to_thread.run_sync(daemon.kill)


async def test_a_private_call_is_refused_rather_than_sent_to_a_vendor(
    daemon: Daemon, simulator: Simulator
) -> None:
    async with daemon.client() as client:
        for target, options in (
            ("private", {}),
            ("local", {}),
            ("smart", {"sensitivity": "private"}),
            ("smart", {"sensitivity": "internal"}),
            ("anthropic/claude-opus-5-5", {"sensitivity": "private"}),
        ):
            with pytest.raises(RouterdError) as caught:
                await client.acomplete(target, "Nobody else may read this", **options)  # type: ignore[arg-type]
            assert caught.value.code == "no_candidates"
    assert simulator.account.attempts == ()


COLD_AND_HOSTED = """
[providers.ollama]
base_url = "{own}/openai/v1"
keyless = true
[providers.groq]
base_url = "{hosted}/openai/v1"
simulated = true
keyless = true
"""


@pytest.mark.parametrize("fault", ["status:503,code=model_is_loading", "reset", "refused"])
async def test_a_server_of_ones_own_that_is_cold_or_down_spills_to_hosted_and_private_calls_do_not(
    start_daemon: Callable[..., Awaitable[Daemon]], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    own = Simulator(vendors=["openai"], models=["gpt-oss:120b"])
    hosted = Simulator(vendors=["openai"], models=["openai/openai/gpt-oss-120b"])
    async with hosted:
        async with own:
            monkeypatch.setattr(own._vendors["openai"], "authenticate", lambda asked: None)
            monkeypatch.setattr(hosted._vendors["openai"], "authenticate", lambda asked: None)
            places = COLD_AND_HOSTED.format(own=own.base_url, hosted=hosted.base_url)
            daemon = await start_daemon(providers=places.replace("{", "{{"))
            client = daemon.client()
            warm = await client.acomplete("gpt-oss-120b", "Hello")
            assert warm.provider == "ollama"
            if fault != "refused":
                own.script.replace([parse_fault(fault)])
                await spills(client, hosted)
        if fault == "refused":
            await spills(client, hosted)
        await client.aclose()


async def spills(client: Client, hosted: Simulator) -> None:
    """Check that a call goes to the hosted weights unless nobody outside may see it."""
    reply = await client.acomplete("gpt-oss-120b", "Hello")
    assert (reply.deployment, reply.degraded) == ("groq/openai/gpt-oss-120b", None)
    assert len(hosted.account.attempts) == 1
    with pytest.raises(RouterdError) as caught:
        await client.acomplete("gpt-oss-120b", "Nobody else may read this", sensitivity="private")
    assert caught.value.code in {"connection", "overloaded"}
    assert len(hosted.account.attempts) == 1


async def test_check_and_init_find_it_too(server: Simulator, tmp_path: Path) -> None:
    environ = {"ROUTERD_LOCAL_SERVERS": f"ollama={server.base_url}/openai/v1"}
    checked = await routerd_beside("check", home=tmp_path, environ=environ)
    assert checked.returncode == 0
    assert f"ollama    openai   {server.base_url}/openai/v1  machine" in checked.stdout
    written = await routerd_beside("init", "-", home=tmp_path, environ=environ)
    assert "# Found ollama with qwen3:8b, my-own-tune" in written.stdout
    assert server.account.attempts == ()


async def test_a_server_that_is_away_is_no_error(server: Simulator, launch: Launch) -> None:
    places = f"vllm=http://127.0.0.1:9/v1,ollama={server.base_url}/openai/v1"
    daemon = await start(launch, ROUTERD_LOCAL_SERVERS=places)
    async with daemon.client() as client:
        names = [item["name"] for item in (await client.acommand("status"))["providers"]]
    assert names == ["ollama"]


async def test_a_place_that_cannot_be_meant_is_refused(launch: Launch) -> None:
    def run() -> tuple[int, str]:
        daemon = launch(environ={"ROUTERD_LOCAL_SERVERS": "olama=http://127.0.0.1:1/v1"})
        return daemon.wait_for_end(), daemon.log

    code, log = await anyio.to_thread.run_sync(run)
    assert code == 2
    assert "'olama=http://127.0.0.1:1/v1'; expected kind=URL with a kind of ollama" in log
