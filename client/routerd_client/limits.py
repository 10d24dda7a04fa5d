"""The bounds of a client, in one place.

Rules of this file: every bound is an argument of `Client` with a default that is safe.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from routerd_proto import DEFAULT_MAX_FRAME_BYTES

__all__ = ["DEFAULT_LIMITS", "Limits"]


class Limits(Struct, frozen=True, kw_only=True):
    """How long and how much.

    `connect_patience`: seconds to keep trying to connect, in case the daemon is just starting.
    `timeout_grace`: seconds to wait beyond a call's `timeout` for the daemon to say that it passed.
    `max_frame_bytes`: the longest frame that is read. `max_idle`: idle connections kept for
    threads, and as many for each event loop. `max_waiting_frames`: how far an asyncio stream reads
    ahead of its consumer (a blocking one does not).
    """

    connect_patience: float = 2.0
    timeout_grace: float = 5.0
    max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES
    max_idle: int = 32
    max_waiting_frames: int = 256


DEFAULT_LIMITS: Final = Limits()
