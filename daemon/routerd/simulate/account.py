"""The simulator's own books: what it was asked, what it sent, and what it would bill.

Plain counting, no I/O and no clock (`now` is passed in). It never holds a key, a prompt or an
answer. A test compares the router's ledger with this.

What is billed: a completed answer in full; one that ended early (the client left, or a fault cut
it) for its prompt and the tokens made until then; a refusal, a reset or silence for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from routerd.simulate.exchange import Usage

__all__ = ["Account", "AccountSnapshot", "Attempt", "Outcome", "Price", "Tally", "billed"]

Outcome = Literal["running", "completed", "aborted", "refused", "broken", "stopped"]
TOKENS_PER_PRICE = 1_000_000


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A model's price in nanodollars per million tokens; None for the cache: as input.

    With `per_query` it is sold by the query instead.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_long: int | None = None
    per_query: int | None = None


class Attempt(msgspec.Struct, kw_only=True):
    """One call as the simulator saw it.

    `arrived` and `ended` are in seconds of a steady clock. `outcome`: running; completed
    (also with a fault that let it end); aborted, the client hung up; refused with an error status;
    broken by a fault; stopped with the simulator. `status` is None until headers are sent.
    `sent_tokens` were handed to the connection. `billed_nanodollars` is None where the model has no
    price.
    """

    number: int
    vendor: str
    model: str
    arrived: float
    ended: float | None = None
    stream: bool = False
    fault: str | None = None
    outcome: Outcome = "running"
    status: int | None = None
    sent_tokens: int = 0
    usage: Usage = Usage()
    billed_nanodollars: int | None = None


class Tally(msgspec.Struct, kw_only=True):
    """Sums over the calls of one model of one vendor; `faulted` counts those a fault struck."""

    vendor: str
    model: str
    requests: int = 0
    completed: int = 0
    aborted: int = 0
    refused: int = 0
    broken: int = 0
    stopped: int = 0
    faulted: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    sent_tokens: int = 0
    billed_nanodollars: int | None = None

    @property
    def running(self) -> int:
        """Count the calls that have not ended."""
        ended = self.completed + self.aborted + self.refused + self.broken + self.stopped
        return self.requests - ended


class AccountSnapshot(msgspec.Struct, kw_only=True):
    """The books at one moment: `probes` counts requests for models lists and token counts."""

    connections_accepted: int
    connections_open: int
    probes: dict[str, int]
    total: Tally
    tallies: list[Tally]
    attempts: list[Attempt]


class Account:
    """Keeps the books; sums are kept for ever, single attempts for the last `keep` calls.

    `prices` are found by `vendor/model` or else by model. `on_change` is called after each change.
    """

    def __init__(
        self,
        prices: Mapping[str, Price] | None = None,
        *,
        keep: int = 10_000,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._prices = dict(prices or {})
        self._attempts: deque[Attempt] = deque(maxlen=keep)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._begun = 0
        self._on_change = on_change
        self.probes: dict[str, int] = {}
        self.connections_accepted = 0
        self.connections_open = 0

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The calls in the order they came."""
        return tuple(self._attempts)

    @property
    def total(self) -> Tally:
        """The sums over all vendors and models."""
        return self.tally()

    def price(self, vendor: str, model: str) -> Price | None:
        """Return the price of a model, or None."""
        return self._prices.get(f"{vendor}/{model}") or self._prices.get(model)

    def tally(self, vendor: str | None = None, model: str | None = None) -> Tally:
        """Return the sums over the calls to a vendor and a model; None is any."""
        sums = Tally(vendor=vendor or "", model=model or "")
        for one in self._tallies.values():
            if vendor in (None, one.vendor) and model in (None, one.model):
                merge(sums, one)
        return sums

    def begin(self, vendor: str, model: str, now: float, *, stream: bool = False) -> Attempt:
        """Enter a call that has arrived."""
        self._begun += 1
        attempt = Attempt(
            number=self._begun, vendor=vendor, model=model, arrived=now, stream=stream
        )
        self._attempts.append(attempt)
        self._tally_of(attempt).requests += 1
        self._on_change()
        return attempt

    def struck(self, attempt: Attempt, kind: str) -> None:
        """Note that a fault struck a call."""
        attempt.fault = kind
        self._tally_of(attempt).faulted += 1
        self._on_change()

    def progress(self, attempt: Attempt, sent_tokens: int) -> None:
        """Note how many tokens of a call's answer were sent until now."""
        self._tally_of(attempt).sent_tokens += sent_tokens - attempt.sent_tokens
        attempt.sent_tokens = sent_tokens
        self._on_change()

    def end(self, attempt: Attempt, outcome: Outcome, usage: Usage, now: float) -> None:
        """Enter how a call ended and what it used, and bill it."""
        attempt.outcome, attempt.ended = outcome, now
        attempt.usage = usage
        sums = self._tally_of(attempt)
        sums.completed += outcome == "completed"
        sums.aborted += outcome == "aborted"
        sums.refused += outcome == "refused"
        sums.broken += outcome == "broken"
        sums.stopped += outcome == "stopped"
        sums.input_tokens += usage.input
        sums.cached_tokens += usage.cached
        sums.cache_write_tokens += usage.written + usage.written_long
        sums.output_tokens += usage.output
        sums.reasoning_tokens += usage.reasoning
        if (price := self.price(attempt.vendor, attempt.model)) is not None:
            attempt.billed_nanodollars = billed(price, usage)
            sums.billed_nanodollars = (sums.billed_nanodollars or 0) + attempt.billed_nanodollars
        self._on_change()

    def probed(self, vendor: str) -> None:
        """Count a request that is not a call."""
        self.probes[vendor] = self.probes.get(vendor, 0) + 1
        self._on_change()

    def connected(self) -> None:
        """Count a connection that opened."""
        self.connections_accepted += 1
        self.connections_open += 1
        self._on_change()

    def disconnected(self) -> None:
        """Count a connection that closed."""
        self.connections_open -= 1
        self._on_change()

    def snapshot(self) -> AccountSnapshot:
        """Return the books as data for JSON."""
        return AccountSnapshot(
            connections_accepted=self.connections_accepted,
            connections_open=self.connections_open,
            probes=dict(self.probes),
            total=self.total,
            tallies=list(self._tallies.values()),
            attempts=list(self._attempts),
        )

    def _tally_of(self, attempt: Attempt) -> Tally:
        key = attempt.vendor, attempt.model
        if key not in self._tallies:
            self._tallies[key] = Tally(vendor=attempt.vendor, model=attempt.model)
        return self._tallies[key]


def merge(sums: Tally, one: Tally) -> None:
    """Add one tally to another."""
    for name in Tally.__struct_fields__[2:]:
        more = getattr(one, name)
        if more is not None:
            setattr(sums, name, (getattr(sums, name) or 0) + more)


def billed(price: Price, usage: Usage) -> int:
    """Return the price of a call in nanodollars, rounded once, half up."""
    if price.per_query is not None:
        return usage.queries * price.per_query
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    write_long = write if price.cache_write_long is None else price.cache_write_long
    plain = usage.input - usage.cached - usage.written - usage.written_long
    total = (
        plain * price.input
        + usage.cached * read
        + usage.written * write
        + usage.written_long * write_long
        + usage.output * price.output
    )
    return (total + TOKENS_PER_PRICE // 2) // TOKENS_PER_PRICE
