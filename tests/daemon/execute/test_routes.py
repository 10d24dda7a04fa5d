"""A call's way through its routes, against vendors that follow a script."""

from __future__ import annotations

from time import monotonic
from typing import Any

import anyio
import pytest
from msgspec import structs

from routerd.budget.keys import KeyHold
from routerd.errors import ErrorClass
from routerd.execute.places import Place, Places
from routerd.execute.target import Target
from routerd.models.prompt import PromptAdjustments
from routerd.settings import Failover, Limits
from routerd_proto.frames import Usage
from tests.daemon.execute.run import INPUT_TOKENS, Run
from tests.daemon.execute.scripted import (
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    unfinished,
    until,
    vanishing,
    whole,
)

NOTED = [
    "system text of the directory was added before",
    "temperature was left out: the directory says that this model does not take it",
]


async def test_an_answer_is_delivered_and_measured() -> None:
    async with Vendor(answer("Hel", "lo", used=(10, 5))) as vendor:
        run = await Run(vendor.target()).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert run.delivery.committed
    assert run.way == [("vendor", "first", None)]
    (attempt,) = run.attempts
    assert attempt.status == 200
    assert attempt.finish == "stop"
    assert attempt.answered_model == "m-1"
    assert attempt.response_id == "a1"
    assert attempt.usage == Usage(input_tokens=10, output_tokens=5)
    # 10 tokens at 1 dollar and 5 at 2 dollars a million.
    assert (attempt.cost_nanodollars, attempt.cost_basis) == (20_000, "measured")
    times = (attempt.started_us, attempt.headers_us, attempt.first_content_us, attempt.ended_us)
    assert None not in times
    assert sorted(time or 0 for time in times) == list(times)
    assert vendor.requests[0]["model"] == "m-1"
    assert vendor.requests[0]["stream"] is True


async def test_a_whole_answer_comes_in_one_piece() -> None:
    async with Vendor(whole("Hello")) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert "stream" not in vendor.requests[0]
    assert run.attempts[0].cost_basis == "measured"


async def test_an_answer_is_simulated_if_its_provider_is_or_says_so() -> None:
    async def scene(exchange: Any) -> None:
        body = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}
        await exchange.plain(200, body, x_routerd_simulated="1")

    async with Vendor(whole("a"), scene, whole("a")) as vendor:
        runs = [
            await Run(vendor.target(simulated=simulated), stream=False).go()
            for simulated in (True, False, False)
        ]
    assert [run.attempts[0].simulated for run in runs] == [True, True, False]


async def test_an_attempt_at_a_simulator_is_simulated_though_nothing_came_of_it() -> None:
    async with Vendor() as vendor:
        await vendor.stop_listening()
        run = await Run(vendor.target(simulated=True)).go()
    assert [attempt.simulated for attempt in run.attempts] == [True]


async def test_a_passing_fault_gets_a_second_attempt_on_the_same_route() -> None:
    async with (
        Vendor(failing(503), answer("Hello")) as vendor,
        Vendor(name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target()).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert run.sink.kinds == ["TextDelta"]
    assert run.way == [("vendor", "first", "overloaded"), ("vendor", "retry", None)]
    assert run.attempts[0].cost_nanodollars == 0
    assert run.attempts[0].status == 503
    first, second = run.attempts
    # The pause is neither a provider's time nor routerd's own.
    assert 0 < run.execution.waited_us <= second.started_us - (first.ended_us or 0)


async def test_a_connection_lost_before_its_answer_is_tried_again_at_once() -> None:
    async with Vendor(answer("a"), vanishing, answer("Hello")) as vendor:
        await Run(vendor.target()).go()
        run = await Run(vendor.target()).go()
    assert run.way == [("vendor", "first", "connection"), ("vendor", "retry", None)]
    assert run.sink.text == "Hello"
    # Whether the provider worked on it is not known: it may bill the input.
    assert run.attempts[0].cost_basis == "estimated"
    assert run.attempts[0].usage == Usage(input_tokens=INPUT_TOKENS)


@pytest.mark.parametrize(
    ("scenes", "kinds"),
    [
        ([failing(500), failing(500)], ["server_error", "server_error"]),
        ([failing(401)], ["auth"]),
        ([failing(404)], ["not_found"]),
        ([failing(429)], ["rate_limit"]),
        ([failing(429, retry_after="10")], ["rate_limit"]),
        ([failing(429, retry_after_ms="10"), failing(429)], ["rate_limit", "rate_limit"]),
        ([failing(429, "insufficient_quota")], ["quota"]),
        ([unfinished()], ["bad_answer"]),
        ([cut(), cut()], ["connection", "connection"]),
    ],
)
async def test_what_does_not_pass_goes_to_the_backup(scenes: list[Scene], kinds: list[str]) -> None:
    async with Vendor(*scenes) as vendor, Vendor(answer("Hello"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target()).go()
        assert vendor.unplayed == 0
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert [kind for _, _, kind in run.way] == [*kinds, None]
    assert run.way[-1] == ("backup", "fallback", None)
    assert run.execution.held is run.attempts[-1]


async def test_a_provider_that_is_not_there_is_not_asked_twice() -> None:
    async with Vendor() as vendor, Vendor(answer("Hello"), name="backup") as backup:
        await vendor.stop_listening()
        run = await Run(vendor.target(), backup.target()).go()
    assert run.way == [("vendor", "first", "connection"), ("backup", "fallback", None)]
    assert run.attempts[0].sent is False
    assert run.attempts[0].error_phase == "connect"
    assert (run.attempts[0].cost_nanodollars, run.attempts[0].cost_basis) == (0, "measured")


async def test_the_first_error_is_told_and_what_was_tried() -> None:
    async with (
        Vendor(failing(429, "slow_down", retry_after="20")) as first,
        Vendor(failing(401), name="second") as second,
        Vendor(failing(404), name="third") as third,
    ):
        run = await Run(first.target(), second.target(), third.target()).go()
    assert run.error.code == "rate_limit"
    assert run.error.retry_after == 20.0
    assert run.error.details["tried"] == [
        "vendor/m: rate_limit",
        "second/m: auth",
        "third/m: not_found",
    ]
    assert run.sink.frames == []


@pytest.mark.parametrize(
    ("scene", "code"),
    [(failing(400, "content_policy_violation"), "content_policy"), (failing(400), "bad_request")],
)
async def test_a_safety_rule_and_a_mistake_end_the_call(scene: Scene, code: str) -> None:
    async with Vendor(scene) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), restart=True).go()
    assert run.error.code == code
    assert len(run.attempts) == 1
    assert backup.requests == []


async def test_too_long_a_call_goes_only_to_a_larger_window() -> None:
    async with (
        Vendor(failing(400, "context_length_exceeded")) as first,
        Vendor(name="same") as same,
        Vendor(name="unknown") as unknown,
        Vendor(answer("Hello"), name="larger") as larger,
    ):
        run = await Run(
            first.target(window=1000),
            same.target(window=1000),
            unknown.target(),
            larger.target(window=2000),
        ).go()
    assert run.way == [("vendor", "first", "context_length"), ("larger", "fallback", None)]


async def test_too_long_a_call_without_a_larger_window_says_so() -> None:
    async with (
        Vendor(failing(400, "context_length_exceeded")) as first,
        Vendor(name="same") as same,
    ):
        run = await Run(first.target(window=1000), same.target(window=1000)).go()
    assert run.error.code == "context_length"
    assert len(run.attempts) == 1


async def test_a_prompt_is_adjusted_for_each_model_and_noted() -> None:
    prompt = PromptAdjustments(system_before="Before.", drop=("temperature",))
    async with Vendor(failing(500), failing(500)) as first, Vendor(answer("ok")) as second:
        adjusted = structs.replace(first.target("first/m"), prompt=prompt, prompt_tokens=9)
        run = await Run(adjusted, second.target("second/m"), temperature=0.5).go()
    asked = run.execution._call.messages
    assert first.requests[0]["messages"][0] == {"role": "system", "content": "Before."}
    assert "temperature" not in first.requests[0]
    # The same call, as it was, to a model that nothing is changed for.
    assert second.requests[0]["messages"] == first.requests[0]["messages"][1:]
    assert second.requests[0]["temperature"] == 0.5
    assert run.execution._call.messages is asked
    assert [attempt.notes for attempt in run.attempts] == [NOTED, NOTED, []]


async def test_an_estimate_counts_what_was_added_to_the_prompt() -> None:
    async with Vendor(cut("Hel")) as vendor:
        prompt = PromptAdjustments(system_after="After.")
        target = structs.replace(vendor.target(), prompt=prompt, prompt_tokens=9)
        run = await Run(target).go()
    usage = run.attempts[0].usage
    assert usage is not None
    assert usage.input_tokens == INPUT_TOKENS + 9


# --- a provider that refused the call -------------------------------------------------------------


def another_model_of(target: Target) -> Target:
    return structs.replace(target, deployment=f"{target.provider}/n", model="n")


@pytest.mark.parametrize(("status", "error_class"), [(429, "rate_limit"), (401, "auth")])
async def test_who_refused_a_call_is_not_asked_by_it_again(status: int, error_class: str) -> None:
    refused, down = failing(status, "no"), failing(500, "down")
    async with Vendor(refused) as vendor, Vendor(down, down, name="backup") as backup:
        third = another_model_of(vendor.target())
        run = await Run(vendor.target(), backup.target(), third).go()
    assert [provider for provider, *_ in run.way] == ["vendor", "backup", "backup"]
    assert run.error.code == error_class
    assert run.error.details["tried"][-1] == "vendor/n: unhealthy"


async def test_a_route_that_will_be_passed_by_is_no_backup_to_a_rate_limit() -> None:
    """Whoever is left is asked once more, since nobody named a time."""
    limited = failing(429, "slow_down")
    async with (
        Vendor(limited) as vendor,
        Vendor(limited, answer("Hi"), name="backup") as backup,
    ):
        third = another_model_of(backup.target())
        run = await Run(vendor.target(), backup.target(), third).go()
    assert run.way == [
        ("vendor", "first", "rate_limit"),
        ("backup", "fallback", "rate_limit"),
        ("backup", "retry", None),
    ]


def least_bad(run: Run) -> Run:
    """Have its only route be one that nobody else can stand in for."""
    (route,) = run.plan.routes
    run.plan = structs.replace(run.plan, routes=(structs.replace(route, code="least_bad"),))
    return run


async def test_the_moment_that_the_only_provider_named_is_waited_for() -> None:
    async with Vendor(answer("Hi")) as vendor:
        run = least_bad(Run(vendor.target()))
        keys = run.accounts.keys
        key = keys.choose("vendor/m", "vendor", None, 0.0)
        assert isinstance(key, KeyHold)
        key.failed(ErrorClass.RATE_LIMIT, 0.2, 0.0)
        await run.go()
    assert run.way == [("vendor", "first", None)]
    assert run.execution.waited_us >= 190_000
    assert run.attempts[0].started_us >= 190_000


@pytest.mark.parametrize("seconds", [3.5, 60.0])
async def test_a_moment_that_is_far_is_not_waited_for(seconds: float) -> None:
    """What is asked even so may have got better; its provider says if it has not."""
    async with Vendor(answer("Hi")) as vendor:
        run = least_bad(Run(vendor.target(), seconds=3.0 if seconds < 4 else None))
        run.execution._failover = Failover(longest_wait_seconds=4.0)
        key = run.accounts.keys.choose("vendor/m", "vendor", None, 0.0)
        assert isinstance(key, KeyHold)
        key.failed(ErrorClass.RATE_LIMIT, seconds, 0.0)
        await run.go()
    assert run.way == [("vendor", "first", None)]
    assert run.execution.waited_us == 0


async def test_a_backup_that_is_only_full_is_waited_for_though_the_last_route_is_passed_by() -> (
    None
):
    limits = Limits()
    async with Vendor(failing(429, "no")) as vendor, Vendor(answer("Hi"), name="backup") as backup:
        third = another_model_of(vendor.target())
        run = Run(vendor.target(), backup.target(), third)
        places = Places(limits, {"backup": 1})
        other, own = (Place(places, None, monotonic() + 60) for _ in range(2))
        assert places.enter(other)
        assert places.enter(own)
        assert places.take(other, "backup")
        run.execution._purse.place = own

        async def leave_once_it_waits() -> None:
            await until(lambda: places.waiting == 1)
            places.leave(other)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave_once_it_waits)
            await run.go()
    assert run.way == [("vendor", "first", "rate_limit"), ("backup", "fallback", None)]
    assert run.sink.text == "Hi"
