"""Calls in any order, with any ends: no cap is passed, nothing stays held, the ledger agrees.

Sockets, pipeline, budgets and ledger are the real ones; hypothesis chooses what the vendors do and
when callers leave. After every schedule the counters are compared with the ledger's own sums.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, NamedTuple

import anyio
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routerd.budget.budgets import Budgets
from routerd.budget.holds import Hold, HoldRefused
from routerd.ledger.sums import window_sums
from routerd.settings import Budget
from routerd_proto.frames import CallEnded, CallOptions
from tests.daemon.execute.house import House, house
from tests.daemon.execute.scripted import (
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    stalling,
    unfinished,
    vanishing,
    whole,
)

TENANTS: Final = ("acme", "beta", None)
SCENES: Final[dict[str, Scene]] = {
    "answer": answer("Hello", used=(900, 77)),
    "nothing used": answer("Hello", used=(0, 0)),
    "no usage": answer("Hello", used=None),
    "above the bound": answer("Hello", used=(5_000, 5_000)),
    "plain": whole("Hello"),
    "refused": failing(400),
    "broken": failing(500),
    "rate limit": failing(429, retry_after="0.01"),
    "cut": cut("Hel"),
    "unfinished": unfinished("Hel"),
    "vanishing": vanishing,
    "stalling": stalling("Hel"),
}
CAPS: Final = {
    "all": Budget(dollars="0.0012", calls=9),
    "tenants": Budget(each="tenant", dollars="0.0009", tokens=4_000),
    "one": Budget(provider="one", window="24h", calls=6),
}


class Step(NamedTuple):
    """One call: whose it is, and after how many turns its caller leaves, None for never."""

    tenant: str | None
    leaves_after: int | None
    pause: int


steps = st.builds(
    Step,
    tenant=st.sampled_from(TENANTS),
    leaves_after=st.none() | st.integers(0, 40),
    pause=st.integers(0, 15),
)


class WatchedBudgets(Budgets):
    """Checks after every hold that no cap is passed by it."""

    def hold(self, *arguments: Any) -> Hold | HoldRefused:
        hold = super().hold(*arguments)
        if isinstance(hold, Hold):
            for row in self.report(arguments[-1]):
                over = row["spent"] + row["held"] - row["limit"]
                # Beyond a cap is only what a provider billed above its bound.
                assert over <= 0 or self.billed_above_bound, row
        return hold

    billed_above_bound = False


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(steps, min_size=1, max_size=14),
    st.lists(st.sampled_from(sorted(SCENES)), min_size=60, max_size=60),
)
async def test_whatever_happens_the_money_adds_up(
    tmp_path: Path, calls: list[Step], scenes: list[str]
) -> None:
    folder = Path(await anyio.to_thread.run_sync(partial(mkdtemp, dir=tmp_path)))
    script = [SCENES[name] for name in scenes]
    async with (
        Vendor(*script, name="one") as one,
        Vendor(*script[::-1], name="two") as two,
        house(folder, one, two, budgets=CAPS) as made,
    ):
        budgets = made.pipeline.accounts.budgets
        budgets.__class__ = WatchedBudgets
        WatchedBudgets.billed_above_bound = "above the bound" in scenes
        async with anyio.create_task_group() as tasks:
            for number, step in enumerate(calls):
                tasks.start_soon(run_call, made, number, step)
        await made.running.until_empty()
        while made.running.server.in_flight:
            await checkpoint()
        assert not budgets.holds
        await compare(made, budgets)


async def run_call(made: House, number: int, step: Step) -> None:
    for _ in range(step.pause):
        await checkpoint()
    options = CallOptions(tenant=step.tenant, timeout=0.3)
    app = await made.begin(f"c{number}", options=options)
    if step.leaves_after is None:
        await app.receive_until(CallEnded)
    else:
        for _ in range(step.leaves_after):
            await checkpoint()
    await app.close()


async def compare(made: House, budgets: Budgets) -> None:
    """Compare every counter with what the ledger says of the same."""
    records = await made.ledger.recent(100)
    now = max(record.received_at_ns for record in records) / 1e9
    counted = {
        (row["budget"], row["scope"], row["unit"]): (row["spent"], row["held"])
        for row in budgets.report(now)
    }
    for budget in budgets.definitions:
        sums = await made.ledger.ask(
            partial(
                window_sums,
                since_ms=int(budget.window.earliest(now) * 1000),
                now_ms=int(now * 1000),
                each=budget.each,
                filters=budget.filters,
            )
        )
        for found in sums:
            calls = found.requests if budget.of_route else found.calls
            amounts = {"nanodollars": found.nanodollars, "calls": calls, "tokens": found.tokens}
            for unit, amount in amounts.items():
                key = (budget.name, budget.scope(found.name), unit)
                if key in counted:
                    assert counted.pop(key) == (amount, 0), key
    assert all(spent == (0, 0) for spent in counted.values()), counted
