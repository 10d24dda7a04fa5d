"""What a call sees of the cache: its key, then its turn: an answer that is there, or to ask itself.

Rules of this file: it joins the kept answers and the calls in flight. Of what may be kept it knows
only how it must have ended; that it is whole and not degraded is its caller's to see to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from time import monotonic
from types import TracebackType
from typing import Final, Self

from routerd.cache.key import Key, make_key
from routerd.cache.leaders import Leaders, Role
from routerd.cache.store import AnswerStore, KeptAnswer
from routerd.domain import FinishReason
from routerd.settings import CachedShortcut, Caching
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

__all__ = ["Answers", "Turn", "WaitedTooLong"]

# What was blocked, paused or cut may go better the next time.
KEPT_FINISHES: Final[frozenset[FinishReason]] = frozenset({"stop", "tool_calls", "length"})


class WaitedTooLong(Exception):  # noqa: N818 - it says what happened
    """The time was over before the identical call that was waited for had ended."""


class Answers:
    """The answers to identical calls, kept and in flight.

    `clock` tells seconds, from whenever. `max_bytes` bounds all answers together, so each one too.
    `shortcuts` are those whose answers are kept.
    """

    def __init__(self, settings: Caching, clock: Callable[[], float]) -> None:
        self.max_bytes = settings.max_bytes
        self.shortcuts = _kept_shortcuts(settings)
        self._store = AnswerStore(settings.max_bytes, clock)
        self._leaders = Leaders()

    def replaced(self, settings: Caching, *, emptied: bool) -> Answers:
        """Return the same answers for calls to come, by other settings.

        Calls that run share them by the settings they began with. `emptied` says that nothing that
        is kept fits any more.
        """
        answers = copy(self)
        answers.max_bytes, answers.shortcuts = settings.max_bytes, _kept_shortcuts(settings)
        self._store.shrink_to(settings.max_bytes, emptied=emptied)
        return answers

    def key(
        self,
        target: str,
        messages: list[Message],
        options: CallOptions,
        *,
        serves: str,
        decided_by: str,
    ) -> Key | None:
        """Return what a call has in common with identical ones; None if nothing of it is kept.

        `options` are the caller's with the shortcut's defaults filled in. `serves` is the name that
        serves `target` for this call, `decided_by` the policy and the directory that say so.
        """
        shortcut = self.shortcuts.get(target)
        if shortcut is None:
            return None
        return make_key((target, serves, decided_by), messages, options, shortcut=shortcut)

    def is_asked(self, key: Key) -> bool:
        """Say whether an identical call is asking, so that another one waits for it."""
        return self._leaders.is_led(key)

    def share(self, key: Key | None, seconds: float | None = None) -> Turn:
        """Return a call's turn, to be entered: `async with answers.share(key, seconds) as turn`.

        Entering it waits while an identical call asks, and raises WaitedTooLong after `seconds`
        of that. Without a key there is nothing to wait for, and nothing is kept.
        """
        return Turn(key, seconds, self._store, self._leaders)

    def report(self) -> dict[str, int]:
        """Return the state of the cache, as plain data.

        Of the calls with a key, `hits` got a kept answer, `shared` that of a call they waited for,
        and `misses` had to ask.
        """
        return {
            "entries": len(self._store),
            "bytes": self._store.bytes,
            "max_bytes": self.max_bytes,
            "hits": self._store.hits,
            "shared": self._leaders.shared,
            "misses": self._leaders.led,
        }


def _kept_shortcuts(settings: Caching) -> Mapping[str, CachedShortcut]:
    """With room for no answer nobody should wait for one."""
    return settings.shortcuts if settings.max_bytes else {}


class Turn:
    """One call's turn: `answer` is what it gets; None means that it has to ask.

    While it asks, identical calls wait for what it will `keep`. `waited_us` is how long it waited
    for one itself.
    """

    __slots__ = ("_end", "_key", "_leaders", "_leads", "_seconds", "_store", "answer", "waited_us")

    def __init__(
        self, key: Key | None, seconds: float | None, store: AnswerStore, leaders: Leaders
    ) -> None:
        self.answer: KeptAnswer | None = None
        self.waited_us = 0
        self._key = key
        self._seconds = seconds
        self._store = store
        self._leaders = leaders
        self._leads = False
        self._end: KeptAnswer | Role = Role.LEADS

    @property
    def keeps(self) -> bool:
        """Whether an answer is wanted, so that its parts are worth gathering."""
        return self._key is not None and self.answer is None

    async def __aenter__(self) -> Self:
        if self._key is not None:
            self.answer = self._store.find(self._key)
            if self.answer is None:
                waits, since = self._leaders.is_led(self._key), monotonic()
                try:
                    found = await self._leaders.lead(self._key, self._seconds)
                except TimeoutError:
                    raise WaitedTooLong from None
                finally:
                    self.waited_us = int((monotonic() - since) * 1_000_000) if waits else 0
                if isinstance(found, Role):
                    self._leads = found is Role.LEADS
                else:
                    self.answer = found
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._key is not None and self._leads:
            self._leaders.end(self._key, self._end)

    def keep(self, answer: KeptAnswer) -> None:
        """Keep the answer that was asked for, also for those who wait, if it is of that kind."""
        if not self.keeps or self._key is None:
            return
        if answer.finish in KEPT_FINISHES and self._store.keep(self._key, answer):
            self._end = answer
        else:
            self.free_others()

    def free_others(self) -> None:
        """Let those who wait ask for themselves: what came is an answer, and not for them."""
        self._end = Role.IS_ALONE
