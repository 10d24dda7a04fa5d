"""The story of one call, top to bottom.

Rules of this file: it only tells the order of things. Nothing is awaited between the plan and the
hold of the first attempt. Every call that was read ends here exactly once: with one record, one
event and one last frame, whatever happened to it and whatever a provider reports.
"""

from __future__ import annotations

import asyncio
from time import monotonic, time

from routerd.cache import Answers, Collected, WaitedTooLong
from routerd.classify.checks import check_request
from routerd.classify.search import check_search
from routerd.errors import CallRefused
from routerd.execute.accounts import Accounts
from routerd.execute.delivery import Delivery, Sink
from routerd.execute.in_flight import CallsInFlight, SentOnceMore
from routerd.execute.keeping import give_kept, keep_answer
from routerd.execute.places import Places
from routerd.execute.purse import Purse
from routerd.execute.recording import (
    begin_record,
    finish_record,
    last_frame,
    read_call,
    void_record,
)
from routerd.execute.shadows import Copy, Shadows
from routerd.execute.story import Rules, Story, join_earlier, place_of
from routerd.ledger import Ledger
from routerd.telemetry.events import BugSeen, CallFinished, Events
from routerd.telemetry.recent import Recent
from routerd_proto.errors import ErrorInfo, error_info
from routerd_proto.frames import CallRequested
from routerd_proto.search import SearchRequested

__all__ = ["Pipeline"]

OVERHEADS_KEPT = 4096
HUNG_UP = "the caller hung up before the answer was complete"
WAITED = "the time is over, and the identical call that was waited for has not ended"


class Pipeline:
    """Serve calls by `rules`, with the money of `accounts` and the kept answers of `answers`."""

    def __init__(
        self, *, rules: Rules, ledger: Ledger, accounts: Accounts, answers: Answers, events: Events
    ) -> None:
        self.rules = rules
        self.accounts = accounts
        self.answers = answers
        self._ledger = ledger
        self._events = events
        self.places = Places(rules.limits, rules.provider_places)
        self.in_flight = CallsInFlight(self.places)
        self.shadows: Shadows | None = None
        self.stories: set[Story] = set()
        self.served = 0
        self.overheads = Recent(OVERHEADS_KEPT)

    def replace(self, rules: Rules, accounts: Accounts, answers: Answers) -> None:
        """Serve the calls that come from now on by these; those that run end as they began."""
        self.rules, self.accounts, self.answers = rules, accounts, answers
        self.places.replace(rules.limits, rules.provider_places)

    async def serve(
        self,
        request: CallRequested | SearchRequested,
        sink: Sink,
        peer_uid: int | None,
        copy: Copy | None = None,
        read_at: float | None = None,
    ) -> None:
        """Answer one call; on every end a record is written and a last frame is sent.

        `read_at` is when its last byte was read, on the monotonic clock; None for now.
        """
        rules = self.rules
        latency = rules.latency_of(request.target, request.options)
        call = read_call(request, peer_uid, rules.timeouts_of(latency).total, read_at)
        record = begin_record(call, simulated=rules.simulated, copy=copy)
        delivery = Delivery(sink, call.received_at)
        place = place_of(call, record, latency, self.places)
        story = Story(call, record, delivery, rules, self.accounts, self.answers, place, copy)
        self.stories.add(story)
        error: ErrorInfo | None = None
        has_begun, is_a_call = not call.sends, True
        key = (peer_uid, call.call_id)
        try:
            if copy is None:  # a shadow counts its own
                await self.in_flight.begin(key, sink, record, place, again=call.sends > 0)
            has_begun = True
            if call.sends:
                await join_earlier(story, self._ledger)
            if call.search is None:
                error = await self._answer(story, sink)
            else:
                error = await self._search(story, call.search, sink)
        except SentOnceMore as refused:
            error, is_a_call = refused.info, False
        except CallRefused as refused:
            error = refused.info
        except WaitedTooLong:
            error = error_info("deadline_exceeded", WAITED)
        except asyncio.CancelledError:
            error = sink.ended or error_info("cancelled", HUNG_UP)
            # A copy that left before its turn came is told of by the record of the others.
            is_a_call = has_begun or record.decision_id != call.decision_id
            raise
        except Exception as bug:  # noqa: BLE001 - a bug ends the one call it hit, with a record
            error = error_info("internal_error", f"{type(bug).__name__} in routerd")
            self._events.emit(BugSeen(decision_id=record.decision_id, error=bug))
        finally:
            self._end(story, sink, error)
            # Together with the writing: whoever counts finds it in exactly one of both places.
            self.stories.discard(story)
            if not self.in_flight.end(key, sink, record) and is_a_call:
                self._write(story)

    def _end(self, story: Story, sink: Sink, error: ErrorInfo | None) -> None:
        """Fill in the record and send the last frame."""
        record = story.record
        try:
            finish_record(
                record,
                story.execution,
                story.delivery,
                error,
                queued_us=story.place.queued_us,
                shared_us=story.turn.waited_us if story.turn is not None else 0,
            )
            sink.send((last_frame(record, error),))
        except Exception as bug:  # noqa: BLE001 - the call has its end and its record all the same
            void_record(record)
            self._events.emit(BugSeen(decision_id=record.decision_id, error=bug))
            sink.end(error_info("internal_error", f"{type(bug).__name__} in routerd"))

    def _write(self, story: Story) -> None:
        """Hand the record on; nothing changes it any more."""
        if story.copy is None:
            self.served += 1
            self.overheads.add(story.record.overhead_us or 0)
        self._ledger.write(story.record)
        story.accounts.hear(story.record, time())
        if story.texts is not None:
            self._ledger.keep_texts(story.record.decision_id, *story.texts.encoded())
        self._events.emit(CallFinished(record=story.record, trace=story.call.trace))

    async def _answer(self, story: Story, sink: Sink) -> ErrorInfo | None:
        """Answer a call, from what is kept or by its routes; returns why there is no answer."""
        call, record, answers = story.call, story.record, story.answers
        check_request(call.messages, call.options, is_copy=story.copy is not None)
        asked = story.understand()
        waits = story.leaves_place_for(key := story.key(asked))
        turn = story.turn = answers.share(key, call.deadline - monotonic())
        async with turn:
            if turn.answer is not None:
                story.tell_started(sink)
                give_kept(turn.answer, record, story.delivery)
                return None
            if waits:
                await self.places.come_back(story.place)
            collected = Collected(answers.max_bytes) if turn.keeps else None
            if collected is not None:
                story.delivery.listeners.append(collected)
            purse = Purse(story.accounts, record, story.place)
            plan = story.decide(asked, purse)
            story.copy_for(self.shadows, asked, plan)
            story.tell_started(sink)
            execution = story.begin(asked, purse)
            await execution.run(plan, story.rules.targets)
            keep_answer(turn, collected, record, execution)
            return execution.error

    async def _search(self, story: Story, search: SearchRequested, sink: Sink) -> ErrorInfo | None:
        """Answer an embedding or a ranking, in as many requests as it takes; none is kept."""
        check_search(search)
        asked = story.understand()
        purse = Purse(story.accounts, story.record, story.place)
        plan = story.decide(asked, purse)
        story.tell_started(sink)
        searching = story.begin_search(search, asked, purse)
        await searching.run(plan, story.rules.targets)
        return searching.error
