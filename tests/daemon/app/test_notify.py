"""What the service manager is told, and how often."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from routerd.app.notify import Notifier, watchdog_seconds


@pytest.mark.parametrize("abstract", [False, True])
def test_one_datagram_holds_all_of_a_state(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path if abstract else path)
        notifier = Notifier({"NOTIFY_SOCKET": "@" + path if abstract else path})
        notifier.send(ready=1, status="serving")
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving"
        notifier.close()
        notifier.send(watchdog=1)  # after the end nobody is told


def test_a_manager_that_went_away_is_no_error(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nothing")})
    notifier.send(ready=1)
    notifier.close()
    Notifier({}).send(ready=1)


def test_pings_come_twice_as_often_as_asked() -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000"}, 7) == 1.5
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 7) == 1.5
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 7) is None
    for nonsense in ("", "0", "-1", "soon"):
        assert watchdog_seconds({"WATCHDOG_USEC": nonsense}, 7) is None
