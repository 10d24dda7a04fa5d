"""The socket's file: who may make it, who may remove it, and a socket passed by systemd."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routerd.accept.listener import MAX_PATH_BYTES, open_listener
from routerd.errors import StartError

NOBODY: dict[str, str] = {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "routerd.sock"


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_socket_is_bound_with_its_mode_and_removed_at_the_end(path: Path, mode: int) -> None:
    umask = os.umask(0o077)
    try:
        listener = open_listener(path, mode, NOBODY)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert not listener.passed
        assert can_connect(path)
        listener.close()
        assert not path.exists()
        # The process's own mask is as it was.
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(umask)


def test_to_close_twice_is_to_close_once(path: Path) -> None:
    listener = open_listener(path, 0o600, NOBODY)
    listener.close()
    other = open_listener(path, 0o600, NOBODY)
    listener.close()
    assert can_connect(path)
    other.close()


def test_the_longest_path_works_and_one_byte_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    longest = Path("s" * MAX_PATH_BYTES)
    open_listener(longest, 0o600, NOBODY).close()
    # Bytes count, not characters.
    for name in ("s" * (MAX_PATH_BYTES + 1), "é" * 54):
        with pytest.raises(StartError, match="108 bytes and the kernel takes 107") as caught:
            open_listener(Path(name), 0o600, NOBODY)
        assert "socket.path or ROUTERD_SOCKET" in str(caught.value)
        assert not Path(name).exists()


def test_a_socket_left_by_a_crash_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert not can_connect(path)
    listener = open_listener(path, 0o600, NOBODY)
    assert can_connect(path)
    listener.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link to a socket"])
def test_what_is_not_a_socket_of_ours_is_left_alone(path: Path, tmp_path: Path, kind: str) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as elsewhere:
        if kind == "file":
            path.write_text("precious")
        elif kind == "folder":
            path.mkdir()
        else:
            elsewhere.bind(str(tmp_path / "elsewhere"))
            path.symlink_to(tmp_path / "elsewhere")
        before = path.lstat()
        with pytest.raises(StartError, match="exists and is not a socket of ours"):
            open_listener(path, 0o600, NOBODY)
        assert path.lstat() == before
    # The lock is free again.
    if kind == "folder":
        path.rmdir()
    else:
        path.unlink()
    open_listener(path, 0o600, NOBODY).close()


def test_a_second_daemon_is_refused_while_the_first_runs(path: Path) -> None:
    first = open_listener(path, 0o600, NOBODY)
    inode = path.stat().st_ino
    with pytest.raises(StartError, match="another routerd serves") as caught:
        open_listener(path, 0o600, NOBODY)
    assert "its own socket.path" in str(caught.value)
    assert path.stat().st_ino == inode
    assert can_connect(path)
    first.close()
    open_listener(path, 0o600, NOBODY).close()


def test_a_socket_that_took_our_place_is_not_removed(path: Path) -> None:
    listener = open_listener(path, 0o600, NOBODY)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        listener.close()
        assert path.exists()


def test_a_socket_file_somebody_removed_does_not_matter_at_the_end(path: Path) -> None:
    listener = open_listener(path, 0o600, NOBODY)
    path.unlink()
    listener.close()


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot make the socket") as caught:
        open_listener(tmp_path / "file" / "routerd.sock", 0o600, NOBODY)
    assert "Set socket.path" in str(caught.value)


def test_a_lock_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "routerd.sock.lock").symlink_to(tmp_path / "target")
    with pytest.raises(StartError, match="cannot make the socket"):
        open_listener(path, 0o600, NOBODY)
    assert not (tmp_path / "target").exists()


# --- passed by systemd ---------------------------------------------------------------------------

CHILD = """
import fcntl, os, sys
# Where systemd puts them: from number 3 on. By way of high numbers, so that none is lost.
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 50) for number in sys.argv[2:]]
for offset, number in enumerate(high):
    os.dup2(number, 3 + offset)
from pathlib import Path
from routerd.accept.listener import open_listener
from routerd.errors import StartError
environ = dict(os.environ, LISTEN_PID=os.environ.get("PID") or str(os.getpid()))
try:
    listener = open_listener(Path(sys.argv[1]), 0o600, environ)
except StartError as error:
    print("refused:", error)
    sys.exit()
print(listener.passed, listener.path, os.get_inheritable(listener.socket.fileno()))
print(listener.socket.getblocking())
listener.close()
"""


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "passed.sock"))
        listening.listen()
        yield listening


def start_child(
    tmp_path: Path, descriptors: list[int], names: str, **environ: str
) -> tuple[str, Path]:
    """Start a process that finds these descriptors from number 3 on."""
    own = tmp_path / "own.sock"
    finished = subprocess.run(
        [sys.executable, "-c", CHILD, str(own), *map(str, descriptors)],
        pass_fds=descriptors,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "LISTEN_FDS": str(len(descriptors)),
            "LISTEN_FDNAMES": names,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout, own


def test_the_descriptor_of_our_name_is_taken(tmp_path: Path, passed: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        output, own = start_child(tmp_path, [other.fileno(), passed.fileno()], "metrics:routerd")
    assert output.splitlines() == [f"True {tmp_path}/passed.sock False", "False"]
    # What systemd made is systemd's to remove, and nothing of ours was made beside it.
    assert (tmp_path / "passed.sock").exists()
    assert not own.exists()
    assert not (tmp_path / "own.sock.lock").exists()


def test_a_descriptor_of_another_name_is_not_guessed(tmp_path: Path, passed: socket.socket) -> None:
    output, own = start_child(tmp_path, [passed.fileno()], "metrics")
    assert "refused: systemd passed 1 descriptors, none of them named routerd" in output
    assert "FileDescriptorName=routerd" in output
    assert not own.exists()


def test_descriptors_for_another_process_are_none_of_ours(
    tmp_path: Path, passed: socket.socket
) -> None:
    output, own = start_child(tmp_path, [passed.fileno()], "routerd", PID="1")
    assert output.splitlines()[0] == f"False {own} False"


@pytest.mark.parametrize("kind", ["file", "not listening", "tcp"])
def test_a_descriptor_that_does_not_listen_is_refused(tmp_path: Path, kind: str) -> None:
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    with socket.socket(family) as sock, (tmp_path / "file").open("w") as file:
        if kind == "tcp":
            sock.bind(("127.0.0.1", 0))
            sock.listen()
        chosen = file.fileno() if kind == "file" else sock.fileno()
        output, _ = start_child(tmp_path, [chosen], "routerd")
    assert "refused: the descriptor routerd passed by systemd is not a listening" in output


def test_a_count_that_is_no_number_counts_as_none(tmp_path: Path) -> None:
    output, _ = start_child(tmp_path, [], "", LISTEN_FDS="many")
    assert "refused: systemd passed 0 descriptors" in output
