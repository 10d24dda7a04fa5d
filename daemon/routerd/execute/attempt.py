"""One attempt: one request on the wire, from sending to the end of its answer.

Rules of this file: an attempt ends in exactly one way, an Outcome or AttemptFailed, and in both
the `Attempt` it was given is filled in. Whatever happens, the answer's connection is closed or
returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from routerd.domain import Attempt, Usage
from routerd.errors import AttemptFailed, ErrorClass, Failure
from routerd.execute.answer import AnswerReader
from routerd.execute.delivery import Delivery
from routerd.execute.target import Target
from routerd.execute.watchdog import Watchdog
from routerd.models.pricing import Price, cost, format_dollars
from routerd.providers.answer_headers import read_told
from routerd.providers.base import EncodedRequest, Outcome, Wire, note_other_model
from routerd.providers.failure import MAX_ERROR_BYTES
from routerd.providers.rate_limits import LimitLeft, read_limits
from routerd.providers.redaction import redacted
from routerd.providers.terms import PLAIN_TERMS, has_unlisted_cost
from routerd.providers.tokens import token_is_late
from routerd.providers.transport import (
    Answer,
    Sending,
    TransportError,
    as_failure,
    headers_by_name,
    read_start,
)
from routerd.settings import Timeouts
from routerd.telemetry.plain import as_code

__all__ = ["Deadline", "run_attempt", "settle_attempt"]

Hear = Callable[[tuple[LimitLeft, ...]], None]
ERROR_BODY_SECONDS = 2.0
OUTPUT_BYTES_PER_TOKEN = 4
UNSEEN = "what the provider wrote was never seen: the most it can cost was charged"
NO_RATE = "a rate that this usage needs is not known: the most it can cost was charged"
UNLISTED = "no price list says all that this cost: {} of it are known, and count"
GATEWAY = "a gateway before the provider lost the answer: nobody says whether that is billed"
# Statuses of gateways, not of the provider: in the first two it may have got the request, in the
# others it had it and took its time.
NO_ANSWER = frozenset({502, 520})
OF_GATEWAYS = NO_ANSWER | {504, 524}
NO_TOKENS = Usage()
SIMULATED_HEADER = b"x-routerd-simulated"
# Whose stream shows nothing for so long is silent, however little time its caller allowed.
SILENT_SECONDS = 5.0
# And of any answer, so long that it is worth a hint: as short as the shortest limit for it.
HINT_SECONDS = 0.9


class Deadline(NamedTuple):
    """When the time of a call is over, on the event loop's clock.

    An answer has to begin within `patience` seconds, where that is less than its own limits.
    `is_hasty`: those limits are short because the caller named milliseconds.
    """

    at: float
    patience: float = math.inf
    is_hasty: bool = False


async def run_attempt(  # noqa: PLR0913 - the last ones by name
    target: Target,
    encoded: EncodedRequest,
    attempt: Attempt,
    delivery: Delivery,
    timeouts: Timeouts,
    deadline: Deadline,
    *,
    stream: bool,
    whole: bool | None = None,
    hear: Hear | None = None,
    wire: Wire | None = None,
) -> Outcome:
    """Send one request and deliver its answer; AttemptFailed says what went wrong.

    `stream` is how it is asked for; `whole` says that the caller gets it in one piece all the same,
    by default what is not streamed. `hear` is told what the provider says is left of the key's
    limits. `wire` reads the answer, unless the request names its own: the target's adapter where
    none is given.
    """
    exchange = _Exchange(
        target,
        encoded,
        attempt,
        delivery,
        timeouts,
        deadline,
        encoded.wire or wire or target.adapter,
        stream=stream,
        whole=not stream if whole is None else whole,
    )
    exchange.hear = hear
    try:
        return await exchange.run()
    except AttemptFailed as failed:
        channel = target.channel_of(attempt.key)
        raise AttemptFailed(redacted(failed.failure, channel)) from failed.__cause__
    finally:
        attempt.sent = exchange.was_sent
        attempt.waited_us = exchange.waited_us()
        note_other_model(exchange.answer.outcome, target.provider_model, target.model)
        outcome = exchange.answer.outcome
        if encoded.beyond_hold or (outcome.terms and outcome.terms != PLAIN_TERMS):
            attempt.unlisted_cost = has_unlisted_cost(encoded.beyond_hold, outcome.terms)
        _note_outcome(attempt, outcome, keeps_long=encoded.keeps_long)


def settle_attempt(
    attempt: Attempt,
    price: Price | None,
    input_tokens: int,
    output_bytes: int,
    output_limit: int | None = None,
    *,
    streamed: bool = True,
) -> None:
    """Put a price on an attempt, whatever its end.

    What the provider reported is measured. A request that went out and whose usage nobody told is
    estimated: the input is known, or told before the answer; the output is counted as it came, and
    cannot be above its limit. Of an answer that is not streamed nobody saw what was written before
    it was lost: it costs its bound. What was refused, or never sent, costs nothing,
    and so does what a free tier paid for. What has no known cost but was bounded costs its bound.
    What a gateway answered in the provider's place is no refusal: the answer may be lost. Where a
    part stands in no price list, the rest counts, and the whole is not known.
    """
    unseen = False
    sold_by_query = attempt.queries and price is not None and price.per_query is not None
    if attempt.queries and not sold_by_query and attempt.usage == NO_TOKENS:
        attempt.usage = None  # what it told is not what it is sold by
    is_of_gateway = attempt.status in OF_GATEWAYS
    if attempt.usage is not None and attempt.cost_basis != "estimated":
        attempt.cost_basis = "measured"
    elif not attempt.sent or (attempt.status not in (None, 200) and not is_of_gateway):
        attempt.usage, attempt.queries, attempt.unlisted_cost = None, 0, False
        attempt.cost_nanodollars, attempt.cost_basis = 0, "measured"
        return
    else:
        unseen = not streamed and attempt.status not in NO_ANSWER
        if is_of_gateway:
            attempt.notes.append(GATEWAY)
        output = -(-output_bytes // OUTPUT_BYTES_PER_TOKEN)
        if output_limit is not None:
            output = min(output, output_limit)
        told = attempt.usage or Usage(input_tokens=input_tokens)
        attempt.usage = structs.replace(told, output_tokens=max(told.output_tokens, output))
        attempt.cost_basis = "estimated"
    if attempt.free:
        attempt.cost_nanodollars = 0
    else:
        by_query = bool(sold_by_query)
        _put_price_on(attempt, price, attempt.usage, unseen=unseen, by_query=by_query)
    if attempt.unlisted_cost:
        attempt.cost_basis = "unknown"
        if attempt.cost_nanodollars is not None:
            attempt.notes.append(UNLISTED.format(format_dollars(attempt.cost_nanodollars)))


def _put_price_on(
    attempt: Attempt, price: Price | None, usage: Usage, *, unseen: bool, by_query: bool
) -> None:
    """Price by the list what was used."""
    duration_us = (attempt.ended_us or attempt.started_us) - attempt.started_us
    if by_query and price is not None and price.input is None:
        usage = NO_TOKENS  # where tokens have no price they are not sold at all
    queries = attempt.queries if by_query else 0
    attempt.cost_nanodollars = cost(price, usage, queries=queries, duration_us=duration_us)
    known = attempt.cost_nanodollars is not None
    if attempt.held_nanodollars is not None and (unseen or not known):
        attempt.cost_nanodollars, attempt.cost_basis = attempt.held_nanodollars, "estimated"
        attempt.notes.append(UNSEEN if known else NO_RATE)
    elif not known:
        attempt.cost_basis = "unknown"


class _Exchange:
    """One request and its answer."""

    def __init__(  # noqa: PLR0913 - the last ones by name
        self,
        target: Target,
        encoded: EncodedRequest,
        attempt: Attempt,
        delivery: Delivery,
        timeouts: Timeouts,
        deadline: Deadline,
        wire: Wire,
        *,
        stream: bool,
        whole: bool,
    ) -> None:
        self._target = target
        self._wire = wire
        self._encoded = encoded
        self._attempt = attempt
        self._delivery = delivery
        self._timeouts = timeouts
        self._deadline, self._patience, self._is_hasty = deadline
        self._channel = target.channel_of(attempt.key)
        self._stream = stream
        self._whole = whole
        self.hear: Hear | None = None
        self._was_hurried = False
        # What has no answer yet may still be rescued, if a silence in it leaves time for that.
        self._hurries_parts = stream and whole and self._patience / 2 < timeouts.between_parts
        if self._hurries_parts:
            timeouts = structs.replace(timeouts, between_parts=self._patience / 2)
        self._sent_at = 0.0
        self._sending = Sending()
        self._watchdog = Watchdog(self._deadline)
        self.answer = AnswerReader(
            wire.decoder(stream=stream),
            attempt,
            delivery,
            self._watchdog,
            stream=stream,
            whole=whole,
            timeouts=timeouts,
        )
        attempt.notes.extend(encoded.notes)

    @property
    def was_sent(self) -> bool:
        """Whether the provider may have seen the request."""
        return self._sending.started

    def waited_us(self) -> int:
        """End the counting of how long the provider was waited for, and return it."""
        self._sending.go_on()
        return int(self._sending.waited * 1_000_000)

    async def run(self) -> Outcome:
        """Return how the answer ended; AttemptFailed where it is not a whole one."""
        answer, lost = self.answer, None
        try:
            with self._watchdog:
                await self._send_and_read()
        except TransportError as error:
            lost = error
        is_cut = lost is not None or self._watchdog.expired is not None
        failure = answer.outcome.failure
        if failure is not None:
            phase = failure.phase or self._phase()
            raise AttemptFailed(structs.replace(failure, phase=phase))
        if not answer.outcome.complete and not (
            is_cut and self._attempt.status == 200 and answer.take_as_whole()
        ):
            raise AttemptFailed(self._why_incomplete(lost)) from lost
        answer.finish()
        return answer.outcome

    async def _send_and_read(self) -> None:
        attempt, watchdog, timeouts = self._attempt, self._watchdog, self._timeouts
        # A plain answer sends its headers when it is whole.
        patience = timeouts.whole_answer
        if self._stream:
            patience = min(timeouts.headers, timeouts.first_content)
            if self._whole:
                watchdog.bound(timeouts.whole_answer)
        self._was_hurried = self._patience < patience or (self._is_hasty and self._stream)
        self._sent_at = sent_at = watchdog.expect("headers", min(patience, self._patience))
        encoded = self._encoded
        answer = await self._channel.send(
            encoded.path, encoded.headers, encoded.body, self._sending, timeouts.connect
        )
        try:
            attempt.headers_us = self._delivery.elapsed_us()
            attempt.status = status = answer.status_code
            names = answer.names
            attempt.simulated = attempt.simulated or SIMULATED_HEADER in names
            attempt.request_id, attempt.took_ms = read_told(names)
            limits = read_limits(names)
            if limits is not None:
                attempt.headroom = limits.headroom
            if status != 200:
                watchdog.stop()
                failure = await self._read_failure(answer)
                raise AttemptFailed(structs.replace(failure, phase="headers"))
            if limits is not None and self.hear is not None:
                self.hear(limits.hints)
            if self._stream:
                waited = watchdog.now() - sent_at
                self._was_hurried = self._is_hasty or self._patience < timeouts.first_content
                seconds = min(timeouts.first_content, self._patience)
                watchdog.expect("first_content", seconds - waited)
                if timeouts.thinking > timeouts.first_content:
                    self.answer.thinking_until = sent_at + timeouts.thinking
            await self.answer.read(answer)
        finally:
            await answer.aclose()

    async def _read_failure(self, answer: Answer) -> Failure:
        """Read an error answer: what the status says is known, whatever becomes of its body."""
        seconds = min(ERROR_BODY_SECONDS, self._deadline - self._watchdog.now())
        body = await read_start(answer, MAX_ERROR_BYTES, seconds)
        return self._wire.failure(answer.status_code, headers_by_name(answer), body)

    def _why_incomplete(self, lost: TransportError | None) -> Failure:
        sent, phase = self._sending.started, self._phase()
        if lost is not None:
            return as_failure(lost, phase)
        expired = self._watchdog.expired
        if expired is None:
            text = "the answer ended without the provider's end mark"
            return Failure(ErrorClass.BAD_ANSWER, text, phase=phase)
        text = "the time allowed for the call is over"
        if self._sending.awaits_token:
            # Whoever is slow, it is not the provider: nothing was sent there.
            if expired != "deadline":
                return structs.replace(token_is_late(), phase=phase)
            return Failure(
                ErrorClass.TIMEOUT, text, phase=expired, request_sent=False, is_evidence=False
            )
        if expired != "deadline":
            # The limit of a plain answer runs from sending to its end, whatever came meanwhile.
            phase = phase if expired == "headers" else expired
            text = f"the provider took too long in phase {phase}"
        silent_seconds = self._silent_seconds()
        was_hurried = self._was_hurried or (self._hurries_parts and expired == "content")
        is_evidence = (expired != "deadline" and not was_hurried) or (
            self._stream and silent_seconds >= SILENT_SECONDS
        )
        return Failure(
            ErrorClass.TIMEOUT,
            text,
            phase="deadline" if expired == "deadline" else phase,
            request_sent=sent,
            is_evidence=is_evidence,
            is_hint=not is_evidence and silent_seconds >= HINT_SECONDS,
        )

    def _silent_seconds(self) -> float:
        """Return how long nothing at all came, 0 once anything has."""
        if self._attempt.headers_us is not None:
            return 0.0
        return self._watchdog.now() - self._sent_at

    def _phase(self) -> str:
        if not self._sending.started:
            return "connect"
        if self._attempt.headers_us is None:
            return "headers"
        if self._stream and self._attempt.first_content_us is None:
            return "first_content"
        return "content"


def _note_outcome(attempt: Attempt, outcome: Outcome, *, keeps_long: bool) -> None:
    attempt.finish = outcome.finish
    attempt.usage = outcome.usage
    if outcome.queries is not None:
        attempt.queries = outcome.queries
    if outcome.usage is None and outcome.early_usage is not None:
        attempt.usage, attempt.cost_basis = outcome.early_usage, "estimated"
    usage = attempt.usage
    if keeps_long and usage is not None and not outcome.tells_lifetimes:
        attempt.usage = structs.replace(
            usage,
            cache_write_tokens=0,
            cache_write_long_tokens=usage.cache_write_tokens + usage.cache_write_long_tokens,
        )
    attempt.answered_model = as_code(outcome.model)
    attempt.fingerprint = as_code(outcome.fingerprint)
    attempt.response_id = as_code(outcome.response_id)
    if outcome.took_ms is not None:
        attempt.took_ms = outcome.took_ms
    attempt.malformed_events = outcome.malformed_events
    attempt.notes.extend(outcome.notes)
