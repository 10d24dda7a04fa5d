"""How the simulator counts: tokens of a text, a text cut into tokens, and the prompt cache.

Pure: bytes and numbers, the clock passed in. A prompt is one run of bytes (everything that was
sent, images as stand-ins of a fixed length), so that counting and the cache's prefixes agree.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import msgspec

__all__ = ["CacheUse", "Mark", "PromptCache", "count_tokens", "cut_into_tokens", "image_stand_in"]

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 256
# Both vendors cache prompts from this size on; OpenAI counts hits in steps of 128 tokens.
LEAST_CACHED_TOKENS = 1024
AUTOMATIC_STEP_TOKENS = 128
AUTOMATIC_SECONDS = 600.0


class Mark(msgspec.Struct, frozen=True):
    """A place in the prompt, in bytes, up to which the caller asked to cache, and for how long."""

    offset: int
    seconds: float


class CacheUse(msgspec.Struct, frozen=True):
    """Tokens of one prompt that came from the cache, and that were written to it."""

    read: int = 0
    written: int = 0
    written_long: int = 0


def count_tokens(text: str | bytes) -> int:
    """Count the tokens of a text: four UTF-8 bytes each, begun ones included."""
    data = text.encode() if isinstance(text, str) else text
    return -(-len(data) // BYTES_PER_TOKEN)


def cut_into_tokens(text: str) -> tuple[str, ...]:
    """Cut a text into pieces of four characters."""
    step = BYTES_PER_TOKEN
    return tuple(text[start : start + step] for start in range(0, len(text), step))


def image_stand_in(data: str) -> bytes:
    """Return bytes that stand for an image or a file: its own, and of one length for all."""
    return hashlib.shake_256(data.encode()).digest(IMAGE_TOKENS * BYTES_PER_TOKEN)


class PromptCache:
    """Remembers prefixes of prompts, as a vendor's prompt cache does; the oldest go first."""

    def __init__(self, keep: int = 100_000) -> None:
        self._keep = keep
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def automatic(self, owner: str, prompt: bytes, now: float) -> CacheUse:
        """Use the cache as OpenAI does: every prefix, in steps, without being asked.

        Shapes: `owner` names vendor and model; `now` in seconds of any steady clock.
        """
        whole = len(prompt) // BYTES_PER_TOKEN
        steps = list(range(LEAST_CACHED_TOKENS, whole + 1, AUTOMATIC_STEP_TOKENS))
        if not steps:
            return CacheUse()
        names = prefix_names(owner, prompt, [step * BYTES_PER_TOKEN for step in steps])
        known = (step for step, name in zip(steps, names, strict=True) if self._known(name, now))
        read = max(known, default=0)
        for name in names:
            self._remember(name, now + AUTOMATIC_SECONDS)
        return CacheUse(read=read, written=steps[-1] - read)

    def marked(
        self,
        owner: str,
        prompt: bytes,
        borders: tuple[int, ...],
        marks: tuple[Mark, ...],
        now: float,
    ) -> CacheUse:
        """Use the cache as Anthropic does: up to the caller's marks, at the borders of blocks.

        Shapes: `borders` are the ends of the prompt's blocks, ascending, in bytes; marks lie on
        them.
        """
        if not marks:
            return CacheUse()
        last = max(mark.offset for mark in marks)
        ends = [end for end in borders if end <= last]
        names = dict(zip(ends, prefix_names(owner, prompt, ends), strict=True))
        read = max((end for end in ends if self._known(names[end], now)), default=0)
        done = count_tokens(prompt[:read])
        use = CacheUse(read=done)
        for mark in sorted(marks, key=lambda mark: mark.offset):
            tokens = count_tokens(prompt[: mark.offset])
            if tokens < LEAST_CACHED_TOKENS:
                continue
            self._remember(names[mark.offset], now + mark.seconds)
            grown = max(tokens - done, 0)
            done = max(done, tokens)
            if mark.seconds > AUTOMATIC_SECONDS:
                use = msgspec.structs.replace(use, written_long=use.written_long + grown)
            else:
                use = msgspec.structs.replace(use, written=use.written + grown)
        return use

    def _known(self, name: bytes, now: float) -> bool:
        return self._until.get(name, 0.0) > now

    def _remember(self, name: bytes, until: float) -> None:
        self._until[name] = until
        self._until.move_to_end(name)
        if len(self._until) > self._keep:
            self._until.popitem(last=False)


def prefix_names(owner: str, prompt: bytes, ends: list[int]) -> list[bytes]:
    """Name each prefix of the prompt that ends at one of the ascending `ends`."""
    running = hashlib.sha256(owner.encode() + b"\0")
    names, start = [], 0
    for end in ends:
        running.update(prompt[start:end])
        names.append(running.digest())
        start = end
    return names
