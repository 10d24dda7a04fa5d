"""What a rehearsal knows of the daemon it stands for, and the state of it on a bad day.

Rules of this file: pure, the time passed in. The state is made by the parts that make it for a
call, and nothing in it is measured: a daemon that has just started, to which one thing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct, structs

from routerd.budget.budgets import Budgets
from routerd.budget.holds import Spending
from routerd.classify.features import measure
from routerd.classify.search import measure_search
from routerd.decide import Book, Choice, filled
from routerd.domain import BudgetRoom, Features, FreeQuota, Kind, Latency, Snapshot
from routerd.evaluate.scenarios import Scenario
from routerd.execute.recording import caller_of
from routerd.models.directory import Directory
from routerd.models.schema import Deployment
from routerd.settings import Timeouts
from routerd_proto.content import Image, Message, Text
from routerd_proto.frames import CallOptions
from routerd_proto.search import EmbedRequested, RerankRequested, SearchRequested

__all__ = ["FRUIT", "QUESTION", "World", "messages_for", "options_for", "told"]

QUESTION: Final = "Name three fruits."
FRUIT: Final = "The apple is a fruit."
SIGHT: Final = "vision"
# One transparent pixel, for shortcuts that are there to see.
PIXEL: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000000500010d0a2db40000000049454e44ae426082"
)


class World(Struct, frozen=True, eq=False):
    """What decides: the rules, the budgets, the free tiers, and who calls.

    `options` say whose calls are rehearsed, `seconds` how long one may take, `now` when it is, in
    seconds since the epoch. `limits` are the time limits of a call with a latency target.
    """

    book: Book
    budgets: Budgets
    free_quotas: Callable[[Iterable[str], float], tuple[FreeQuota, ...]]
    now: float
    options: CallOptions = CallOptions()
    seconds: float = 600.0
    limits: Callable[[Latency | None], Timeouts] = lambda _latency: Timeouts()

    @property
    def has_caps(self) -> bool:
        """Say whether dollars are capped for the calls that are rehearsed."""
        return any(_is_money(room) for room in self.rooms(self.book.directory.deployments.values()))

    def rooms(self, candidates: Iterable[Deployment]) -> tuple[BudgetRoom, ...]:
        """Return what every cap leaves to calls that come first."""
        options = self.options
        names = (options.tenant, options.team, options.agent, options.user, options.feature)
        places = tuple(sorted({(item.provider, item.model) for item in candidates}))
        return self.budgets.rooms(Spending(names), places, self.now)

    def snapshot(self, scenario: Scenario, candidates: Iterable[Deployment]) -> Snapshot:
        """Return the state of the system on a bad day, as far as a call for these looks at it."""
        candidates = tuple(candidates)
        rooms = self.rooms(candidates)
        if scenario.percent:
            rooms = tuple(
                structs.replace(room, spent=-(-room.limit * scenario.percent // 100))
                if _is_money(room)
                else room
                for room in rooms
            )
        return Snapshot(
            self.now,
            rooms,
            self.free_quotas([item.id for item in candidates], self.now),
            unhealthy=dict.fromkeys(scenario.struck, told(scenario)),
        )

    def ask(
        self, target: str, scenario: Scenario, decision_id: str = ""
    ) -> tuple[Choice, Features]:
        """Return what a target stands for in the call that is rehearsed, and the facts of it.

        Lots are drawn by the decision id. CallRefused where the caller knows no such name.
        """
        options = options_for(self.options, scenario)
        messages = messages_for(self.book.directory, target)
        caller = structs.replace(caller_of(options), decision_id=decision_id)
        features = measure(messages, options, self.seconds, words=self.book.words)
        choice = self.book.choose(target, features, caller)
        search = search_for(choice.resolution.serves, target, options)
        if search is not None:
            features = measure_search(search, self.seconds, words=self.book.words)
            choice = self.book.choose(target, features, caller)
        return choice, filled(features, choice.defaults)


def told(scenario: Scenario) -> str:
    """Say what `Snapshot.unhealthy` says of a provider that a scenario took away."""
    return f"{scenario.trouble} (drill)"


def messages_for(directory: Directory, target: str) -> list[Message]:
    """Return what is asked of a target: a short question, with a picture for who sees."""
    shortcut = directory.shortcuts.get(target)
    while shortcut is not None and shortcut.alias_of is not None:
        shortcut = directory.shortcuts[shortcut.alias_of]
    sees = target == SIGHT or (
        shortcut is not None
        and (
            shortcut.model_class == SIGHT
            or (shortcut.choose is not None and SIGHT in shortcut.choose.needs)
        )
    )
    if not sees:
        return [Message("user", QUESTION)]
    return [Message("user", [Image(data=PIXEL, media_type="image/png"), Text(QUESTION)])]


def search_for(kind: Kind, target: str, options: CallOptions) -> SearchRequested | None:
    """Return what is asked of a target that is no chat, None where it is."""
    if kind == "embedding":
        return EmbedRequested("", target, [QUESTION], options)
    return RerankRequested("", target, QUESTION, [FRUIT], options) if kind == "rerank" else None


def options_for(options: CallOptions, scenario: Scenario) -> CallOptions:
    """Return the options of the call that is rehearsed."""
    return structs.replace(options, sensitivity="private") if scenario.private else options


def _is_money(room: BudgetRoom) -> bool:
    return room.unit == "nanodollars"
