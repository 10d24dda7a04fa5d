"""An address where connecting takes for ever, and a look at who waits for it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["connecting_to", "full_queue"]

# How the kernel writes that a connection is being opened.
SYN_SENT: Final = "02"


@contextlib.contextmanager
def full_queue() -> Iterator[str]:
    """Listen where connecting takes for ever, since the queue of new connections is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"http://{address[0]}:{address[1]}"


def connecting_to(address: str) -> int:
    """Count the connections of this machine that wait for an address to accept them."""
    port = f"{int(address.rpartition(':')[2]):04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(item[2].endswith(f":{port}") and item[3] == SYN_SENT for item in fields)
