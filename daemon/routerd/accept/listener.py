"""The socket the daemon listens on: bound by ourselves, or passed by systemd.

Rules of this file: blocking and short, so it runs before the event loop does. Only the holder of
the lock file beside the socket may remove a stale socket, so two daemons that start at once
cannot take each other's. What was not bound here is never removed here.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from routerd.errors import StartError

__all__ = ["Listener", "open_listener"]

MAX_PATH_BYTES: Final = 107  # the kernel's sun_path holds 108 with the closing NUL
BACKLOG: Final = 1024
FIRST_PASSED_DESCRIPTOR: Final = 3
DESCRIPTOR_NAME: Final = "routerd"


class Listener:
    """A listening socket and what must be undone when it closes."""

    def __init__(self, sock: socket.socket, path: str, lock: int | None) -> None:
        self.socket = sock
        self.path = path
        self._lock = lock
        self._identity = _identity(path) if lock is not None else None

    @property
    def passed(self) -> bool:
        """Whether systemd passed the socket, and owns its file."""
        return self._lock is None

    def close(self) -> None:
        """Close the socket, and remove its file if it is still the one bound here."""
        self.socket.close()
        if self._lock is None:
            return
        if self._identity is not None and _identity(self.path) == self._identity:
            os.unlink(self.path)  # noqa: PTH108 - blocking on purpose, and a str already
        os.close(self._lock)
        self._lock = None


def open_listener(path: Path, mode: int, environ: Mapping[str, str]) -> Listener:
    """Take the descriptor systemd passed, else bind `path`; StartError says what to do."""
    passed = _passed_socket(environ)
    if passed is not None:
        return Listener(passed, str(passed.getsockname()), None)
    name = str(path)
    if len(os.fsencode(name)) > MAX_PATH_BYTES:
        raise StartError(
            f"the socket path has {len(os.fsencode(name))} bytes and the kernel takes "
            f"{MAX_PATH_BYTES}: {name}. Set socket.path or ROUTERD_SOCKET to a shorter one."
        )
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = _take_lock(name)
    except OSError as error:
        raise StartError(
            f"cannot make the socket {name}: {error.strerror}. "
            f"Set socket.path or ROUTERD_SOCKET to a place you may write."
        ) from error
    try:
        _remove_stale(name)
        sock = _bind(name, mode)
    except BaseException:  # whatever ends this, the lock is not kept
        os.close(lock)
        raise
    return Listener(sock, name, lock)


def _passed_socket(environ: Mapping[str, str]) -> socket.socket | None:
    """Find the descriptor named routerd among those systemd passed to this process."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    given = environ.get("LISTEN_FDS") or "0"
    count = int(given) if given.isdecimal() else 0
    names = (environ.get("LISTEN_FDNAMES") or "").split(":")
    for offset in range(count):
        descriptor = FIRST_PASSED_DESCRIPTOR + offset
        if offset < len(names) and names[offset] == DESCRIPTOR_NAME:
            return _as_listening(descriptor)
    raise StartError(
        f"systemd passed {count} descriptors, none of them named {DESCRIPTOR_NAME}. "
        f"Set FileDescriptorName={DESCRIPTOR_NAME} in the socket unit."
    )


def _as_listening(descriptor: int) -> socket.socket:
    """Take a passed descriptor for a socket; StartError where it is not one that listens."""
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError:
        sock = None
    if sock is not None:
        if sock.family == socket.AF_UNIX and sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            sock.setblocking(False)
            return sock
        sock.close()
    raise StartError(
        f"the descriptor {DESCRIPTOR_NAME} passed by systemd is not a listening "
        f"Unix socket. Use ListenStream=/run/... in routerd.socket."
    )


def _take_lock(name: str) -> int:
    lock = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StartError(
            f"another routerd serves {name}. Stop it, or give this one its own socket.path."
        ) from None
    return lock


def _remove_stale(name: str) -> None:
    """Remove a socket left by a crash. Called by the holder of the lock only."""
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise StartError(f"{name} exists and is not a socket of ours. Move it away.")
    os.unlink(name)  # noqa: PTH108 - beside lstat, which must not follow a link either


def _bind(name: str, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody else may connect before the mode is set
    try:
        sock.bind(name)
        os.chmod(name, mode)  # noqa: PTH101 - one style of call in this file
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot bind {name}: {error.strerror}.") from error
    finally:
        os.umask(before)
    return sock


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
