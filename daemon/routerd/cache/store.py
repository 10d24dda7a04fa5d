"""The kept answers: bounded in bytes and in age, those not used for longest go first.

Rules of this file: plain and synchronous, in memory only. An answer is kept as the bytes it encodes
to, so that its size is known and not guessed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from routerd.cache.key import Key
from routerd.domain import FinishReason, Part, Usage

__all__ = ["ENTRY_BYTES", "AnswerStore", "KeptAnswer"]

# What an answer takes besides its own bytes: its key and its place, also while the table grows.
ENTRY_BYTES: Final = 512


class KeptAnswer(Struct, frozen=True, kw_only=True, array_like=True):
    """A whole answer as it was given to the first call that asked for it.

    `decision_id` is that call's, which also tells when it was; `usage` is what it took. `notes` say
    what was left out or changed on its way.
    """

    parts: tuple[Part, ...]
    finish: FinishReason
    decision_id: str
    model: str
    deployment: str
    provider: str
    usage: Usage | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()


class _Entry(Struct, frozen=True, gc=False):
    """One kept answer, encoded, and the moment from which on it is too old."""

    data: bytes
    expires_at: float


_encoder: Final = Encoder()
_decoder: Final = Decoder(KeptAnswer)


class AnswerStore:
    """Answers by their key.

    `bytes` is the memory they take, never above `max_bytes`; `hits` counts those that were found.
    One that is too old is never given, and leaves when it is asked for or its room is needed.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self.bytes = 0
        self.hits = 0
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key) -> KeptAnswer | None:
        """Return the answer kept under a key, if it is not too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry.expires_at:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return _decoder.decode(entry.data)

    def keep(self, key: Key, answer: KeptAnswer) -> bool:
        """Keep an answer in the place of any earlier one; returns whether it could be kept."""
        buffer = bytearray()
        try:
            _encoder.encode_into(answer, buffer)
        except (UnicodeEncodeError, OverflowError):
            return False  # text or a number of a provider's that no frame carries as it is
        # Copied: what the encoder returns by itself may be half as large again as it says.
        data = bytes(buffer)
        size = _size(data)
        if size > self._max_bytes:
            return False
        if key in self._entries:
            self._drop(key)
        while self.bytes + size > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= _size(oldest.data)
        self._entries[key] = _Entry(data, self._clock() + key.seconds)
        self.bytes += size
        return True

    def shrink_to(self, max_bytes: int, *, emptied: bool = False) -> None:
        """Take at most so many bytes from now on, with nothing kept if `emptied`."""
        self._max_bytes = max_bytes
        while self._entries and (emptied or self.bytes > max_bytes):
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        self.bytes -= _size(self._entries.pop(key).data)


def _size(data: bytes) -> int:
    return len(data) + ENTRY_BYTES
