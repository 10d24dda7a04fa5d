"""The money of a running call: what is held, written down and settled on every way it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec import structs

from routerd.budget.budgets import Budgets
from routerd.budget.definitions import read_budgets
from routerd.budget.key import KeyLimits
from routerd.budget.keys import Keys
from routerd.execute.target import Key, Target
from routerd.models.pricing import Price
from routerd.settings import Budget, Budgeting
from routerd.telemetry.events import BoundExceeded
from tests.daemon.execute.run import INPUT_TOKENS, Run
from tests.daemon.execute.scripted import (
    Exchange,
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    silent,
    stalling,
    until,
    usage,
    vanishing,
)

# PRICE is a dollar and two for a million tokens: 10 in and 5 out cost 20,000 nanodollars.
COST = 20_000
BOUND = 50_000
CAP = {"all": Budget(dollars="0.0001", calls=10, tokens=1000)}
CAP_NANODOLLARS = 100_000


def budgets(items: Mapping[str, Budget] = CAP) -> Budgets:
    return Budgets(read_budgets(items, Budgeting()))


def bounded(run: Run, nanodollars: int | None = BOUND, **more: Any) -> Run:
    """Give every route of the run's plan a bound, as a real plan has."""
    routes = tuple(
        structs.replace(route, bound_nanodollars=nanodollars, bound_tokens=100, **more)
        for route in run.plan.routes
    )
    run.plan = structs.replace(run.plan, routes=routes)
    return run


def state(run: Run) -> dict[str, tuple[int, int]]:
    rows = run.accounts.budgets.report(0.0)
    return {row["unit"]: (row["spent"], row["held"]) for row in rows}


def is_idle(run: Run) -> bool:
    return not run.accounts.budgets.holds and all(held == 0 for _, held in state(run).values())


async def test_what_is_held_while_it_runs_is_the_bound_and_after_it_the_cost() -> None:
    async with Vendor(stalling("Hel")) as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets()))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.go)
            await run.sink.sent.wait()
            assert state(run) == {"nanodollars": (0, BOUND), "calls": (0, 1), "tokens": (0, 100)}
            tasks.cancel_scope.cancel()
    # Cancelled: the input is known, the output is counted as it came.
    spent = INPUT_TOKENS * 1000 + 1 * 2000
    assert run.attempts[0].cost_basis == "estimated"
    assert run.attempts[0].cost_nanodollars == spent
    assert state(run)["nanodollars"] == (spent, 0)
    assert is_idle(run)


async def test_the_intent_is_written_before_the_request_is_sent() -> None:
    async with Vendor(answer("a")) as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets(), tenant="acme"))
        await run.go()
    (intent,) = run.journal.intents
    assert (intent.number, intent.tenant, intent.held_nanodollars) == (1, "acme", BOUND)
    assert intent.input_tokens + intent.output_tokens == 100


async def test_every_field_of_an_intent_is_that_of_the_call_or_the_attempt() -> None:
    spenders = ("tenant", "team", "agent", "user", "feature", "task")
    names: dict[str, Any] = {name: f"the {name}" for name in spenders}
    async with Vendor(answer("a")) as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets(), **names))
        record = run.execution._purse.record
        record.plan = structs.replace(run.plan, model_class="the class")
        await run.go()
    (intent,), (attempt,) = run.journal.intents, run.attempts
    own = {"number", "at_ms", "input_tokens", "output_tokens", "model_class"}
    of_attempt = {"deployment", "model", "provider", "server", "reason", "held_nanodollars"}
    of_attempt |= {"key", "free", "simulated", "unlisted_cost"}
    for name in set(intent.__struct_fields__) - own:
        holder = attempt if name in of_attempt else record
        assert getattr(intent, name) == getattr(holder, name), name
    assert intent.model_class == "the class"
    assert abs(intent.at_ms - record.received_at_ns // 1_000_000) < 60_000


async def test_nothing_is_sent_before_its_intent() -> None:
    async with Vendor() as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets()))

        def refuse(_intent: object) -> bool:
            raise RuntimeError("stop here")

        run.journal.intend = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(RuntimeError):
            await run.go()
        await checkpoint()
        assert vendor.requests == []
    assert is_idle(run)
    assert state(run)["calls"] == (0, 0)


@pytest.mark.parametrize(
    ("scene", "spent"),
    [
        (answer("Hello"), COST),
        (answer("Hello", used=(0, 0)), 0),
        (failing(400), 0),
        (cut("Hello"), INPUT_TOKENS * 1000 + 2 * 2000),
    ],
)
async def test_every_end_settles(scene: Scene, spent: int) -> None:
    async with Vendor(scene) as vendor:
        run = await bounded(Run(vendor.target(), budgets=budgets())).go()
    assert state(run)["nanodollars"] == (spent, 0)
    assert state(run)["calls"] == (1, 0)
    assert is_idle(run)


async def test_a_call_that_fails_over_costs_what_all_its_attempts_cost() -> None:
    async with (
        Vendor(vanishing, vanishing, name="one") as one,
        Vendor(answer("a"), name="two") as two,
    ):
        # Each attempt that may have been billed was estimated at no more than fits.
        run = bounded(
            Run(one.target(), two.target(), budgets=budgets({"all": Budget(dollars=1, calls=1)})),
            500_000,
        )
        await run.go()
    assert [item.error_class for item in run.attempts] == ["connection", "connection", None]
    spent = sum(item.cost_nanodollars or 0 for item in run.attempts)
    assert spent == 2 * INPUT_TOKENS * 1000 + COST
    assert state(run) == {"nanodollars": (spent, 0), "calls": (1, 0)}
    assert [intent.number for intent in run.journal.intents] == [1, 2, 3]


async def test_a_dearer_backup_that_does_not_fit_is_skipped_with_the_reason() -> None:
    async with (
        Vendor(failing(404), name="one") as one,
        Vendor(name="two") as two,
        Vendor(answer("a"), name="three") as three,
    ):
        run = Run(one.target(), two.target(), three.target(), budgets=budgets())
        amounts = (BOUND, CAP_NANODOLLARS + 1, BOUND)
        routes = zip(run.plan.routes, amounts, strict=True)
        run.plan = structs.replace(
            run.plan,
            routes=tuple(
                structs.replace(item, bound_nanodollars=amount, bound_tokens=1)
                for item, amount in routes
            ),
        )
        await run.go()
    assert [item.provider for item in run.attempts] == ["one", "three"]
    (skipped,) = run.execution.skipped
    assert (skipped.deployment, skipped.code, skipped.budget) == ("two/m", "budget", "all")
    assert run.execution.error is None


async def test_with_no_room_for_the_backup_the_first_error_is_told() -> None:
    async with Vendor(failing(404), name="one") as one, Vendor(name="two") as two:
        run = Run(one.target(), two.target(), budgets=budgets())
        first, second = run.plan.routes
        second = structs.replace(second, bound_nanodollars=CAP_NANODOLLARS + 1)
        run.plan = structs.replace(run.plan, routes=(first, second))
        first = structs.replace(first, bound_nanodollars=1)
        run.plan = structs.replace(run.plan, routes=(first, second))
        await run.go()
    assert run.error.code == "not_found"
    assert run.error.details["tried"] == ["one/m: not_found", "two/m: budget"]


async def test_nothing_is_sent_where_no_budget_has_room() -> None:
    async with Vendor() as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets()), CAP_NANODOLLARS + 1)
        await run.go()
    assert run.attempts == []
    assert run.error.code == "budget_exceeded"
    assert is_idle(run)


async def test_a_provider_that_bills_above_the_bound_is_told_of_and_bounded_higher() -> None:
    async with Vendor(answer("a", used=(10, 5))) as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets()), 16_000)
        await run.go()
    # 20,000 for 16,000 is a quarter more, and a tenth on top of that.
    assert run.accounts.surcharges == {"vendor/m": 1375}
    assert run.journal.bounds == {"vendor/m": 1375}
    (event,) = run.events
    assert isinstance(event, BoundExceeded)
    assert (event.held_nanodollars, event.billed_nanodollars) == (16_000, COST)
    assert any("billed more than was held" in note for note in run.attempts[0].notes)
    assert state(run)["nanodollars"] == (COST, 0)


async def test_a_surcharge_has_an_end() -> None:
    async with Vendor(answer("a", used=(10, 5))) as vendor:
        run = await bounded(Run(vendor.target(), budgets=budgets()), 1).go()
    assert run.accounts.surcharges == {"vendor/m": 10_000}


async def test_a_usage_without_a_rate_costs_its_bound() -> None:
    partly = Price(source="test", input=1_000_000_000)
    async with Vendor(answer("a")) as vendor:
        run = await bounded(Run(vendor.target(price=partly), budgets=budgets())).go()
    (attempt,) = run.attempts
    assert (attempt.cost_nanodollars, attempt.cost_basis) == (BOUND, "estimated")
    assert any("the most it can cost was charged" in note for note in attempt.notes)
    assert state(run)["nanodollars"] == (BOUND, 0)


async def test_an_estimate_is_not_above_the_limit_that_was_sent() -> None:
    async with Vendor(cut("x" * 4000)) as vendor:
        run = Run(vendor.target(), budgets=budgets({"all": Budget(dollars=1)}))
        await bounded(run, 10**8, max_output_tokens=50).go()
    assert vendor.requests[0]["max_completion_tokens"] == 50
    (attempt,) = run.attempts
    assert attempt.usage is not None
    assert attempt.usage.output_tokens == 50


async def test_a_lowered_limit_is_sent_and_said() -> None:
    async with Vendor(answer("a")) as vendor:
        run = Run(vendor.target(), budgets=budgets(), max_output_tokens=500)
        await bounded(run, BOUND, max_output_tokens=40, lowered_by="all").go()
    assert vendor.requests[0]["max_completion_tokens"] == 40
    note = "max_output_tokens was lowered to 40: all has no room for more"
    assert note in run.attempts[0].notes


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_cancelled_anywhere_nothing_stays_held(steps: int) -> None:
    async with Vendor(failing(500, retry_after="0.01"), silent, name="one") as one:
        run = bounded(Run(one.target(), budgets=budgets()))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.go)
            for _ in range(steps):
                await checkpoint()
            tasks.cancel_scope.cancel()
    assert is_idle(run)
    assert state(run)["nanodollars"][0] == sum(
        attempt.cost_nanodollars or 0 for attempt in run.attempts
    )


# --- several keys ------------------------------------------------------------------------------


def with_keys(vendor: Vendor, *names: str) -> Target:
    return structs.replace(vendor.target(), keys=tuple(Key(name, vendor.channel) for name in names))


async def test_a_key_that_is_refused_rests_and_another_serves_at_once() -> None:
    keys = Keys({"vendor": [KeyLimits("a"), KeyLimits("b")]}, ())
    async with Vendor(failing(429, retry_after="60"), answer("a")) as vendor:
        run = Run(with_keys(vendor, "a", "b"), keys=keys, budgets=budgets())
        await bounded(run).go()
        assert run.execution.error is None
    assert [(item.key, item.error_class) for item in run.attempts] == [
        ("a", "rate_limit"),
        ("b", None),
    ]
    assert run.execution.waited_us < 60_000_000


async def test_the_fault_of_a_server_is_not_that_of_a_key() -> None:
    keys = Keys({"vendor": [KeyLimits("a"), KeyLimits("b")]}, ())
    async with Vendor(failing(400)) as vendor:
        run = await bounded(Run(with_keys(vendor, "a", "b"), keys=keys)).go()
    assert len(run.attempts) == 1


async def test_with_one_key_a_long_wait_goes_to_the_backup() -> None:
    async with (
        Vendor(failing(429, retry_after="60"), name="one") as one,
        Vendor(answer("a"), name="two") as two,
    ):
        run = await bounded(Run(one.target(), two.target(), budgets=budgets())).go()
    assert [item.provider for item in run.attempts] == ["one", "two"]
    await until(lambda: is_idle(run))


@pytest.mark.parametrize("stream", [True, False])
async def test_what_nobody_saw_costs_its_bound(stream: bool) -> None:
    async with Vendor(silent) as vendor:
        run = bounded(Run(vendor.target(), budgets=budgets(), stream=stream, seconds=0.05))
        await run.go()
    (attempt,) = run.attempts
    # Of a stream what came was counted, and nothing came.
    expected = INPUT_TOKENS * 1000 if stream else BOUND
    assert (attempt.cost_nanodollars, attempt.cost_basis) == (expected, "estimated")
    assert state(run)["nanodollars"] == (expected, 0)


async def test_many_at_once_learn_what_one_would() -> None:
    scenes = [answer("a", used=(10, 5))] * 10
    async with Vendor(*scenes) as vendor:
        first = bounded(Run(vendor.target(), budgets=budgets({"all": Budget(dollars=1)})), 16_000)
        runs = [first]
        for _ in range(9):
            run = bounded(Run(vendor.target()), 16_000)
            run.accounts, run.execution._purse = first.accounts, first.execution._purse
            runs.append(run)
        async with anyio.create_task_group() as tasks:
            for run in runs:
                tasks.start_soon(run.go)
    assert first.accounts.surcharges == {"vendor/m": 1375}


async def test_a_limit_of_a_key_is_told_as_what_it_is() -> None:
    keys = Keys({"vendor": [KeyLimits("a", calls_a_minute=1)]}, ())
    async with Vendor(answer("a")) as vendor:
        await bounded(Run(with_keys(vendor, "a"), keys=keys)).go()
        second = await bounded(Run(with_keys(vendor, "a"), keys=keys)).go()
    assert second.error.code == "rate_limit"
    assert second.error.retry_after is not None


# --- rate limits by what answers tell ------------------------------------------------------------


def limited(left: int, limit: int = 10) -> Scene:
    """Answer, and tell how many requests are left for half a minute."""

    async def scene(exchange: Exchange) -> None:
        choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
        await exchange.plain(
            200,
            {"model": "m-1", "choices": [choice], "usage": usage(10, 5)},
            x_ratelimit_limit_requests=str(limit),
            x_ratelimit_remaining_requests=str(left),
            x_ratelimit_reset_requests="30s",
        )

    return scene


async def test_a_key_rests_when_its_provider_says_that_nothing_is_left() -> None:
    async with Vendor(limited(0)) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    assert run.execution.error is None
    [row] = run.accounts.keys.report_keys(time())
    assert (row["in_flight"], row["headroom"], row["cooling_until"]) == (0, 0, None)
    assert time() < row["used_up_until"] <= time() + 30
    assert row["told"] == [{"limit": "requests", "left": 0, "of": 10}]


@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
async def test_the_names_of_headers_are_in_any_case(case: Callable[[str], str]) -> None:
    told = {
        "x-request-id": "req_1",
        "openai-processing-ms": "7",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
    }
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}

    async def scene(exchange: Exchange) -> None:
        await exchange.plain(
            200, {"choices": [choice]}, **{case(name): value for name, value in told.items()}
        )

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    [attempt] = run.attempts
    assert (attempt.request_id, attempt.took_ms, attempt.headroom) == ("req_1", 7, 0)


async def test_a_key_does_not_rest_while_there_is_enough() -> None:
    async with Vendor(limited(9)) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    [row] = run.accounts.keys.report_keys(time())
    assert (row["told"], row["used_up_until"], row["headroom"]) == ([], None, None)
