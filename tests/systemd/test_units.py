"""The shipped units, judged by systemd's own tools and against what the daemon does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from routerd import cli
from routerd.accept.listener import DESCRIPTOR_NAME
from routerd.settings import Limits
from routerd_client.address import socket_paths

UNITS = Path(__file__).parents[2] / "systemd"
INSTALLED = "/usr/bin/routerd"
RequireCommand = Callable[[str, str], Path]


def settings_of(file: Path) -> dict[str, list[str]]:
    """Read a unit: every value of every key, keys with their section in front."""
    section = ""
    found: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


SERVICE = settings_of(UNITS / "routerd.service")
SOCKET = settings_of(UNITS / "routerd.socket")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units, with the program this environment has in the place of the installed one."""
    program = Path(sys.executable).with_name("routerd")
    assert program.exists(), "the project is not installed in this environment"
    for name in ("routerd.service", "routerd.socket"):
        text = (UNITS / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(INSTALLED, str(program)), encoding="utf-8")
    drop_ins = tmp_path / "routerd.service.d"
    drop_ins.mkdir()
    shutil.copy(UNITS / "routerd.service.d/credentials.conf.example", drop_ins / "credentials.conf")
    return tmp_path


def verify(analyze: Path, units: Path) -> tuple[int, str]:
    """Ask systemd about both units; it says most of what it finds on stderr and exits 0."""
    done = subprocess.run(
        [analyze, "verify", "--man=no", units / "routerd.service", units / "routerd.socket"],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(units: Path, require_command: RequireCommand) -> None:
    assert verify(require_command("systemd-analyze", "systemd"), units) == (0, "")


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("routerd.service", "[Service]\nNoSuchKey=yes", "NoSuchKey"),
        ("routerd.socket", "[Socket]\nSocketMode=worldwide", "worldwide"),
        ("routerd.service.d/credentials.conf", "[Service]\nNoSuchKey=yes", "NoSuchKey"),
    ],
)
def test_a_mistake_in_any_file_would_be_found(
    units: Path, require_command: RequireCommand, file: str, line: str, complaint: str
) -> None:
    with (units / file).open("a", encoding="utf-8") as unit:
        unit.write(f"\n{line}\n")
    _, output = verify(require_command("systemd-analyze", "systemd"), units)
    assert complaint in output


def test_little_of_the_machine_is_exposed(units: Path, require_command: RequireCommand) -> None:
    analyze = require_command("systemd-analyze", "systemd")
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=20", units / "routerd.service"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_user_and_the_group_can_be_made(
    tmp_path: Path, require_command: RequireCommand
) -> None:
    sysusers = require_command("systemd-sysusers", "systemd")
    done = subprocess.run(
        [sysusers, "--dry-run", f"--root={tmp_path}", UNITS / "routerd.sysusers.conf"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for what in ("group", "user"):
        for name in SERVICE[f"Service.{what.title()}"]:
            assert f"Creating {what} '{name}'" in said


# --- the units and the daemon agree -----------------------------------------------------------


def test_the_daemon_understands_its_command_line() -> None:
    [command] = SERVICE["Service.ExecStart"]
    program, *arguments = command.split()
    assert program == INSTALLED
    parsed = cli._parser(arguments[0]).parse_args(arguments)
    folder = Path("/etc") / SERVICE["Service.ConfigurationDirectory"][0]
    assert (parsed.verb, parsed.config.parent) == ("serve", folder)
    assert parsed.socket is None, "the socket comes from systemd"


def test_a_reload_asks_the_daemon_where_its_socket_is() -> None:
    [command] = SERVICE["Service.ExecReload"]
    program, *arguments = command.split()
    assert program == INSTALLED
    parsed = cli._parser(arguments[0]).parse_args(arguments)
    # Found by itself: see where clients look.
    assert (parsed.verb, parsed.socket) == ("reload", None)
    # Its user is the daemon's, who may ask for that.
    assert SERVICE["Service.User"]


def test_the_socket_is_where_clients_look() -> None:
    assert SOCKET["Socket.ListenStream"] == [socket_paths(None, {})[-1]]


def test_the_daemon_finds_its_descriptor() -> None:
    assert SOCKET["Socket.FileDescriptorName"] == [DESCRIPTOR_NAME]


def test_the_group_that_may_connect_is_the_one_that_is_made() -> None:
    lines = (UNITS / "routerd.sysusers.conf").read_text(encoding="utf-8").splitlines()
    [made] = [line.split()[1] for line in lines if line.startswith("u ")]
    assert SOCKET["Socket.SocketGroup"] == [made]
    assert SERVICE["Service.User"] == SERVICE["Service.Group"] == [made]


def test_running_calls_may_end_before_the_daemon_is_killed() -> None:
    [limit] = SERVICE["Service.TimeoutStopSec"]
    assert float(limit.removesuffix("s")) > Limits().drain_seconds


def test_a_client_is_seen_with_its_own_user() -> None:
    assert SERVICE["Service.PrivateUsers"] == ["no"]


def test_apps_wait_for_a_daemon_that_fails_to_start() -> None:
    assert SERVICE["Unit.StartLimitIntervalSec"] == ["0"]
    assert SERVICE["Service.Restart"] == ["on-failure"]


def test_no_key_is_named_unless_it_was_asked_for() -> None:
    """A missing credential keeps the daemon from starting, so the unit itself names none."""
    assert not any("Credential" in key for key in SERVICE)
    example = settings_of(UNITS / "routerd.service.d/credentials.conf.example")
    providers = [value.split(":")[0] for value in example["Service.LoadCredential"]]
    assert providers == ["openai", "anthropic"]
