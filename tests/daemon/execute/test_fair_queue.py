"""Whose turn it is: classes by importance, tenants in turns, and nobody for ever last."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from routerd.execute.fair_queue import (
    BATCH,
    CRITICAL,
    ORDINARY,
    PATIENCE,
    FairQueue,
    Waiting,
)

RANKS = st.sampled_from([CRITICAL, ORDINARY, BATCH])
TENANTS = st.sampled_from(["a", "b", "c", None, 1000])


class One(Waiting, eq=False):
    """Somebody who waits; `number` says in which order they came."""

    number: int = 0
    is_blocked: bool = False


def anybody(_one: One) -> bool:
    return True


def queue_of(*waiting: One) -> FairQueue[One]:
    queue: FairQueue[One] = FairQueue()
    for one in waiting:
        queue.add(one)
    return queue


def all_of(queue: FairQueue[One]) -> list[One]:
    return list(iter(lambda: queue.take(anybody), None))


def test_tenants_take_turns_and_each_keeps_its_order() -> None:
    loud = [One("loud", ORDINARY, number) for number in range(5)]
    quiet = [One("quiet", ORDINARY, number) for number in range(2)]
    order = all_of(queue_of(*loud, *quiet))
    assert [(one.tenant, one.number) for one in order] == [
        ("loud", 0),
        ("quiet", 0),
        ("loud", 1),
        ("quiet", 1),
        ("loud", 2),
        ("loud", 3),
        ("loud", 4),
    ]


def test_critical_calls_are_first_and_batch_calls_last() -> None:
    ranks = [BATCH, ORDINARY, CRITICAL, BATCH, CRITICAL]
    order = all_of(queue_of(*(One(str(number), rank) for number, rank in enumerate(ranks))))
    assert [one.rank for one in order] == sorted(ranks)


def test_a_class_that_is_passed_over_again_and_again_has_a_turn() -> None:
    queue = queue_of(One("b", BATCH), One("b", BATCH), One("o", ORDINARY))
    taken = []
    for number in range(3 * PATIENCE):
        queue.add(One("c", CRITICAL, number))
        one = queue.take(anybody)
        assert one is not None
        taken.append(one.rank)
    assert taken[: PATIENCE + 2] == [CRITICAL] * PATIENCE + [ORDINARY, BATCH]
    assert Counter(taken)[BATCH] == 2


def test_who_cannot_go_is_passed_by_and_keeps_its_turn() -> None:
    blocked, free = One("a", CRITICAL, is_blocked=True), One("a", ORDINARY)
    queue = queue_of(blocked, free)
    assert queue.take(lambda one: not one.is_blocked) is free
    assert queue.take(lambda one: not one.is_blocked) is None
    assert len(queue) == 1
    assert queue.take(anybody) is blocked


def test_the_least_important_gives_way_first_and_its_latest() -> None:
    early, late, ordinary = One("a", BATCH), One("a", BATCH), One("a", ORDINARY)
    queue = queue_of(early, late, ordinary)
    assert queue.gives_way("b", CRITICAL) is late
    assert queue.gives_way("b", ORDINARY) is late
    queue.remove(late)
    queue.remove(early)
    assert queue.gives_way("b", CRITICAL) is ordinary
    assert queue.gives_way("b", BATCH) is None


@pytest.mark.parametrize(("own", "gives"), [(0, True), (2, True), (3, False), (4, False)])
def test_who_has_more_than_its_share_gives_way_to_another_tenant(own: int, gives: bool) -> None:
    queue = queue_of(*(One("loud", ORDINARY, number) for number in range(4)))
    for number in range(own):
        queue.add(One("quiet", ORDINARY, number))
    one = queue.gives_way("quiet", ORDINARY)
    assert ((one.tenant, one.number) if one is not None else None) == (
        ("loud", 3) if gives else None
    )
    assert queue.gives_way("loud", ORDINARY) is None


@given(st.lists(st.tuples(TENANTS, RANKS), max_size=60), TENANTS, RANKS)
def test_a_newcomer_that_cannot_wait_finds_nobody_with_more_than_it(
    waiting: list[tuple[str | int | None, int]], tenant: str | int | None, rank: int
) -> None:
    queue = queue_of(*(One(*one) for one in waiting))
    one = queue.gives_way(tenant, rank)
    count = Counter(waiting)
    if one is None:
        assert not any(other > rank for _, other in waiting)
        share = max((count[name, rank] for name, _ in waiting), default=0)
        assert share <= count[tenant, rank] + 1
    else:
        assert one.rank >= rank
        if one.rank == rank:
            assert count[one.tenant, rank] >= count[tenant, rank] + 2


@given(st.lists(TENANTS, min_size=1, max_size=60), st.integers(0, 59))
def test_nobody_waits_for_more_than_a_round_for_each_of_its_own(
    tenants: list[str | int | None], watched: int
) -> None:
    """The n-th of a tenant is among the first n rounds, however many the others send."""
    waiting = [One(tenant, ORDINARY, number) for number, tenant in enumerate(tenants)]
    one = waiting[watched % len(waiting)]
    own_before = sum(item.tenant == one.tenant for item in waiting[: one.number])
    place = all_of(queue_of(*waiting)).index(one)
    assert place < (own_before + 1) * len(set(tenants))


class Turns(RuleBasedStateMachine):
    """Whatever comes, leaves and is taken: nothing is lost, twice there, or for ever last."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[One] = FairQueue()
        self.there: dict[One, int] = {}
        self.numbers = 0
        self.unserved: Counter[int] = Counter()

    @rule(tenant=TENANTS, rank=RANKS, is_blocked=st.booleans())
    def come(self, tenant: str | int | None, rank: int, is_blocked: bool) -> None:
        one = One(tenant, rank, self.numbers, is_blocked)
        self.queue.add(one)
        self.there[one] = self.numbers
        self.numbers += 1

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.there)))
        assert self.queue.remove(one)
        assert not self.queue.remove(one)
        del self.there[one]

    @rule()
    def take(self) -> None:
        one = self.queue.take(lambda item: not item.is_blocked)
        free = [item for item in self.there if not item.is_blocked]
        if one is None:
            assert not free
            return
        assert one in free
        # Nobody of its own tenant and class came before it and could have gone.
        assert not any(
            item.number < one.number and (item.tenant, item.rank) == (one.tenant, one.rank)
            for item in free
        )
        del self.there[one]
        for rank in (CRITICAL, ORDINARY, BATCH):
            if rank == one.rank or not any(item.rank == rank for item in free):
                self.unserved[rank] = 0
            else:
                self.unserved[rank] += 1
            # Every other class may be overdue at the same time.
            assert self.unserved[rank] <= PATIENCE + 2

    @rule()
    def free_all(self) -> None:
        for one in self.there:
            one.is_blocked = False

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.queue) == len(self.there)


TestTurns = Turns.TestCase
