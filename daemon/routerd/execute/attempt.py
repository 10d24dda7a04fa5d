"""One attempt: one request on the wire, from encoding to the end of its answer.

Rules of this file: an attempt ends in exactly one way, an Outcome or AttemptFailed, and in both
the `Attempt` it was given is filled in. Whatever happens, the answer's connection is closed or
returned.
"""

from __future__ import annotations

from msgspec import structs

from routerd.domain import Attempt, Part, Usage
from routerd.errors import AttemptFailed, ErrorClass, Failure
from routerd.execute.delivery import Delivery, written_bytes
from routerd.execute.target import Target
from routerd.execute.watchdog import Watchdog
from routerd.models.pricing import cost
from routerd.providers.base import AnswerDecoder, ChatRequest, Outcome
from routerd.providers.transport import (
    Response,
    TransportError,
    as_failure,
    content_chunks,
    read_content,
)
from routerd.settings import Timeouts
from routerd.telemetry.plain import as_code

__all__ = ["run_attempt", "settle_attempt"]

ERROR_BODY_BYTES = 64 * 1024
OUTPUT_BYTES_PER_TOKEN = 4
TAIL_SECONDS = 0.1
SIMULATED_HEADER = "x-routerd-simulated"


async def run_attempt(
    target: Target,
    request: ChatRequest,
    attempt: Attempt,
    delivery: Delivery,
    timeouts: Timeouts,
    deadline: float,
) -> Outcome:
    """Send one request and deliver its answer; AttemptFailed says what went wrong.

    `deadline` is on the event loop's clock.
    """
    encoded = target.adapter.encode(request)
    attempt.notes.extend(encoded.notes)
    decoder = target.adapter.decoder(stream=request.stream)
    watchdog = Watchdog(deadline)
    try:
        with watchdog:
            sent_at = watchdog.now()
            watchdog.expect("headers", _headers_seconds(request, timeouts))
            response = await target.channel.send(encoded.path, encoded.headers, encoded.body)
            try:
                attempt.headers_us = delivery.elapsed_us()
                attempt.status = response.status_code
                attempt.simulated = target.simulated or SIMULATED_HEADER in response.headers
                if response.status_code != 200:
                    raise AttemptFailed(await _read_failure(target, response))
                if request.stream:
                    waited = watchdog.now() - sent_at
                    watchdog.expect("first_content", timeouts.first_content - waited)
                await _read_answer(response, decoder, attempt, delivery, watchdog, timeouts)
            finally:
                await response.aclose()
    except TransportError as error:
        if not decoder.outcome.complete:
            raise AttemptFailed(as_failure(error, _phase(attempt))) from error
    finally:
        _note_outcome(attempt, decoder.outcome)
    if decoder.outcome.failure is not None:
        raise AttemptFailed(decoder.outcome.failure)
    if not decoder.outcome.complete:
        raise AttemptFailed(_incomplete(watchdog, attempt))
    return decoder.outcome


def settle_attempt(attempt: Attempt, target: Target, input_tokens: int, output_bytes: int) -> None:
    """Put a price on an attempt, whatever its end.

    What the provider reported is measured. A request that went out and whose usage nobody told is
    estimated: the input is known, or told before the answer; the output is counted as it came.
    What was refused, or never sent, costs nothing.
    """
    if attempt.usage is not None and attempt.cost_basis != "estimated":
        attempt.cost_basis = "measured"
    elif not attempt.sent or attempt.status not in (None, 200):
        attempt.usage = None
        attempt.cost_nanodollars, attempt.cost_basis = 0, "measured"
        return
    else:
        output = -(-output_bytes // OUTPUT_BYTES_PER_TOKEN)
        told = attempt.usage or Usage(input_tokens=input_tokens)
        attempt.usage = structs.replace(told, output_tokens=max(told.output_tokens, output))
        attempt.cost_basis = "estimated"
    attempt.cost_nanodollars = cost(target.price, attempt.usage)
    if attempt.cost_nanodollars is None:
        attempt.cost_basis = "unknown"


async def _read_answer(
    response: Response,
    decoder: AnswerDecoder,
    attempt: Attempt,
    delivery: Delivery,
    watchdog: Watchdog,
    timeouts: Timeouts,
) -> None:
    """Hand on parts as they come, to the end of the body or an error inside it."""
    outcome = decoder.outcome
    async for data in content_chunks(response):
        parts = decoder.feed(data)
        if parts:
            await _deliver(parts, attempt, delivery, watchdog, timeouts)
        if outcome.failure is not None:
            return
        if outcome.complete:
            # The rest is the end of the body. Reading it keeps the connection for the next call.
            watchdog.expect("content", TAIL_SECONDS)
        elif attempt.first_content_us is not None:
            watchdog.alive(timeouts.between_parts)
    parts = decoder.end()
    if parts:
        await _deliver(parts, attempt, delivery, watchdog, timeouts)


async def _deliver(
    parts: list[Part],
    attempt: Attempt,
    delivery: Delivery,
    watchdog: Watchdog,
    timeouts: Timeouts,
) -> None:
    if attempt.first_content_us is None:
        attempt.first_content_us = delivery.elapsed_us()
    delivery.output_bytes += written_bytes(parts)
    # A caller that reads slowly is no silence of the provider's.
    watchdog.pause()
    await delivery.deliver(parts)
    watchdog.expect("content", timeouts.between_parts)


def _note_outcome(attempt: Attempt, outcome: Outcome) -> None:
    attempt.finish = outcome.finish
    attempt.usage = outcome.usage
    if outcome.usage is None and outcome.early_usage is not None:
        attempt.usage, attempt.cost_basis = outcome.early_usage, "estimated"
    attempt.answered_model = as_code(outcome.model)
    attempt.response_id = as_code(outcome.response_id)
    attempt.malformed_events = outcome.malformed_events
    attempt.notes.extend(outcome.notes)


async def _read_failure(target: Target, response: Response) -> Failure:
    try:
        body = await read_content(response, ERROR_BODY_BYTES)
    except TransportError:
        body = b""  # too long or cut; what the status says is known all the same
    return target.adapter.failure(response.status_code, response.headers, body)


def _headers_seconds(request: ChatRequest, timeouts: Timeouts) -> float:
    """A plain answer sends its headers when it is whole."""
    return timeouts.headers if request.stream else timeouts.whole_answer


def _phase(attempt: Attempt) -> str:
    if attempt.headers_us is None:
        return "headers"
    return "first_content" if attempt.first_content_us is None else "content"


def _incomplete(watchdog: Watchdog, attempt: Attempt) -> Failure:
    phase = watchdog.expired
    if phase is None:
        text = "the answer ended without the provider's end mark"
        return Failure(ErrorClass.BAD_ANSWER, text, phase=_phase(attempt))
    if phase == "deadline":
        return Failure(ErrorClass.TIMEOUT, "the time allowed for the call is over", phase=phase)
    return Failure(ErrorClass.TIMEOUT, f"the provider took too long in phase {phase}", phase=phase)
