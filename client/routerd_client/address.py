"""Where the daemon's socket is, and how to reach it.

Rules of this file: it names paths and makes non-blocking connects, which a Unix socket answers at
once. Waiting between two tries belongs to the caller, who knows whether it may block.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from routerd_client.errors import Failed
from routerd_proto import error_info

__all__ = ["Dialing", "socket_paths"]

MAX_PATH_BYTES: Final = 107  # sun_path holds 108, the last one a zero
# What may pass in a moment: not started yet, starting, or a full queue of new connections.
PASSING: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.ECONNRESET})
FIRST_PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 0.2
NEXT_STEP: Final = (
    "Start the daemon with `routerd serve` (or `systemctl start routerd`), or set ROUTERD_SOCKET "
    "to the socket of the one that runs."
)
REASONS: Final = {
    errno.ENOENT: "nothing there",
    errno.ECONNREFUSED: "nobody listens",
    errno.EAGAIN: "its queue of new connections is full",
    errno.EACCES: "permission denied; the daemon's settings name the group that may connect",
    errno.ENOTSOCK: "not a socket",
}


def socket_paths(
    given: str | os.PathLike[str] | None, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the paths to try, in order.

    The one given, or that of $ROUTERD_SOCKET; without either $XDG_RUNTIME_DIR/routerd/routerd.sock,
    then /run/routerd/routerd.sock. `unix:/path` is the same as `/path`.
    """
    named = os.fspath(given) if given is not None else environ.get("ROUTERD_SOCKET", "")
    if named:
        return (named.removeprefix("unix://").removeprefix("unix:"),)
    own = environ.get("XDG_RUNTIME_DIR")
    usual = "/run/routerd/routerd.sock"
    return (f"{own}/routerd/routerd.sock", usual) if own else (usual,)


class Dialing:
    """One search for a daemon that answers, patient for a while in case it is just starting.

    `patience` is in seconds; `deadline` is a `time.monotonic` moment that cuts it short.
    """

    def __init__(self, paths: tuple[str, ...], patience: float, deadline: float | None) -> None:
        self._paths = paths
        end = time.monotonic() + patience
        self._end = end if deadline is None else min(end, deadline)
        self._pause = FIRST_PAUSE_SECONDS

    def attempt(self) -> socket.socket | float:
        """Return a connected non-blocking socket, or the seconds to wait before the next attempt.

        Raises Failed with `daemon_unavailable` when there is no point in waiting any longer.
        """
        reasons: dict[str, str] = {}
        may_pass = False
        for path in self._paths:
            if len(os.fsencode(path)) > MAX_PATH_BYTES:
                reasons[path] = (
                    f"longer than the {MAX_PATH_BYTES} bytes that a socket's path may have; "
                    "make a short symbolic link to its folder"
                )
                continue
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                connection.connect(path)
            except OSError as error:
                connection.close()
                reasons[path] = REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
                may_pass = may_pass or error.errno in PASSING
            except BaseException:  # interrupted: no socket stays behind
                connection.close()
                raise
            else:
                return connection
        left = self._end - time.monotonic()
        if not may_pass or left <= 0:
            tried = ", ".join(f"{path} ({reason})" for path, reason in reasons.items())
            info = error_info(
                "daemon_unavailable",
                f"no routerd daemon answers; tried {tried}",
                details={"tried": reasons},
            )
            raise Failed(msgspec.structs.replace(info, next_step=NEXT_STEP))
        pause = min(self._pause, left)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause
