"""Finding the daemon: where it is looked for, and how long."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from routerd_client import Client, DaemonUnavailable
from routerd_client.address import Dialing, socket_paths
from routerd_client.errors import Failed
from routerd_client.testing import FakeRouter
from routerd_proto import encode_frames
from tests.client.raw_server import HELLO, WHOLE, RawServer, answering
from tests.client.ways import Way

ANSWER = encode_frames((HELLO, *WHOLE))
USUAL = "/run/routerd/routerd.sock"


@pytest.mark.parametrize(
    ("given", "environ", "paths"),
    [
        ("/a/b", {"ROUTERD_SOCKET": "/c"}, ("/a/b",)),
        (Path("/a/b"), {}, ("/a/b",)),
        ("unix:/a/b", {}, ("/a/b",)),
        ("unix:///a/b", {}, ("/a/b",)),
        (None, {"ROUTERD_SOCKET": "unix:/c", "XDG_RUNTIME_DIR": "/r"}, ("/c",)),
        (None, {"ROUTERD_SOCKET": "", "XDG_RUNTIME_DIR": "/r"}, ("/r/routerd/routerd.sock", USUAL)),
        (None, {}, (USUAL,)),
    ],
)
def test_where_the_socket_is_looked_for(
    given: str | os.PathLike[str] | None, environ: dict[str, str], paths: tuple[str, ...]
) -> None:
    assert socket_paths(given, environ) == paths


def test_the_first_socket_that_answers_is_taken(
    router: FakeRouter, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.answer(text="ok")
    usual = tmp_path / "routerd"
    usual.mkdir()
    (usual / "routerd.sock").symlink_to(router.socket_path)
    monkeypatch.delenv("ROUTERD_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with Client() as client:
        assert way.complete(client, "smart", "x").text == "ok"


def test_an_error_says_what_was_tried_and_how_to_start_one(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    with pytest.raises(DaemonUnavailable) as caught:
        way.complete(Client(path, connect_patience=0.05), "smart", "x")
    text = str(caught.value)
    for words in (str(path), "nothing there", "routerd serve", "systemctl", "ROUTERD_SOCKET"):
        assert words in text
    assert caught.value.retryable
    assert caught.value.reply is None


def test_patience_has_an_end_and_a_deadline_cuts_it(tmp_path: Path) -> None:
    paths = (str(tmp_path / "none"),)
    assert isinstance(Dialing(paths, 60.0, None).attempt(), float)
    for patience, deadline in ((0.0, None), (60.0, time.monotonic())):
        with pytest.raises(Failed, match="no routerd daemon answers"):
            Dialing(paths, patience, deadline).attempt()
    pause = Dialing(paths, 60.0, time.monotonic() + 0.005).attempt()
    assert isinstance(pause, float)
    assert pause <= 0.005


def test_there_is_no_waiting_for_what_does_not_pass(way: Way, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    for path, reason in ((long, "make a short symbolic link"), (tmp_path / "f" / "s", "Not a dir")):
        (tmp_path / "f").touch()
        # A minute of patience would end this test.
        with pytest.raises(DaemonUnavailable, match=reason):
            way.complete(Client(path, connect_patience=60), "smart", "x")


def test_the_workaround_for_a_long_path_works(way: Way, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with RawServer(answering(*WHOLE)) as server:
        short = Path(server.folder) / "link"
        short.symlink_to(folder)
        (folder / "s").symlink_to(server.path)
        with Client(short / "s") as client:
            assert way.complete(client, "smart", "x").text == "forty"


def test_a_daemon_that_is_just_starting_is_waited_for(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))  # a file that nobody listens on, as after a crash
    with RawServer(answering(*WHOLE)) as server, Client(path, connect_patience=15) as client:

        def start() -> None:
            threading.Event().wait(0.1)
            path.unlink()
            threading.Event().wait(0.1)
            path.symlink_to(server.path)

        starting = threading.Thread(target=start)
        starting.start()
        assert way.complete(client, "smart", "x").text == "forty"
        starting.join()


def test_a_full_queue_of_connections_is_waited_for(way: Way, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        waiting = []
        while True:  # fill the queue
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            waiting.append(sock)
            try:
                sock.connect(path)
            except BlockingIOError:
                break
        with pytest.raises(DaemonUnavailable, match="queue of new connections is full"):
            way.complete(Client(path, connect_patience=0.05), "smart", "x")

        def drain() -> None:
            threading.Event().wait(0.1)
            for _ in waiting[:-1]:
                listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(ANSWER)
                connection.recv(1)

        draining = threading.Thread(target=drain)
        draining.start()
        with Client(path, connect_patience=15) as client:
            assert way.complete(client, "smart", "x").text == "forty"
            way.close()
        draining.join()
        for sock in waiting:
            sock.close()
