"""What a call may cost in all bounds its attempts together, not each by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import Attempt, Route
from routerd.execute.call_total import check_total
from routerd.execute.purse import NoRoom
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Vendor, answer, cut, failing, vanishing, whole

CENT = 10_000_000


async def unread(exchange: Exchange) -> None:
    """Promise an answer, and break off within it."""
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
    exchange.reset()


def bounded(run: Run, *cents: float) -> Run:
    """Let each of its routes cost at most so much."""
    routes = tuple(
        structs.replace(route, bound_nanodollars=int(most * CENT))
        for route, most in zip(run.plan.routes, cents, strict=True)
    )
    run.plan = structs.replace(run.plan, routes=routes)
    return run


async def test_what_was_lost_leaves_less_for_the_backup() -> None:
    """Nobody saw what was written of a plain answer that was cut: all of its bound is charged."""

    async with Vendor(unread) as vendor, Vendor(name="backup") as backup:
        run = Run(vendor.target(), backup.target(), stream=False, max_cost_cents=1.0)
        await bounded(run, 0.8, 0.3).go()
    assert run.way == [("vendor", "first", "connection")]
    assert run.attempts[0].cost_nanodollars == int(0.8 * CENT)
    assert run.error.code == "connection"
    assert run.error.details["tried"] == ["vendor/m: connection", "backup/m: max_cost"]
    (skipped,) = run.execution.skipped
    assert skipped.detail == "up to $0.003 beside $0.008, the call may cost $0.01"


async def test_where_there_is_room_for_both_the_backup_answers() -> None:
    async with Vendor(unread) as vendor, Vendor(whole("Hi"), name="backup") as backup:
        run = Run(vendor.target(), backup.target(), stream=False, max_cost_cents=1.0)
        await bounded(run, 0.7, 0.3).go()
    assert run.way == [("vendor", "first", "connection"), ("backup", "fallback", None)]


async def test_what_was_refused_cost_nothing_and_leaves_all() -> None:
    async with (
        Vendor(failing(500), failing(500)) as vendor,
        Vendor(answer("Hi"), name="backup") as backup,
    ):
        run = Run(vendor.target(), backup.target(), max_cost_cents=1.0)
        await bounded(run, 1.0, 1.0).go()
    assert [kind for _, _, kind in run.way] == ["server_error", "server_error", None]


async def test_without_a_limit_of_its_own_a_call_is_not_bounded_in_all() -> None:
    async with Vendor(cut("Hel")) as vendor, Vendor(answer("Hi"), name="backup") as backup:
        run = Run(vendor.target(), backup.target(), restart=True)
        await bounded(run, 1.0, 1.0).go()
    assert run.way[-1] == ("backup", "fallback", None)


async def test_a_second_attempt_on_a_route_counts_too() -> None:
    async with Vendor(vanishing) as vendor:
        run = Run(vendor.target(), stream=False, max_cost_cents=1.0)
        await bounded(run, 0.6).go()
    assert run.way == [("vendor", "first", "connection")]
    assert run.error.details["tried"] == ["vendor/m: connection", "vendor/m: max_cost"]


def attempt(cost: int | None, held: int | None, *, ended: bool) -> Attempt:
    return Attempt(
        deployment="p/m",
        model="m",
        provider="p",
        server="s",
        reason="first",
        started_us=0,
        ended_us=1 if ended else None,
        cost_nanodollars=cost if ended else None,
        held_nanodollars=held,
    )


AMOUNTS = st.none() | st.integers(0, 100)


@given(
    st.lists(st.builds(attempt, AMOUNTS, AMOUNTS, ended=st.booleans()), max_size=6),
    AMOUNTS,
    st.integers(0, 300),
)
def test_what_is_let_through_stays_within_the_limit(
    attempts: list[Attempt], bound: int | None, most: int
) -> None:
    route = Route("p/m", "m", "p", bound_nanodollars=bound)
    counted = [
        item.held_nanodollars if item.ended_us is None else item.cost_nanodollars
        for item in attempts
    ]
    total = sum(item or 0 for item in counted)
    if total + (bound or 0) <= most:
        check_total(most, route, attempts)
    else:
        with pytest.raises(NoRoom) as caught:
            check_total(most, route, attempts)
        assert (caught.value.dropped.code, caught.value.dropped.deployment) == ("max_cost", "p/m")
