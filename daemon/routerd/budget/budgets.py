"""All budgets of the daemon: which concern a call, what they leave, and holds in all at once.

Rules of this file: synchronous throughout, so that between looking and holding nobody else can
hold. The time passed in is that of the wall clock. A spender is known from the first time it is
asked for: there is no moment in which it has no counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct

from routerd.budget.definitions import CALLERS, SERVERS, Definition, Identity
from routerd.budget.holds import Hold, HoldRefused, Spending
from routerd.budget.lines import Line
from routerd.budget.meters import Meter
from routerd.domain import BudgetRoom
from routerd.models.rooms import facts_of, lacking, left_in
from routerd.telemetry.events import BudgetNearlySpent, Event

__all__ = ["Budgets", "Charge", "Seed"]

# With more counters than this, empty ones are looked for.
MANY: Final = 4096
# Look-ups kept, of budgets by who spends: as many as a company has tenants, or users at work.
MOST_FOUND: Final = 20_000
AT_A_TIME: Final = 32
# More do not help a person, and would not fit into a frame.
MOST_ROWS: Final = 1000

Key = tuple[Identity, str | None]
Place = tuple[str | None, str | None]
Places = tuple[tuple[str, str], ...]
# A budget, with the provider and the model whose candidates alone it concerns, if any.
Capping = tuple[Line, str | None, str | None]


class Seed(Struct, frozen=True):
    """What was spent before: of one counter, in nanodollars, calls and tokens, at a time."""

    identity: Identity
    name: str | None
    at: float
    amounts: tuple[int, int, int]


class Charge(Struct, frozen=True):
    """One request that was sent and has ended: whose, when and where, and what it cost.

    `names` are those of a `Spending`, `place` is provider and model. `counts_call` says that its
    call counts through it. `amounts` are nanodollars and tokens.
    """

    names: tuple[str | None, ...]
    place: tuple[str, str]
    at: float
    amounts: tuple[int, int]
    counts_call: bool


class Budgets:
    """The counters of all budgets, and the holds that are open.

    `refuse_unknown` says that what has no known price may not be used under a cap in dollars.
    """

    def __init__(
        self,
        definitions: Sequence[Definition] = (),
        *,
        refuse_unknown: bool = True,
        tell: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self.definitions = tuple(definitions)
        self.holds: set[Hold] = set()
        self._refuse_unknown = refuse_unknown
        self._tell = tell
        self._meters: dict[Key, Meter] = {}
        self._found: dict[tuple[tuple[str | None, ...], Place], tuple[Line, ...]] = {}
        self._capping: dict[tuple[tuple[str | None, ...], Places], tuple[Capping, ...]] = {}
        self._to_look_at: list[Key] = []
        self._look_beyond = MANY
        self._sort()

    def rooms(self, spending: Spending, places: Places, now: float) -> tuple[BudgetRoom, ...]:
        """Return what every cap leaves for a call; `places` are those of its candidates, sorted."""
        if self._to_look_at or len(self._meters) > self._look_beyond:
            self._forget_some(now)
        key = (tuple(compress(spending.names, self._asks)), places if self._by_route else ())
        capping = self._capping.get(key)
        if capping is None:
            if len(self._capping) >= MOST_FOUND:
                self._capping.clear()
            capping = self._capping[key] = tuple(self._find_capping(spending, places))
        rooms: list[BudgetRoom] = []
        for line, provider, model in capping:
            rooms += line.rooms(now, provider, model)
        if spending.is_counted:
            # Of a call that was counted before, by an earlier copy, no other is asked for.
            rooms = [room for room in rooms if room.unit != "calls" or room.provider or room.model]
        return tuple(rooms)

    def _find_capping(self, spending: Spending, places: Places) -> Iterator[Capping]:
        """Yield the budgets with caps that concern a call, once for each place they look at."""
        for line in self._lines(spending, (None, None)):
            if line.marks:
                yield line, None, None
        if not self._by_route:
            return
        found: set[tuple[str, str | None, str | None]] = set()
        for place in places:
            for line in self._lines(spending, place):
                if line.of_route:
                    provider, model = (
                        name if line.budget.looks_at(dimension) else None
                        for dimension, name in zip(SERVERS, place, strict=True)
                    )
                    key = (line.budget.name, provider, model)
                    if key not in found:
                        found.add(key)
                        yield line, provider, model

    def hold(
        self,
        spending: Spending,
        place: tuple[str, str, str],
        nanodollars: int | None,
        tokens: int,
        at: float,
    ) -> Hold | HoldRefused:
        """Set the bounds of one attempt aside in all its budgets, or in none.

        `place` is deployment, provider and model. `at` is the moment of the attempt: what it costs
        is spent then, whenever it ends.
        """
        if self._to_look_at or len(self._meters) > self._look_beyond:
            self._forget_some(at)
        lines = self._lines(spending, place[1:])
        amount = nanodollars or 0
        first = 0 if spending.is_counted else 1
        for line in lines:
            if nanodollars is None and self._refuse_unknown and line.nanodollars is not None:
                detail = f"no price is known, and {line.budget.name} caps dollars"
                return HoldRefused("unknown_price", detail, line.room("nanodollars", at))
            lack = line.lacking(amount, 1 if line.of_route else first, tokens, at)
            if lack is not None:
                unit, needed = lack
                room = line.room(unit, at)
                return HoldRefused("budget", lacking(room, needed), room)
        hold = Hold(spending, place, at, nanodollars, tokens, lines, self._ended)
        for line in lines:
            hold.take(line.meter.tally(at), 1 if line.of_route else first)
        if first:
            hold.counts_call = spending.is_counted = True
        self.holds.add(hold)
        return hold

    def new_among(self, definitions: Iterable[Definition]) -> tuple[Definition, ...]:
        """Return the budgets of which some counters are not kept so far, so need to be filled."""
        apart = {budget.identity: budget.apart for budget in self.definitions}
        return tuple(
            budget
            for budget in definitions
            if budget.identity not in apart or apart[budget.identity] - budget.apart
        )

    def replace(
        self,
        definitions: Sequence[Definition],
        seeds: Iterable[Seed],
        now: float,
        *,
        charges: Iterable[Charge] = (),
        refuse_unknown: bool | None = None,
    ) -> None:
        """Take other budgets from now on; what was spent and is held stays.

        `seeds` say what was spent so far in counters that did not exist before, `charges` what is
        in no seed yet; holds that are open are counted in these too.
        """
        if refuse_unknown is not None:
            self._refuse_unknown = refuse_unknown
        self.definitions = tuple(definitions)
        self._sort()
        apart = {budget.identity: budget.apart for budget in self.definitions}
        # Nobody counts in the others any more: if they come back, they must be filled anew.
        self._meters = {
            (identity, name): meter
            for (identity, name), meter in self._meters.items()
            if identity in apart and name not in apart[identity]
        }
        before = set(self._meters)
        self.seed((seed for seed in seeds if (seed.identity, seed.name) not in before), now)
        for charge in charges:
            for line in self._lines(Spending(charge.names), charge.place):
                if (line.budget.identity, line.name) not in before:
                    calls = 1 if line.of_route else int(charge.counts_call)
                    nanodollars, tokens = charge.amounts
                    line.meter.add_earlier(charge.at, now, (nanodollars, calls, tokens))
        for hold in self.holds:
            hold.lines = self._lines(hold.spending, (hold.provider, hold.model))
            for line in hold.lines:
                if (line.budget.identity, line.name) in before:
                    continue
                calls = 1 if line.of_route else int(hold.counts_call)
                hold.take(line.meter.earlier(hold.at, now), calls)

    def seed(self, seeds: Iterable[Seed], now: float) -> None:
        """Count what was spent before."""
        for seed in seeds:
            self._meter((seed.identity, seed.name)).add_earlier(seed.at, now, seed.amounts)

    def charge(
        self,
        spending: Spending,
        place: tuple[str, str],
        at: float,
        amounts: tuple[int, int],
    ) -> None:
        """Count a request that was sent without a hold, in nanodollars and tokens.

        `place` is provider and model.
        """
        nanodollars, tokens = amounts
        first = 0 if spending.is_counted else 1
        spending.is_counted = True
        for line in self._lines(spending, place):
            calls = 1 if line.of_route else first
            line.meter.add_earlier(at, at, (nanodollars, calls, tokens))

    def correct(
        self,
        names: tuple[str | None, ...],
        place: tuple[str, str],
        at: float,
        nanodollars: int,
        now: float,
    ) -> None:
        """Count what an invoice says that a request of before cost more, or less.

        `names` are those of its call, `place` is provider and model. What was counted for it is in
        the same stretch or, after a restart, in a later one of its day: nothing comes back early.
        """
        for line in self._lines(Spending(names), place):
            line.meter.add_earlier(at, now, (nanodollars, 0, 0))

    def report(self, now: float, most: int = MOST_ROWS) -> list[dict[str, Any]]:
        """Return the caps that count something now as plain data, with who holds something.

        Of more than `most`, those that are the fullest.
        """
        names: dict[Identity, list[str | None]] = {}
        for identity, name in self._meters:
            names.setdefault(identity, []).append(name)
        rows = [
            (budget, line, room)
            for budget in self.definitions
            for name in (names.get(budget.identity, []) if budget.each else [None])
            if name not in budget.apart
            for line in (Line(budget, name, self._meter((budget.identity, name))),)
            if budget.each is None or not line.meter.total(now).is_empty
            for room in line.rooms(now)
        ]
        if len(rows) > most:
            rows.sort(key=lambda row: left_in(row[2]) / max(1, row[2].limit))
            del rows[most:]
        holders: dict[int, list[Hold]] = {}
        for hold in sorted(self.holds, key=lambda hold: hold.at):
            for line in hold.lines:
                holders.setdefault(id(line.meter), []).append(hold)
        return [
            _row(budget, room, holders.get(id(line.meter), []), now) for budget, line, room in rows
        ]

    def _sort(self) -> None:
        """Put the budgets where a call finds those that may concern it, however many there are."""
        self._forget_found()
        self._by_route = any(budget.of_route for budget in self.definitions)
        # Of a call's names, whether any budget asks for it: who differs in the others is alike.
        self._asks = [
            any(budget.looks_at(dimension) for budget in self.definitions) for dimension in CALLERS
        ]
        # By their first filter, None for those without one; each with its place in the order.
        self._sorted: dict[tuple[str, str | None] | None, list[tuple[int, Definition, bool]]] = {}
        for place, budget in enumerate(self.definitions):
            key = budget.filters[0] if budget.filters else None
            self._sorted.setdefault(key, []).append((place, budget, budget.of_route))

    def _forget_found(self) -> None:
        """Look the budgets of every call up anew."""
        self._found.clear()
        self._capping.clear()

    def _lines(self, spending: Spending, place: Place) -> tuple[Line, ...]:
        """Return the budgets that concern a call at a place; without one, those of any place."""
        if not self._by_route:
            place = (None, None)
        key = (tuple(compress(spending.names, self._asks)), place)
        lines = self._found.get(key)
        if lines is None:
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            lines = self._found[key] = tuple(self._find(spending.names, place))
        return lines

    def _find(self, names: tuple[str | None, ...], place: Place) -> Iterator[Line]:
        known = dict(zip((*CALLERS, *SERVERS), (*names, *place), strict=True))
        may_concern = list(self._sorted.get(None, ()))
        for named in known.items():
            may_concern += self._sorted.get(named, ())
        may_concern.sort(key=itemgetter(0))
        for _, budget, of_route in may_concern:
            if of_route and place[0] is None:
                continue
            if any(known[dimension] != value for dimension, value in budget.filters):
                continue
            name = known[budget.each] if budget.each is not None else None
            if name not in budget.apart:
                yield Line(budget, name, self._meter((budget.identity, name)))

    def _meter(self, key: Key) -> Meter:
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(key[0][2])
        return meter

    def _forget_some(self, now: float) -> None:
        """Go through a few of very many counters, and forget those in which nothing is.

        A few at a time, since calls wait for it; such are those of yesterday's users.
        """
        if not self._to_look_at:
            self._to_look_at = list(self._meters)
            self._look_beyond = MANY + 2 * len(self._meters)
        for key in self._to_look_at[-AT_A_TIME:]:
            meter = self._meters.get(key)
            if meter is not None and meter.is_idle(now):
                del self._meters[key]
                # The look-ups hold the counters too.
                self._forget_found()
        del self._to_look_at[-AT_A_TIME:]
        if not self._to_look_at:
            self._look_beyond = MANY + 2 * len(self._meters)

    def _ended(self, hold: Hold) -> None:
        self.holds.discard(hold)
        for line in hold.lines:
            total = line.meter.total(hold.at)
            for bit, unit, soft in line.marks:
                spent: int = getattr(total, unit)
                if spent < soft or not spent:
                    total.told &= ~bit
                elif not total.told & bit:
                    total.told |= bit
                    self._tell(_nearly_spent(line.room(unit, hold.at)))


def _nearly_spent(room: BudgetRoom) -> BudgetNearlySpent:
    return BudgetNearlySpent(
        budget=room.budget, scope=room.scope, unit=room.unit, spent=room.spent, limit=room.limit
    )


def _row(budget: Definition, room: BudgetRoom, holders: list[Hold], now: float) -> dict[str, Any]:
    return {
        **facts_of(room),
        "window": str(budget.window),
        "left": left_in(room),
        "soft": room.soft,
        "holders": [
            {
                "decision_id": hold.spending.decision_id,
                "deployment": hold.deployment,
                "seconds": round(now - hold.at, 3),
                "held": {"nanodollars": hold.nanodollars, "tokens": hold.tokens}.get(room.unit, 1),
            }
            for hold in holders
        ],
        "default": budget.is_default,
    }
