"""One call on its way, and what is settled for all calls beforehand.

Rules of this file: it holds what the pipeline passes on from step to step; the order of the steps
is the pipeline's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from routerd.cache import Answers, Key, Turn
from routerd.classify.features import measure
from routerd.classify.search import measure_search
from routerd.decide import Book, refusal
from routerd.domain import Attempt, Call, Latency, Plan, Record
from routerd.errors import CallRefused
from routerd.execute.accounts import Accounts
from routerd.execute.deciding import Asked, decide, understand
from routerd.execute.delivery import Delivery, Sink
from routerd.execute.fair_queue import BATCH, CRITICAL, ORDINARY
from routerd.execute.keeping import KeptTexts
from routerd.execute.places import Place, Places
from routerd.execute.purse import Purse
from routerd.execute.recording import caller_of, continue_record
from routerd.execute.routes import Execution
from routerd.execute.searching import Searching
from routerd.execute.shadows import Copy, Shadows
from routerd.execute.target import Target
from routerd.ledger import Ledger, LedgerUnreadable
from routerd.models.directory import Directory
from routerd.settings import (
    BatchTimeouts,
    Failover,
    InteractiveTimeouts,
    Limits,
    Timeouts,
    timeouts_for,
)
from routerd_proto.frames import CallOptions, CallStarted
from routerd_proto.search import SearchRequested

__all__ = ["Rules", "Story", "join_earlier", "place_of"]

# A client that sends a call again does so at once; an id that comes later is another call's.
COPIES_WITHIN_MS: Final = 3_600_000


class Rules(Struct, frozen=True, eq=False):
    """What calls are decided and served by.

    `book` is what decisions are made by, `targets` are the deployments that can be called, by id.
    `provider_places` says how many requests may run at once at a provider.
    `texts_of` are the tenants whose prompts and answers are kept. The hashes name directory and
    policy as the ledger keeps them.
    `simulated` says that all providers are simulators, so that a refusal is told to be one too.
    """

    book: Book
    targets: Mapping[str, Target]
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    interactive_timeouts: InteractiveTimeouts = InteractiveTimeouts()
    batch_timeouts: BatchTimeouts = BatchTimeouts()
    provider_places: Mapping[str, int] = {}
    failover: Failover = Failover()
    texts_of: frozenset[str] = frozenset()
    directory_hash: str | None = None
    policy_hash: str | None = None
    simulated: bool = False

    @property
    def decided_by(self) -> str:
        """One name for policy and directory."""
        return f"{self.policy_hash}/{self.directory_hash}"

    def timeouts_of(self, latency: Latency | None) -> Timeouts:
        """Return how long a call with this latency target may take."""
        if latency is None:
            return self.timeouts
        return timeouts_for(self.timeouts, self.interactive_timeouts, self.batch_timeouts, latency)

    def latency_of(self, target: str, options: CallOptions) -> Latency | None:
        """Return the latency target of a call: its own, else that of the shortcut it asks for."""
        if options.latency is not None:
            return options.latency
        shortcut = self.book.directory.shortcuts.get(target)
        return None if shortcut is None else shortcut.defaults.latency

    @property
    def directory(self) -> Directory:
        """The models there are."""
        return self.book.directory


class Story(Struct, eq=False):
    """One call on its way. `made_before` counts the attempts of earlier copies of it.

    `rules`, `accounts` and `answers` are those of the moment in which it came in, so that a reload
    does not touch a call that has begun. `place` is what it has of the places there are. `copy`
    says which call it copies, if it is a shadow's. `turn` is its turn among identical calls, once
    it has come so far.
    """

    call: Call
    record: Record
    delivery: Delivery
    rules: Rules
    accounts: Accounts
    answers: Answers
    place: Place
    copy: Copy | None = None
    execution: Execution | Searching | None = None
    texts: KeptTexts | None = None
    made_before: int = 0
    turn: Turn | None = None

    @property
    def keeps_texts(self) -> bool:
        """Whether prompt and answer are for the ledger: its tenant's operator says so."""
        options = self.call.options
        if options.sensitivity == "private" or self.call.search is not None:
            return False
        if self.copy is not None:
            return self.copy.keeps_texts
        return options.tenant in self.rules.texts_of

    @property
    def attempts(self) -> Iterator[Attempt]:
        """All attempts so far in their order, those of earlier copies first."""
        yield from self.record.attempts
        if self.execution is not None:
            yield from self.execution.attempts

    def understand(self) -> Asked:
        """Measure the call and find who is asked for; CallRefused where no such name exists."""
        call, record, book = self.call, self.record, self.rules.book
        seconds, search = call.deadline - call.received_at, call.search
        if search is None:
            features = measure(call.messages, call.options, seconds, words=book.words)
        else:
            features = measure_search(search, seconds, words=book.words)
        asked = understand(
            book,
            call.target,
            features,
            call.options,
            caller_of(record),
            policy=self.copy.policy if self.copy is not None else None,
        )
        record.target, record.features = call.target, asked.features
        record.arm = record.arm or asked.choice.arm
        if self.keeps_texts:
            self.keep_texts()
        return asked

    def decide(self, asked: Asked, purse: Purse) -> Plan:
        """Decide who may serve; CallRefused where nobody may."""
        record, rules = self.record, self.rules
        now = purse.received_at + self.delivery.elapsed_us() / 1e6
        plan, snapshot = decide(rules.book, self.accounts, asked, purse.spending, now)
        record.plan, record.snapshot = plan, snapshot
        record.directory_hash, record.policy_hash = rules.directory_hash, rules.policy_hash
        if not plan.routes:
            raise CallRefused(refusal(plan, snapshot))
        return plan

    def tell_started(self, sink: Sink) -> None:
        """Tell the caller the name of its call; who waits for a whole answer is woken once only."""
        frames = (CallStarted(self.record.decision_id, self.record.trace_id),)
        if self.call.stream:
            sink.send(frames)
        else:
            sink.hold(frames)

    def copy_for(self, shadows: Shadows | None, asked: Asked, plan: Plan) -> None:
        """Have shadows copy the call, if its plan names any; one sent again was copied before."""
        if not plan.shadows or shadows is None or self.call.sends or self.call.search is not None:
            return
        shadows.copy(
            self.call,
            self.record,
            plan,
            self.rules.book.document.shadows,
            texts=self.texts is not None,
            is_kept_near=asked.choice.boundary in ("machine", "own-network"),
        )

    def begin(self, asked: Asked, purse: Purse) -> Execution:
        """Make what runs the routes of the call."""
        self.execution = execution = Execution(
            self.call,
            asked.options,
            asked.features.input_tokens,
            self.delivery,
            self.rules.timeouts_of(asked.features.latency),
            purse,
            made_before=self.made_before,
            failover=self.rules.failover,
        )
        return execution

    def begin_search(self, search: SearchRequested, asked: Asked, purse: Purse) -> Searching:
        """Make what runs the pieces of an embedding or a ranking."""
        self.execution = searching = Searching(
            self.call,
            search,
            asked.options,
            self.delivery,
            self.rules.timeouts_of(asked.features.latency),
            purse,
            made_before=self.made_before,
            failover=self.rules.failover,
        )
        return searching

    def key(self, asked: Asked) -> Key | None:
        """Return what the call has in common with identical ones; None where none is kept for it.

        That of a shadow is asked for anew.
        """
        if self.call.target not in self.answers.shortcuts or self.copy is not None:
            return None
        return self.answers.key(
            self.call.target,
            self.call.messages,
            asked.options,
            serves=asked.choice.serves,
            decided_by=f"{self.rules.decided_by}/{asked.choice.policy.name}",
        )

    def leaves_place_for(self, key: Key | None) -> bool:
        """Give up its place if it will wait for an identical call, which may itself want one.

        Says whether it did.
        """
        waits = key is not None and self.answers.is_asked(key)
        if waits:
            self.place.places.leave(self.place)
        return waits

    def keep_texts(self) -> None:
        """Keep the prompt, and the answer as it passes."""
        self.texts = KeptTexts(self.call.messages)
        self.delivery.listeners.append(self.texts.answer)


async def join_earlier(story: Story, ledger: Ledger) -> None:
    """Go on from the record of an earlier copy of the call, also of one that has ended already."""
    call, record = story.call, story.record
    if record.decision_id == call.decision_id:
        since_ms = call.received_at_ns // 1_000_000 - COPIES_WITHIN_MS
        try:
            earlier = await ledger.find_call(record.call_id, call.peer_uid, since_ms)
        except LedgerUnreadable:
            earlier = None  # two records are better than no answer
        if earlier is not None:
            continue_record(record, earlier)
    story.delivery.set_back((call.received_at_ns - record.received_at_ns) / 1e9)
    story.made_before = len(record.attempts)


def place_of(call: Call, record: Record, latency: Latency | None, places: Places) -> Place:
    """Return what a call needs to have a place: whose it is, and how important.

    A call without a tenant is counted by the user who sent it. A shadow's copy is as important as
    batch calls are, and does not wait.
    """
    options = call.options
    rank = CRITICAL if options.critical else BATCH if latency == "batch" else ORDINARY
    tenant = record.tenant if record.tenant is not None else call.peer_uid
    return Place(places, tenant, call.deadline, rank=rank, waits=record.shadow_of is None)
