"""What the simulator is told to do: how fast to answer, and which faults to show when.

Pure data and one pure decision, `FaultScript.next`. No clock, no socket, no vendor's wire format:
how a fault looks on the wire is written in the vendor's file, how it is timed in `delivery`. Chance
is drawn from a seed, so that what happened can be made to happen again.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Literal, get_args

import msgspec

__all__ = ["Fault", "FaultKind", "FaultScript", "Pacing", "parse_fault"]

FaultKind = Literal[
    "status",
    "reset",
    "silence",
    "cut",
    "reset_in_answer",
    "stall",
    "malformed",
    "missing_end",
    "missing_mark",
    "error_in_stream",
    "slow_first_token",
]
FaultScope = Literal["calls", "probes", "all"]

FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)
# Faults that happen to an answer on its way, and so need an answer with tokens: not a models list.
IN_THE_ANSWER: frozenset[str] = frozenset(
    {"cut", "reset_in_answer", "stall", "malformed", "missing_end", "error_in_stream"}
)
IN_AN_ANSWER: frozenset[str] = IN_THE_ANSWER | {"missing_mark", "slow_first_token"}
ERRORS: frozenset[str] = frozenset({"status", "error_in_stream"})
# What the bare value in `kind:value` means.
MAIN_FIELD: dict[str, str] = {
    "status": "status",
    "slow_first_token": "seconds",
    **dict.fromkeys(IN_THE_ANSWER, "after_tokens"),
}


class Pacing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast the simulated models answer, and how much they say.

    `think_seconds`: from the request to the answer's first byte, headers included.
    `tokens_per_second`: None or 0 sends the whole answer at once.
    `output_tokens`: length of a text answer; None takes one from the prompt (40 to 119 tokens).
    """

    think_seconds: float = 0.0
    tokens_per_second: float | None = None
    output_tokens: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.think_seconds < float("inf"):
            raise ValueError("think_seconds must be 0 or more")
        if self.tokens_per_second is not None and not self.tokens_per_second >= 0:
            raise ValueError("tokens_per_second must be 0 or more, or left out")
        if self.output_tokens is not None and self.output_tokens < 1:
            raise ValueError("output_tokens must be 1 or more, or left out")

    @property
    def token_seconds(self) -> float:
        """Seconds from one token to the next; 0.0 means all at once."""
        return 1.0 / self.tokens_per_second if self.tokens_per_second else 0.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scripted fault.

    Kinds: `status` answers with an HTTP error; `reset` sends a TCP reset before any header;
    `silence` never answers; `cut` closes the connection inside a chunk; `reset_in_answer` ends it
    there with a TCP reset; `stall` stops and holds the connection; `malformed` adds one broken
    event and goes on; `missing_end` ends cleanly with no finish and no end marker; `missing_mark`
    leaves out the last event of a stream alone; `error_in_stream` sends the vendor's in-stream
    error and ends; `slow_first_token` sends the headers and the opening, then waits.

    On an answer that is not streamed, `cut`, `reset_in_answer` and `stall` stop inside the body,
    `malformed` and `missing_end` send a whole HTTP answer whose JSON is broken or unfinished, and
    `error_in_stream` is a 200 that holds an error.

    `vendor`, `model`: whom it concerns; None is any.
    `times`: how often it strikes; None is for ever. `after_calls`: how many calls pass first.
    `chance`: how likely it strikes one of them, above 0 and up to 1; None is always.
    `prefilled`: it concerns only calls whose last message is the assistant's.
    `scope`: calls, probes (the models list) or all; faults inside an answer concern calls only.
    `status`, `code`, `param`, `retry_after` (seconds): for `status`; `code` also for
    `error_in_stream`; `param` is what some vendors name a parameter of the request in.
    `after_tokens`: where in the answer; None is the middle, for `missing_end` the end.
    `seconds`: how long `slow_first_token` waits.
    """

    kind: FaultKind
    vendor: str | None = None
    model: str | None = None
    times: int | None = None
    after_calls: int = 0
    chance: float | None = None
    prefilled: bool = False
    scope: FaultScope = "calls"
    status: int | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    after_tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        self._check_belongs("status", self.status, {"status"})
        self._check_belongs("retry_after", self.retry_after, {"status"})
        self._check_belongs("param", self.param, {"status"})
        self._check_belongs("code", self.code, ERRORS)
        self._check_belongs("after_tokens", self.after_tokens, IN_THE_ANSWER)
        self._check_belongs("seconds", self.seconds, {"slow_first_token"})
        if self.kind == "status" and not (self.status and 400 <= self.status <= 599):
            raise ValueError("a status fault needs a status from 400 to 599")
        if self.kind == "slow_first_token" and not self.seconds:
            raise ValueError("a slow_first_token fault needs seconds")
        if self.scope != "calls" and self.kind in IN_AN_ANSWER:
            raise ValueError(f"a {self.kind} fault happens inside an answer: its scope is calls")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 or more, or left out")
        if self.chance is not None and not 0 < self.chance <= 1:
            raise ValueError("chance must be above 0 and up to 1, or left out")
        for name in ("after_calls", "retry_after", "after_tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or more")

    def _check_belongs(self, name: str, value: object, kinds: Iterable[str]) -> None:
        if value is not None and self.kind not in kinds:
            raise ValueError(f"{name} does not belong to a {self.kind} fault")

    def concerns(
        self, vendor: str, model: str | None, *, probe: bool, prefilled: bool = False
    ) -> bool:
        """Tell whether a call or probe is one of those this fault is for."""
        if self.scope != "all" and (self.scope == "probes") != probe:
            return False
        if self.prefilled and not prefilled:
            return False
        return self.vendor in (None, vendor) and self.model in (None, model)

    def point(self, tokens: int) -> int:
        """Say after how many of an answer's `tokens` it strikes."""
        if self.after_tokens is not None:
            return min(self.after_tokens, tokens)
        return tokens if self.kind == "missing_end" else tokens // 2


class FaultScript:
    """The faults to come, in order, and how often each has been passed and has struck.

    Each fault counts every call that concerns it, also one that another fault takes. The first
    fault in order that is due takes the call. `seed` begins what is left to chance.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret
        self.replace(faults)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults as they were given."""
        return self._faults

    def replace(self, faults: Iterable[Fault]) -> None:
        """Forget all faults and counts, and start again with these."""
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)
        self._struck = [0] * len(self._faults)

    def next(
        self, vendor: str, model: str | None, *, probe: bool = False, prefilled: bool = False
    ) -> Fault | None:
        """Take note of one call and return the fault that strikes it, if any."""
        taken: Fault | None = None
        for number, fault in enumerate(self._faults):
            if not fault.concerns(vendor, model, probe=probe, prefilled=prefilled):
                continue
            self._seen[number] += 1
            if taken is not None or self._seen[number] <= fault.after_calls:
                continue
            if fault.chance is not None and self._random.random() >= fault.chance:
                continue
            if fault.times is None or self._struck[number] < fault.times:
                self._struck[number] += 1
                taken = fault
        return taken


def parse_fault(text: str) -> Fault:
    """Read one fault as a command line writes it: `kind[:value][,name=value...]`.

    The value after the colon is the status of `status`, the seconds of `slow_first_token`, and the
    tokens to pass first of the faults inside an answer: `status:503,retry_after=2,times=1`,
    `cut:12,model=gpt-6.1-sol`, `silence`. Raises ValueError that says what is wrong.
    """
    head, *settings = text.split(",")
    kind, colon, value = (part.strip() for part in head.partition(":"))
    if kind not in FAULT_KINDS:
        raise ValueError(f"unknown fault {kind!r}: choose one of {', '.join(FAULT_KINDS)}")
    fields: dict[str, str] = {"kind": kind}
    if colon:
        if kind not in MAIN_FIELD:
            raise ValueError(f"{kind} takes no value after a colon: {text!r}")
        fields[MAIN_FIELD[kind]] = value
    names = [name for name in Fault.__struct_fields__ if name != "kind"]
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not value:
            raise ValueError(f"expected name=value in fault {text!r}, found {setting!r}")
        if name not in names:
            raise ValueError(f"unknown setting {name!r} in fault {text!r}: {', '.join(names)}")
        if name in fields:
            raise ValueError(f"{name} is given twice in fault {text!r}")
        fields[name] = value
    try:
        return msgspec.convert(fields, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"fault {text!r}: {error}") from error
