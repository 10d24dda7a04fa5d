"""Which model, version and fingerprint a deployment answers as, and that it began to be another.

Rules of this file: plain and synchronous. What a vendor swaps behind a pinned id is told once for
each name it answers by; that a fingerprint moves between some it had before is no news.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from routerd.domain import Attempt, Record
from routerd.telemetry.events import Event, OtherModelAnswered

__all__ = ["Answering"]

# Names a deployment is known to answer by; a provider that makes one up for every answer is told
# of so often and no more.
MOST_NAMES: Final = 20


class Answering:
    """The names that each deployment answered by so far, the latest last."""

    def __init__(self, tell: Callable[[Event], None] = lambda _: None) -> None:
        self._tell = tell
        self._names: dict[str, OrderedDict[str, None]] = {}

    def learn(self, record: Record) -> None:
        """Take from a call that ended who answered it."""
        for attempt in record.attempts:
            if attempt.answered_model is None or attempt.error_class is not None:
                continue
            name = attempt.answered_model
            if attempt.fingerprint:
                name = f"{name} ({attempt.fingerprint})"
            seen = self._names.get(attempt.deployment)
            if seen is None or next(reversed(seen)) != name:
                self._learn(attempt, name, seen)

    def report(self) -> dict[str, list[str]]:
        """Return the names of deployments that answered by more than one."""
        return {name: list(seen) for name, seen in self._names.items() if len(seen) > 1}

    def _learn(self, attempt: Attempt, name: str, seen: OrderedDict[str, None] | None) -> None:
        if seen is None:
            self._names[attempt.deployment] = OrderedDict({name: None})
            if any("another model answered" in note for note in attempt.notes):
                self._told(attempt.deployment, attempt.model, name)
        elif name not in seen:
            if len(seen) < MOST_NAMES:
                self._told(attempt.deployment, next(reversed(seen)), name)
                seen[name] = None
        else:
            seen.move_to_end(name)

    def _told(self, deployment: str, before: str, answered: str) -> None:
        self._tell(OtherModelAnswered(deployment=deployment, before=before, answered=answered))
