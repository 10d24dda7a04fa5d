"""How a start goes: what is found, what is refused and in which words, what a manager is told."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Simulator
from tests.e2e.conftest import NO_DISCOVERY, Daemon
from tests.e2e.processes import routerd

Launch = Callable[..., Daemon]
NO_SERVERS = {"ROUTERD_LOCAL_SERVERS": ""}
KEY = "sk-key-of-a-test"


def write(folder: Path, text: str, name: str = "routerd.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


async def write_beside(folder: Path, text: str, name: str = "routerd.toml") -> Path:
    return await anyio.to_thread.run_sync(write, folder, text, name)


async def launch_beside(launch: Launch, *arguments: str, **options: Any) -> Daemon:
    return await anyio.to_thread.run_sync(lambda: launch(*arguments, **options))


async def ready(daemon: Daemon) -> Daemon:
    return await anyio.to_thread.run_sync(daemon.wait_until_ready)


async def log_of(daemon: Daemon) -> str:
    return await anyio.to_thread.run_sync(lambda: daemon.log)


# --- what is found ----------------------------------------------------------------------------


def test_nothing_found_ends_with_the_next_steps(launch: Launch) -> None:
    daemon = launch(environ=NO_SERVERS)
    assert daemon.wait_for_end() == 2
    for step in ("OPENAI_API_KEY", "Ollama", "routerd serve --simulated", "never invents answers"):
        assert step in daemon.log
    assert "Traceback" not in daemon.log
    assert not daemon.socket.exists()


def test_a_file_without_a_provider_is_named_in_the_next_steps(
    launch: Launch, tmp_path: Path
) -> None:
    file = write(tmp_path, NO_DISCOVERY)
    daemon = launch(f"--config={file}", environ={"OPENAI_API_KEY": KEY})
    assert daemon.wait_for_end() == 2
    assert f"name a provider in {file}" in daemon.log
    assert "set OPENAI_API_KEY" not in daemon.log


async def test_a_key_in_the_environment_serves(
    simulator: Simulator, launch: Launch, tmp_path: Path
) -> None:
    provider = f'[providers.openai]\nbase_url = "{simulator.base_url}/openai/v1"\n'
    file = await write_beside(tmp_path, NO_DISCOVERY + provider)
    daemon = await ready(
        await launch_beside(launch, f"--config={file}", environ={"OPENAI_API_KEY": KEY})
    )
    async with daemon.client() as client:
        reply = await client.acomplete("fast", "Hello")
    assert reply.provider == "openai"
    assert [attempt.vendor for attempt in simulator.account.attempts] == ["openai"]
    assert KEY not in await log_of(daemon)


def test_simulated_uses_no_key_and_says_so(launch: Launch, tmp_path: Path) -> None:
    own = 'openai.base_url = "http://127.0.0.1:1/v1"\nmistral.key_env = "MISTRAL_API_KEY"\n'
    file = write(tmp_path, "[providers]\n" + own)
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
    daemon = launch("--simulated", f"--config={file}", environ=keys).wait_until_ready()
    with daemon.client() as client:
        providers = client.command("status")["providers"]
        replies = [
            client.complete(name, "Hello", max_output_tokens=8) for name in ("smart", "fast")
        ]
    assert [item["name"] for item in providers] == ["anthropic", "openai", "voyage"]
    assert all(item["simulated"] and item["boundary"] == "machine" for item in providers)
    assert {item["server"].partition(":")[0] for item in providers} == {"127.0.0.1"}
    assert all(reply.simulated for reply in replies)


async def test_a_directory_file_adds_a_shortcut(
    simulator: Simulator, launch: Launch, tmp_path: Path
) -> None:
    shortcut = (
        '[shortcuts.tagger]\ndescription = "Tags."\ncandidates = ["gpt-5.4-nano-2026-03-17"]\n'
    )
    await write_beside(tmp_path, shortcut + 'degraded = "fail"\n', "mine.toml")
    provider = f'[providers.openai]\nbase_url = "{simulator.base_url}/openai/v1"\nkeyless = true\n'
    provider += "simulated = true\n"
    text = 'directory = ["mine.toml"]\n' + NO_DISCOVERY + provider
    file = await write_beside(tmp_path, text)
    daemon = await ready(await launch_beside(launch, f"--config={file}"))
    async with daemon.client() as client:
        reply = await client.acomplete("tagger", "Hello")
    assert reply.deployment == "openai/gpt-5.4-nano-2026-03-17"


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"file", "credential", "environment"}, "sk-from-file"),
        ({"credential", "environment"}, "sk-from-credential"),
        ({"environment"}, "sk-from-environment"),
    ],
)
def test_a_key_comes_from_the_first_source(
    launch: Launch,
    tmp_path: Path,
    recorder: tuple[str, list[str]],
    sources: set[str],
    expected: str,
) -> None:
    address, noted = recorder
    text = f'{NO_DISCOVERY}[providers.openai]\nbase_url = "{address}"\n'
    environ = {}
    if "file" in sources:
        key_file = write(tmp_path, "sk-from-file\n", "key")
        text += f'key_file = "{key_file}"\n'
    if "credential" in sources:
        write(tmp_path, "sk-from-credential\n", "openai")
        environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    if "environment" in sources:
        environ["OPENAI_API_KEY"] = "sk-from-environment"
    daemon = launch(f"--config={write(tmp_path, text)}", environ=environ).wait_until_ready()
    assert set(noted) == {f"Bearer {expected}"}
    assert daemon.stop() == 0
    assert "sk-from" not in daemon.log


# --- what is refused --------------------------------------------------------------------------

MISTAKES = {
    "no TOML": ("[limits", "", "is not TOML"),
    "unknown section": ("[limit]\nin_flight = 3\n", "limit", "known here: socket, limits"),
    "unknown key": ("[limits]\nin_flght = 3\n", "limits.in_flght", "known here: in_flight"),
    "wrong type": ('[limits]\nin_flight = "many"\n', "limits.in_flight", "Expected `int`"),
    "out of range": ("[limits]\nin_flight = 0\n", "limits.in_flight", ">= 1"),
    "no choice": ('[log]\nlevel = "loud"\n', "log.level", "debug, info, warning, error"),
    "no key": ("[providers.openai]\n", "providers.openai.key_env", "OPENAI_API_KEY"),
    "no key file": (
        '[providers.openai]\nkey_file = "/nonexistent/key"\n',
        "providers.openai.key_file",
        "cannot read /nonexistent/key",
    ),
    "unknown provider": (
        '[providers.acme]\nadapter = "openai"\nboundary = "vendor"\n',
        "providers.acme.base_url",
        "none of the known providers (anthropic,",
    ),
    "no adapter": (
        '[providers.acme]\nadapter = "soap"\nbase_url = "http://127.0.0.1:1"\nboundary="vendor"\n',
        "providers.acme.adapter",
        "openai",
    ),
    "no address": (
        '[providers.openai]\nbase_url = "127.0.0.1"\nkeyless = true\n',
        "providers.openai.base_url",
        "http://",
    ),
    "no boundary": (
        '[providers.vllm]\nbase_url = "http://192.0.2.7:8000/v1"\n',
        "providers.vllm.boundary",
        "own-network",
    ),
    "no certificates": ('[egress]\nca_file = "/nonexistent.pem"\n', "egress.ca_file", "PEM"),
    "no directory file": ('directory = ["mine.toml"]\n', "", "no such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_file_key_and_what_was_expected(
    launch: Launch, tmp_path: Path, mistake: str
) -> None:
    text, key, expected = MISTAKES[mistake]
    simulated = '[providers.anthropic]\nbase_url = "http://127.0.0.1:1"\nkeyless = true\n'
    file = write(tmp_path, text + simulated if "[egress]" in text else text)
    daemon = launch(f"--config={file}", environ=NO_SERVERS)
    assert daemon.wait_for_end() == 2
    (told,) = (line for line in daemon.log.splitlines() if line.startswith("routerd: "))
    assert expected in told
    assert str(file if "directory" not in text else tmp_path / "mine.toml") in told
    assert f": {key}: " in told if key else True
    assert "Traceback" not in daemon.log
    assert not daemon.socket.exists()
    checked = routerd("check", f"--config={file}", home=tmp_path)
    assert checked.returncode == 2
    assert told in checked.stderr.splitlines()
    assert checked.stdout == ""


def test_a_second_daemon_on_the_same_socket_is_refused(launch: Launch) -> None:
    first = launch("--simulated").wait_until_ready()
    second = launch("--simulated")
    assert second.wait_for_end() == 2
    assert f"routerd: another routerd serves {first.socket}. Stop it, or" in second.log
    with first.client() as client:
        assert client.command("status")["pid"] == first.process.pid


def test_a_second_daemon_on_the_same_ledger_is_refused(launch: Launch, tmp_path: Path) -> None:
    first = launch("--simulated").wait_until_ready()
    other = tmp_path / "other"
    other.mkdir()
    second = launch("--simulated", f"--ledger={first.ledger}", folder=other)
    assert second.wait_for_end() == 2
    assert f"uses the ledger {first.ledger}" in second.log
    assert "Traceback" not in second.log


def test_a_socket_path_that_is_too_long_is_refused(launch: Launch, tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    daemon = launch("--simulated", folder=folder)
    assert daemon.wait_for_end() == 2
    assert "the kernel takes 107" in daemon.log
    assert "Set socket.path or ROUTERD_SOCKET to a shorter one" in daemon.log


def test_what_is_no_socket_is_not_removed(launch: Launch, tmp_path: Path) -> None:
    mine = write(tmp_path, "precious", "routerd.sock")
    daemon = launch("--simulated")
    assert daemon.wait_for_end() == 2
    assert "is not a socket of ours" in daemon.log
    assert mine.read_text(encoding="utf-8") == "precious"


def test_a_ledger_that_cannot_be_made_is_refused(launch: Launch, tmp_path: Path) -> None:
    write(tmp_path, "", "file")
    daemon = launch("--simulated", f"--ledger={tmp_path}/file/ledger.db")
    assert daemon.wait_for_end() == 2
    assert "cannot be opened" in daemon.log
    assert "Traceback" not in daemon.log
    assert not daemon.socket.exists()


def test_a_stale_socket_of_a_killed_daemon_is_taken_over(launch: Launch) -> None:
    first = launch("--simulated").wait_until_ready()
    first.kill()
    assert first.socket.exists()
    second = launch("--simulated").wait_until_ready()
    with second.client() as client:
        assert client.command("status")["pid"] == second.process.pid


# --- ready ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "mode"), [("", 0o660), ('[socket]\nmode = "0600"\n', 0o600)])
def test_the_socket_has_its_mode(launch: Launch, tmp_path: Path, line: str, mode: int) -> None:
    daemon = launch("--simulated", f"--config={write(tmp_path, line)}").wait_until_ready()
    assert daemon.socket.stat().st_mode & 0o777 == mode
    assert daemon.ledger.stat().st_mode & 0o777 == 0o600


async def test_the_first_call_opens_no_connection(daemon: Daemon, simulator: Simulator) -> None:
    warmed = simulator.account.connections_accepted
    assert warmed == 4  # two for each of two providers
    async with daemon.client() as client:
        await client.acomplete("smart", "Hello")
        await client.acomplete("fast", "Hello")
    assert simulator.account.connections_accepted == warmed


@pytest.mark.parametrize("fault", ["refuses", "is silent"])
async def test_a_provider_that_cannot_be_reached_delays_nothing(
    simulator: Simulator, launch: Launch, tmp_path: Path, fault: str
) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        if fault == "is silent":
            dead.listen()
        text = f"""{NO_DISCOVERY}
[timeouts]
first_content = 2
[providers.anthropic]
base_url = "http://127.0.0.1:{dead.getsockname()[1]}"
simulated = true
keyless = true
[providers.openai]
base_url = "{simulator.base_url}/openai/v1"
simulated = true
keyless = true
"""
        file = await write_beside(tmp_path, text)
        daemon = await launch_beside(launch, f"--config={file}")
        async with daemon.client() as client:
            reply = await client.acomplete("gpt-5.4-nano-2026-03-17", "Hello")
            assert reply.provider == "openai"
        await ready(daemon)
        if fault == "refuses":
            unreachable = '"event":"provider_unreachable","provider":"anthropic"'
            assert (await log_of(daemon)).count(unreachable) == 1
    assert await anyio.to_thread.run_sync(daemon.stop) == 0


def test_the_service_manager_is_told(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(15)
        environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "100000"}
        daemon = launch("--simulated", environ=environ)
        told = [manager.recv(4096).decode()]
        assert told[0].splitlines()[0] == "READY=1"
        while told.count("WATCHDOG=1") < 3:
            told.append(manager.recv(4096).decode())
        daemon.process.send_signal(signal.SIGTERM)
        while (last := manager.recv(4096).decode()) == "WATCHDOG=1":
            pass
        assert last.splitlines()[0] == "STOPPING=1"
    assert daemon.wait_for_end() == 0


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(launch: Launch, with_signal: int) -> None:
    daemon = launch("--simulated").wait_until_ready()
    assert daemon.stop(with_signal) == 0
    assert "Traceback" not in daemon.log
    assert '"event":"daemon_stopped"' in daemon.log.splitlines()[-1]
    assert not daemon.socket.exists()
