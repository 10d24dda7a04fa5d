"""The faults of the matrix, the phases they strike in, and what must follow from each.

Rules of this file: pure. What must follow is written down from the class of an error, as the
documents promise it, and knows nothing of the code that does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from tests.e2e.asking import Side, Way

__all__ = ["FAULTS", "MODELS", "Asked", "Expected", "Fault", "Lasting", "cells"]

# Models asked for by name, and their backups: an answer from there is not what was asked for.
MODELS: Final = (
    Side("claude-opus-5-5", "anthropic/claude-opus-5-5", "openai/gpt-5.5-2026-04-23"),
    Side("gpt-6.1-sol", "openai/gpt-6.1-sol", "anthropic/claude-opus-5-5"),
)
# The one whose window is larger than that of the model it is the backup of.
LARGER: Final = "openai/gpt-5.5-2026-04-23"

Phase = Literal["headers", "first_content", "content", "end"]
Lasting = Literal["once", "always", "everywhere"]
Asked = Literal["stream", "restart", "acomplete", "complete"]
ASKED: Final[tuple[Asked, ...]] = ("stream", "restart", "acomplete", "complete")

# The first attempt failed before content: may the same model be asked once more?
ONCE_MORE: Final = {"server_error", "overloaded", "connection"}
NOBODY_ELSE: Final = {"bad_request", "content_policy"}
# The status with which each vendor says that it is overloaded.
BUSY: Final = {"anthropic": "529", "openai": "503"}
# Tokens of an answer, of which there are forty at least.
IN_THE_MIDDLE, AFTER_ALL = 5, 9999


class Fault(NamedTuple):
    """A fault as the simulator's script has it, the phase it strikes in, and the class it shows.

    `in_whole` is the class where the answer is not streamed, as far as that is another one. None as
    a class: the answer is a good one all the same. `retry_after` is what the provider names.
    """

    script: str
    phase: Phase
    shows: str | None
    in_whole: str | None = None
    retry_after: float | None = None

    def class_for(self, asked: Asked) -> str | None:
        """Return the class that a failed attempt is recorded with."""
        return self.in_whole if is_whole(asked) and self.in_whole else self.shows


class Expected(NamedTuple):
    """What must follow: the attempts that fail, each with its class, and how the call ends.

    `answered_by` is the deployment whose whole answer the caller gets, else there is a `code`.
    `restarts`: how often the caller is told that what it has is void.
    """

    failed: list[tuple[str, str]]
    answered_by: str | None
    code: str | None = None
    restarts: int = 0


def is_whole(asked: Asked) -> bool:
    """Say whether the caller waits for a whole answer."""
    return asked in {"acomplete", "complete"}


def way_of(asked: Asked) -> Way:
    """Return the client's method."""
    return "stream" if asked == "restart" else asked


BEFORE_HEADERS: Final = (
    Fault("status:400", "headers", "bad_request"),
    Fault("status:422", "headers", "bad_request"),
    Fault("status:400,code=content_policy_violation", "headers", "content_policy"),
    Fault("status:400,code=context_length_exceeded", "headers", "context_length"),
    Fault("status:401", "headers", "auth"),
    Fault("status:403", "headers", "auth"),
    Fault("status:404", "headers", "not_found"),
    Fault("status:408", "headers", "timeout"),
    Fault("status:429,code=insufficient_quota", "headers", "quota"),
    Fault("status:429", "headers", "rate_limit"),
    Fault("status:429,retry_after=0.3", "headers", "rate_limit", retry_after=0.3),
    Fault("status:429,retry_after=60", "headers", "rate_limit", retry_after=60),
    Fault("status:500", "headers", "server_error"),
    Fault("status:500,retry_after=0.3", "headers", "server_error", retry_after=0.3),
    Fault("status:502", "headers", "server_error"),
    Fault("status:504", "headers", "timeout"),
    Fault("status:{busy}", "headers", "overloaded"),
    Fault("status:{busy},retry_after=0.3", "headers", "overloaded", retry_after=0.3),
    Fault("status:{busy},retry_after=60", "headers", "overloaded", retry_after=60),
    Fault("reset", "headers", "connection"),
    Fault("silence", "headers", "timeout"),
)
BEFORE_CONTENT: Final = (
    Fault("slow_first_token:60", "first_content", "timeout"),
    Fault("cut:0", "first_content", "connection"),
    Fault("reset_in_answer:0", "first_content", "connection"),
    Fault("stall:0", "first_content", "timeout"),
    Fault("missing_end:0", "first_content", "bad_answer"),
    Fault("malformed:0", "first_content", None, "bad_answer"),
    Fault("error_in_stream:0,code=server_error", "first_content", "server_error"),
    Fault("error_in_stream:0,code=rate_limit_exceeded", "first_content", "rate_limit"),
)


def _in_the_answer(phase: Phase, tokens: int) -> Iterator[Fault]:
    yield Fault(f"cut:{tokens}", phase, "connection")
    yield Fault(f"reset_in_answer:{tokens}", phase, "connection")
    yield Fault(f"stall:{tokens}", phase, "timeout")
    yield Fault(f"missing_end:{tokens}", phase, "bad_answer")
    yield Fault(f"malformed:{tokens}", phase, None, "bad_answer")
    yield Fault(f"error_in_stream:{tokens},code=server_error", phase, "server_error")


FAULTS: Final = (
    *BEFORE_HEADERS,
    *BEFORE_CONTENT,
    *_in_the_answer("content", IN_THE_MIDDLE),
    *_in_the_answer("end", AFTER_ALL),
)


def expected(fault: Fault, side: Side, asked: Asked, lasting: Lasting) -> Expected:
    """Say what must follow when a fault strikes a call that prefers `side.first`."""
    shown = fault.class_for(asked)
    if shown is None:
        return Expected([], side.first)
    first, backup = (side.first, shown), (side.backup, shown)
    if fault.phase in {"content", "end"} and not is_whole(asked):
        if asked == "stream":
            return Expected([first], None, "interrupted")
        if lasting == "everywhere":
            return Expected([first, backup], None, "interrupted", restarts=1)
        return Expected([first], side.backup, restarts=1)
    again = is_tried_again(fault, shown, whole=is_whole(asked))
    # Where nobody else is left, a limit whose end nobody names may be over in a moment.
    at_last = again or (shown == "rate_limit" and fault.retry_after is None)
    return _before_content((again, at_last), side, shown, lasting)


def _before_content(
    tried_again: tuple[bool, bool], side: Side, shown: str, lasting: Lasting
) -> Expected:
    """Say what must follow where the caller has nothing of the answer yet.

    `tried_again`: the model that is asked first, and the one that is asked last.
    """
    again, _ = tried_again
    first, backup = (side.first, shown), (side.backup, shown)
    if shown in NOBODY_ELSE or (shown == "context_length" and side.backup != LARGER):
        return Expected([first], None, shown)
    if again and lasting == "once":
        return Expected([first], side.first)
    times, last_times = (2 if is_again else 1 for is_again in tried_again)
    if lasting == "everywhere":
        return Expected([first] * times + [backup] * last_times, None, shown)
    return Expected([first] * times, side.backup)


def is_tried_again(fault: Fault, shown: str, *, whole: bool) -> bool:
    """Say whether the same model is asked once more, for a fault before any content.

    What breaks inside a `whole` answer was written and is billed: the same is not bought twice.
    """
    if shown == "connection" and whole and fault.phase != "headers":
        return False
    if fault.retry_after is not None:
        return fault.retry_after <= 3
    return shown in ONCE_MORE


def script_of(fault: Fault, side: Side, lasting: Lasting) -> list[str]:
    """Return the faults for the simulator."""
    if lasting == "everywhere":
        return [
            f"{fault.script.format(busy=busy)},vendor={vendor}" for vendor, busy in BUSY.items()
        ]
    text = f"{fault.script.format(busy=BUSY[side.vendor])},vendor={side.vendor}"
    return [f"{text},times=1" if lasting == "once" else text]


def cells() -> Iterator[tuple[Fault, Side, Asked, Lasting]]:
    """Return every fault for every way to ask at either model, where it lasts.

    Whether it passes, strikes everybody, or meets a caller who opted into restarts before any
    content is asked for at one of the two models, in turns, where it makes a difference at all.
    """
    for number, fault in enumerate(FAULTS):
        model = MODELS[number % 2]
        whole: Asked = "complete" if number % 3 else "acomplete"
        for asked in ASKED:
            for side in MODELS:
                if asked != "restart" or fault.phase in {"content", "end"} or side is model:
                    yield fault, side, asked, "always"
            always = expected(fault, model, asked, "always")
            if expected(fault, model, asked, "once") != always:
                yield fault, model, asked, "once"
            is_turn = asked in {"restart", whole if number % 2 else "stream"}
            if is_turn and expected(fault, model, asked, "everywhere") != always:
                yield fault, model, asked, "everywhere"
