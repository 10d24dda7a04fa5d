"""What makes two calls identical: all that shapes their answer, in one digest.

Rules of this file: pure. An option shapes the answer unless it is named here as one that does not,
so a new one counts until somebody has thought about it. The tenant always counts.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec import Struct, structs
from msgspec.msgpack import Encoder

from routerd.settings import CachedShortcut
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

__all__ = ["Key", "make_key"]

_encoder: Final = Encoder()


class Key(Struct, frozen=True, gc=False):
    """Stands for all calls that are identical; `seconds` is how long an answer to them is kept."""

    digest: bytes
    seconds: float


def make_key(
    target: tuple[str, ...],
    messages: list[Message],
    options: CallOptions,
    *,
    shortcut: CachedShortcut,
) -> Key | None:
    """Return the key of a call to a cached shortcut; None if it must not be kept.

    `target` says what was asked for, and all that chose who serves it. `options` are the caller's
    with the shortcut's defaults filled in. A call without a tenant is identical only to others
    without one.
    """
    if options.sensitivity == "private" and not shortcut.private:
        return None
    shaping = structs.replace(
        options,
        team=None,
        agent=None,
        user=None,
        feature=None,
        task=None,
        timeout=None,
        restart=False,
        critical=False,
        session=None,
        max_cost_cents=None,
    )
    # msgpack says where each value ends: what differs in any of them differs in the whole.
    encoded = _encoder.encode((target, shaping, messages))
    return Key(sha256(encoded).digest(), shortcut.seconds)
