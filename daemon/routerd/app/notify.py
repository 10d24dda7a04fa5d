"""What systemd is told: datagrams to the socket it names in NOTIFY_SOCKET.

Rules of this file: never blocks, never fails the daemon. Without the variable nothing is sent.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

__all__ = ["Notifier", "watchdog_seconds"]


class Notifier:
    """Send state changes to the service manager."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def send(self, **state: str | int) -> None:
        """Send one datagram of KEY=value lines; names are given in lower case."""
        if self._socket is None:
            return
        text = "\n".join(f"{key.upper()}={value}" for key, value in state.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            # The manager went away or its queue is full: the daemon serves apps, not the manager.
            return

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Return how often to say that the event loop turns, None if nobody asks: half the limit."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        limit = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit / 2_000_000 if limit > 0 else None
