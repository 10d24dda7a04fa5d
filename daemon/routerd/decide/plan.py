"""The decision: a pure function from what a call needs and what there is to a Plan.

Rules of this file: no await, no clock, no text of the call. Every candidate that was looked at is
in the plan, with a code and the numbers compared. Candidates come in the order of what was asked
for, as `order` lets the state of the system change it; the second route goes to another provider
where one may serve, since that is what a backup is for. The same inputs give the same plan, for a
live call as for an explanation.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from math import ceil
from typing import Final

from routerd.decide.balancing import State, what_moves
from routerd.decide.book import Book, Choice
from routerd.decide.candidates import Group, Placed, Usual
from routerd.decide.money import Funds
from routerd.decide.order import Line, elsewhere
from routerd.decide.policy import Policy
from routerd.decide.reasons import (
    INCAPABLE,
    UNHEALTHY,
    all_may_serve,
    least_likely,
    needs_of,
    reason_against,
)
from routerd.decide.resolving import filled
from routerd.decide.usual import NAMED
from routerd.domain import (
    MAX_ROUTES,
    BudgetRoom,
    Caller,
    Dropped,
    Features,
    Plan,
    Route,
    Snapshot,
)
from routerd.models.rooms import amount_text

__all__ = ["make_plan", "plan_call"]

# Why a model that was asked for by name is refused, and nobody stands in for it.
NOT_MEANT: Final = INCAPABLE | {"moving_alias", "policy"}


def plan_call(
    book: Book, target: str, features: Features, caller: Caller, snapshot: Snapshot
) -> Plan:
    """Decide a call at one go; CallRefused where no such name exists."""
    choice = book.choose(target, features, caller)
    return make_plan(book, choice, filled(features, choice.defaults), snapshot)


def make_plan(book: Book, choice: Choice, features: Features, snapshot: Snapshot) -> Plan:
    """Choose at most three routes.

    A route that is not of what was asked for says so in `degraded`. What would only be fallen back
    to beyond the third route is not looked at, and so not among the dropped.
    """
    prepared = book.prepared(choice, features, snapshot)
    policy, rooms = choice.policy, snapshot.rooms
    nearly: Sequence[BudgetRoom] = ()
    full: BudgetRoom | None = None
    mark: BudgetRoom | None = None
    if rooms:
        nearly = _nearly_spent(rooms, policy)
        full = _full(rooms) if policy.at_cap == "refuse" else None
        if nearly and not (features.critical or choice.is_copy or policy.near_cap == "same"):
            mark = next((room for room in nearly if _is_money_of_all(room)), None)
    funds = Funds(features, snapshot, book.budgeting)
    routes: Sequence[Route] = ()
    dropped: Sequence[Dropped] = ()
    usual = prepared.usual
    if usual is not None and full is None and mark is None:
        routes, dropped = _usual_routes(usual, funds, choice, features, snapshot), usual.said
    if not routes:
        planning = _Planning(choice, funds, features, snapshot)
        if full is not None:
            planning.refuse(prepared.groups, full)
        elif mark is not None:
            planning.take_cheaper_first(prepared.near_cap, mark)
        else:
            planning.take(prepared.groups)
        if not planning.routes:
            planning.take_least_bad()
            if not planning.routes:
                planning.take_tight()
        elif snapshot.last_resorts:
            planning.take_last_resorts()
        routes, dropped = planning.routes, planning.dropped
    return Plan(
        choice.target,
        choice.rule,
        choice.resolution.model_class,
        tuple(routes),
        tuple(dropped),
        tuple([room.budget for room in nearly]) if nearly else (),
        choice.serves,
        policy.name,
        choice.complexity,
        choice.arm,
        choice.shadows,
    )


def _usual_routes(
    usual: Usual, funds: Funds, choice: Choice, features: Features, snapshot: Snapshot
) -> Sequence[Route]:
    """Take those that come first where nothing moves, if all of them may serve; else nobody.

    The same as a `_Planning` would find, in less than half of its time: what is said of all others
    was worked out beforehand. Traffic moves deployments of one model; a call meets this way where
    those who may serve are one to a model, or nothing has been seen of anybody.
    """
    is_sorted, is_moving = what_moves(features, snapshot)
    if is_sorted or (is_moving and usual.has_equals):
        return ()
    region = features.region or choice.policy.region
    if not all_may_serve(usual, needs_of(features), features, region, snapshot):
        return ()
    routes = funds.plain_routes(usual.first)
    return routes if len(routes) == len(usual.first) else ()


class _Planning:
    """A plan as it grows."""

    def __init__(
        self, choice: Choice, funds: Funds, features: Features, snapshot: Snapshot
    ) -> None:
        self.routes: list[Route] = []
        self.dropped: list[Dropped] = []
        self._used: set[str] = set()
        # Those that nothing but their health speaks against, with what is said of each.
        self._unwell: list[tuple[Placed, Dropped]] = []
        # Those whose window the estimate is above.
        self._tight: list[tuple[Placed, Dropped]] = []
        self._choice = choice
        self._features = features
        self._snapshot = snapshot
        self._state = State(features, snapshot, choice.policy, choice.draw)
        self._funds = funds
        self._needs = needs_of(features)
        self._region = features.region or choice.policy.region

    def take(self, groups: Sequence[Group]) -> None:
        """Take routes from group after group, until there are three.

        Three routes at one provider are one: the last is then kept for another, if any stands in.
        """
        for group in groups:
            if len(self.routes) == MAX_ROUTES:
                if len(self._used) > 1:
                    return  # nobody falls back further than this
                self._take_elsewhere(self._able(group))
                continue
            if self.dropped and self._asks_too_much():
                return
            self._leave(group)
            line = Line(group, self._state, self._capable(group))
            self._take_from(line, "")
            self.dropped += line.beyond()

    def _take_elsewhere(self, line: Line) -> None:
        """Put the first at another provider in the place of the last route."""
        while (found := line.take()) is not None:
            if found.candidate.provider in self._used:
                self.dropped.append(found.candidate.beyond)
                continue
            route = self._funds.route_for(elsewhere(found))
            if isinstance(route, Dropped):
                self.dropped.append(route)
                continue
            last, self.routes[-1] = self.routes[-1], route
            self._used.add(found.candidate.provider)
            self.dropped.append(_one_provider(last))
            break
        self.dropped += line.beyond()

    def take_cheaper_first(self, groups: Sequence[Group], room: BudgetRoom) -> None:
        """Let what stands in and costs less serve, what was asked for only where none can.

        All are judged even so, so that an explanation can say who would have had the money, and
        who lacks it for more money cannot lack it for less.
        """
        because = f"{_share(room)}: "
        asked = next(group for group in groups if group.is_asked)
        able = self._able(asked)
        if self._asks_too_much() and not able.rest():
            return
        for group in groups:
            if group is asked:
                because = ""
                line, lacking = able, room
            else:
                line, lacking = self._able(group), None
            self._take_from(line, because)
            self._judge_money(line.rest(), lacking)

    def refuse(self, groups: Sequence[Group], room: BudgetRoom) -> None:
        """Drop everything: the budget is used up, and the policy wants nothing to be served."""
        detail = f"{_share(room)}, and policy {self._choice.policy.name} refuses every call then"
        for group in groups:
            self._leave(group)
            self.dropped += [
                Dropped(item.candidate.id, "budget", detail, room.budget, room.unit)
                for item in group.candidates
            ]

    def take_least_bad(self) -> None:
        """Take the one that may be well again first, where all that may serve are unhealthy.

        Failing unheard is worse than one more try; what was tripped by hand is not tried.
        """
        for item, reason in self._soonest_well(self._snapshot.unhealthy_seconds):
            if self._take_instead(item, reason, "least_bad"):
                return

    def take_last_resorts(self) -> None:
        """Fill what places are left with those that rest by our own reckoning alone.

        Whoever is well may fail too. Where all routes are at one provider, the last of them makes
        room for one elsewhere.
        """
        for item, reason in self._soonest_well(self._snapshot.last_resorts):
            provider = item.candidate.provider
            if len(self.routes) == MAX_ROUTES:
                if len(self._used) > 1 or provider in self._used:
                    continue
                last = self.routes[-1]
                if self._take_instead(item, reason, "last_resort"):
                    self.routes.remove(last)
                    self.dropped.append(_one_provider(last))
            else:
                self._take_instead(item, reason, "last_resort")

    def take_tight(self) -> None:
        """Take the widest window that the prompt may fit into, where none is enough by estimate.

        What its error may hide is for the provider to say, which refuses for nothing. Texts to
        embed or to rank are not tried: some providers cut what is too long, without a word.
        """
        shorter = least_likely(self._features)
        self._tight.sort(key=lambda entry: -entry[0].candidate.window)
        for item, reason in self._tight:
            if self._reason_against(item, shorter) is None and self._take_instead(
                item, reason, "tight_window"
            ):
                return

    def _soonest_well(self, names: Container[str]) -> list[tuple[Placed, Dropped]]:
        """Return who is dropped for nothing but its health, all of that being of these names."""
        seconds, unhealthy = self._snapshot.unhealthy_seconds, self._snapshot.unhealthy
        waits: list[tuple[float, Placed, Dropped]] = []
        for item, reason in self._unwell:
            candidate = item.candidate
            against = [name for name in (candidate.provider, candidate.id) if name in unhealthy]
            if all(name in names and name in seconds for name in against):
                waits.append((max(seconds[name] for name in against), item, reason))
        waits.sort(key=lambda entry: entry[0])
        return [(item, reason) for _, item, reason in waits]

    def _take_instead(self, item: Placed, reason: Dropped, code: str) -> bool:
        """Take one in spite of a reason against it, if there is the money."""
        route = self._funds.route_for(Placed(item.candidate, code, reason.detail))
        self.dropped.remove(reason)
        if isinstance(route, Dropped):
            self.dropped.append(route)
            return False
        self._used.add(route.provider)
        self.routes.append(route)
        return True

    def _able(self, group: Group) -> Line:
        """Return the candidates of a group that can serve this call, in order."""
        self._leave(group)
        return Line(group, self._state, self._capable(group))

    def _leave(self, group: Group) -> None:
        """Drop whom a group left out beforehand; what it judges again has no earlier reason."""
        if group.again:
            self.dropped = [item for item in self.dropped if item.deployment not in group.again]
            self._unwell = [item for item in self._unwell if item[1].deployment not in group.again]
            self._tight = [item for item in self._tight if item[1].deployment not in group.again]
        self.dropped += group.dropped

    def _capable(self, group: Group) -> Sequence[Placed]:
        features = self._features
        if all_may_serve(group, self._needs, features, self._region, self._snapshot):
            return group.candidates
        kept: list[Placed] = []
        for item in group.candidates:
            reason = self._reason_against(item, features)
            if reason is None:
                kept.append(item)
            else:
                self.dropped.append(reason)
                if reason.code == UNHEALTHY:
                    self._unwell.append((item, reason))
                elif reason.code == "window" and features.kind == "chat":
                    self._tight.append((item, reason))
        return kept

    def _reason_against(self, item: Placed, features: Features) -> Dropped | None:
        wanted = features.max_output_tokens or 0
        return reason_against(
            item.candidate, self._needs, features, wanted, self._region, self._snapshot
        )

    def _take_from(self, line: Line, because: str) -> None:
        """Take what there is room for, preferring providers that no route uses yet.

        Money is looked at last, and only for those that would be taken; the others stay in line.
        """
        routes, used, route_for = self.routes, self._used, self._funds.route_for
        if len(routes) == MAX_ROUTES:
            return
        for found in line.turns(used):
            route = route_for(found, because)
            if isinstance(route, Dropped):
                self.dropped.append(route)
                continue
            used.add(route.provider)
            routes.append(route)
            if len(routes) == MAX_ROUTES:
                return

    def _judge_money(self, placed: list[Placed], room: BudgetRoom | None) -> None:
        """Drop those for whom there is no place: for their money, for the room, or as too many."""
        for item in placed:
            found = self._funds.route_for(item)
            if isinstance(found, Dropped):
                self.dropped.append(found)
            elif room is None:
                self.dropped.append(item.candidate.beyond)
            else:
                name = item.candidate.id
                self.dropped.append(Dropped(name, "near_cap", _share(room), room.budget, room.unit))

    def _asks_too_much(self) -> bool:
        """Say whether a model asked for by name cannot do it, or is not to be used.

        That is no backup's to answer for.
        """
        return (
            not self.routes
            and self._choice.resolution.kind in NAMED
            and bool(self.dropped)
            and all(item.code in NOT_MEANT for item in self.dropped)
        )


def _one_provider(last: Route) -> Dropped:
    detail = f"all three would be at {last.provider}, which may be down"
    return Dropped(last.deployment, "one_provider", detail)


def _nearly_spent(rooms: Sequence[BudgetRoom], policy: Policy) -> tuple[BudgetRoom, ...]:
    """Return the budgets beyond their soft mark, each once."""
    nearly: dict[str, BudgetRoom] = {}
    percent = policy.soft_percent
    for room in rooms:
        soft = room.soft if percent is None else ceil(room.limit * percent / 100)
        if 0 < soft <= room.spent:
            nearly.setdefault(room.budget, room)
    return tuple(nearly.values())


def _full(rooms: Sequence[BudgetRoom]) -> BudgetRoom | None:
    """Return a cap in dollars that is used up, whoever serves."""
    for room in rooms:
        if _is_money_of_all(room) and room.spent >= room.limit:
            return room
    return None


def _is_money_of_all(room: BudgetRoom) -> bool:
    """Say whether a cap is in dollars, and holds whoever serves.

    Another class saves no call, and would not help the budget of a provider.
    """
    return room.unit == "nanodollars" and room.provider is None and room.model is None


def _share(room: BudgetRoom) -> str:
    spent, limit = amount_text(room.unit, room.spent), amount_text(room.unit, room.limit)
    return f"{room.budget} ({room.scope}) has spent {spent} of {limit}"
