"""Calls, answers and caches to test with."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from anyio.lowlevel import checkpoint

from routerd.cache import Answers, KeptAnswer, Key
from routerd.domain import FinishReason
from routerd.settings import CachedShortcut, Caching
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions, TextDelta, Usage

SECONDS: Final = 60.0
PLAIN: Final = CallOptions()


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def answers(clock: Clock | None = None, *, max_bytes: int = 1 << 20) -> Answers:
    """Return a cache for the shortcut `kept`, and for `secrets` whatever their sensitivity."""
    shortcuts = {
        "kept": CachedShortcut(seconds=SECONDS),
        "secrets": CachedShortcut(seconds=SECONDS, private=True),
    }
    return Answers(Caching(max_bytes=max_bytes, shortcuts=shortcuts), clock or Clock())


def ask(
    cache: Answers,
    text: str = "Hello",
    *,
    target: str = "kept",
    options: CallOptions = PLAIN,
    serves: str = "fast",
    decided_by: str = "p1/d1",
) -> Key | None:
    """Return the key of a call with one message."""
    messages = [Message("user", text)]
    return cache.key(target, messages, options, serves=serves, decided_by=decided_by)


def answer(text: str = "Hi.", *, finish: FinishReason = "stop", **more: Any) -> KeptAnswer:
    fields: dict[str, Any] = {
        "parts": (TextDelta(text),),
        "finish": finish,
        "decision_id": "0" * 32,
        "model": "m-1",
        "deployment": "acme/m-1",
        "provider": "acme",
        "usage": Usage(input_tokens=7, output_tokens=2),
    }
    return KeptAnswer(**{**fields, **more})


async def settle() -> None:
    """Let everybody go on until all wait for something."""
    for _ in range(10):
        await checkpoint()


class Caller:
    """A call that waits for its turn; one that has to ask goes on until it is told how it ends.

    `asking` are those that ask now, of all calls that share it: at most one for a key. `got` is the
    answer that it was given without asking.
    """

    def __init__(
        self,
        cache: Answers,
        key: Key | None,
        asking: dict[Key | None, Caller],
        seconds: float | None = None,
    ) -> None:
        self.key = key
        self.got: KeptAnswer | None = None
        self._cache = cache
        self._asking = asking
        self._seconds = seconds
        self._told: asyncio.Future[KeptAnswer | ConnectionError | None]
        self._told = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._serve())

    @property
    def asks(self) -> bool:
        return self._asking.get(self.key) is self

    def tell(self, end: KeptAnswer | ConnectionError | None) -> None:
        """End the asking: with an answer to keep, with an error, or with neither."""
        if not self._told.done():
            self._told.set_result(end)

    async def _serve(self) -> None:
        async with self._cache.share(self.key, self._seconds) as turn:
            if turn.answer is not None:
                self.got = turn.answer
                return
            assert self.key not in self._asking, "two ask at once"
            self._asking[self.key] = self
            try:
                end = await self._told
                if isinstance(end, ConnectionError):
                    raise end
                if end is not None:
                    turn.keep(end)
            finally:
                del self._asking[self.key]
