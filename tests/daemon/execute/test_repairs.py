"""A refused request that is sent once more as its provider says, against scripted vendors."""

from __future__ import annotations

import pytest
from msgspec import structs

from routerd.budget.budgets import Budgets
from routerd.errors import CallRefused
from routerd.health.trips import Place
from routerd.models.prompt import PromptAdjustments
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.openai import OpenAIAdapter
from routerd.settings import Health
from routerd_proto.content import Message, Reasoning, Text
from routerd_proto.errors import error_info
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Scene, Vendor, answer, failing

NOTE = "temperature was left out: the provider refused it"
REPAIRED = [("vendor", "first", "bad_request"), ("vendor", "repair", None)]


def refusing(param: str, code: str = "unsupported_parameter", message: str = "no") -> Scene:
    """Refuse a parameter by its name."""

    async def scene(exchange: Exchange) -> None:
        error = {"message": message, "code": code, "param": param}
        await exchange.plain(400, {"error": error}, x_should_retry="false")

    return scene


async def test_a_refused_parameter_is_left_out_and_the_same_model_answers() -> None:
    scenes = refusing("temperature"), answer("Hello")
    async with Vendor(*scenes) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), temperature=0.5, seed=7).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert run.sink.kinds == ["TextDelta"]
    assert run.way == REPAIRED
    assert [attempt.notes for attempt in run.attempts] == [[], [NOTE]]
    first, second = vendor.requests
    assert first.pop("temperature") == 0.5
    assert second == first
    assert run.attempts[0].cost_nanodollars == 0
    assert run.execution._call.options.temperature == 0.5


async def test_each_attempt_has_its_own_hold_and_intent() -> None:
    budgets = Budgets()
    async with Vendor(refusing("temperature"), answer("a", used=(10, 5))) as vendor:
        run = Run(vendor.target(), budgets=budgets, temperature=0.5)
        route = structs.replace(run.plan.routes[0], bound_nanodollars=900, bound_tokens=100)
        run.plan = structs.replace(run.plan, routes=(route,))
        await run.go()
    assert [(intent.number, intent.reason) for intent in run.journal.intents] == [
        (1, "first"),
        (2, "repair"),
    ]
    assert [attempt.held_nanodollars for attempt in run.attempts] == [900, 900]


async def test_a_repair_counts_against_nobody() -> None:
    strict = Health(failures_in_a_row=1)
    scenes = refusing("temperature"), answer("a"), failing(500), answer("b")
    async with Vendor(*scenes) as vendor:
        target = vendor.target()
        place = Place(target.deployment, target.model, target.provider, target.channel.server)
        run = Run(target, temperature=0.5)
        run.accounts.breakers.replace([place], strict)
        await run.go()
        assert run.way == REPAIRED
        assert run.events == []
        # A fault of the provider would have been heard of.
        other = Run(target)
        other.accounts.breakers.replace([place], strict)
        await other.go()
        assert other.events != []


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (refusing("seed", "invalid_value", "second"), "bad_request"),
        (failing(400, "content_policy_violation"), "content_policy"),
    ],
)
async def test_there_is_one_repair_and_the_first_cause_is_told(second: Scene, kind: str) -> None:
    first = refusing("temperature", message="first")
    async with Vendor(first, second) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), temperature=0.5, seed=7).go()
    assert run.way == [("vendor", "first", "bad_request"), ("vendor", "repair", kind)]
    assert (run.error.code, run.error.message) == ("bad_request", "first")
    assert run.error.details["tried"] == ["vendor/m: bad_request", f"vendor/m: {kind}"]
    assert run.sink.frames == []


async def test_a_repaired_request_that_meets_a_fault_goes_to_the_backup_as_it_was() -> None:
    async with (
        Vendor(refusing("temperature"), failing(503)) as vendor,
        Vendor(answer("Hello"), name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target(), temperature=0.5).go()
    assert run.way == [
        ("vendor", "first", "bad_request"),
        ("vendor", "repair", "overloaded"),
        ("backup", "fallback", None),
    ]
    # What one provider refuses is nobody else's: the backup takes the call as it was.
    assert backup.requests[0]["temperature"] == 0.5
    assert run.attempts[-1].notes == []


async def test_a_second_attempt_is_never_followed_by_a_repair() -> None:
    async with Vendor(failing(503), refusing("temperature")) as vendor:
        run = await Run(vendor.target(), temperature=0.5).go()
    assert [kind for _, _, kind in run.way] == ["overloaded", "bad_request"]
    assert run.error.code == "overloaded"


async def test_a_feature_that_a_model_has_not_is_asked_of_another_one() -> None:
    async with Vendor(refusing("tools")) as vendor, Vendor(answer("a"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), seed=7).go()
    assert run.way == [("vendor", "first", "bad_request"), ("backup", "fallback", None)]
    assert len(backup.requests) == 1


@pytest.mark.parametrize("param", ["temperature", "messages", "max_tokens"])
async def test_what_was_not_sent_or_must_hold_is_not_repaired(param: str) -> None:
    async with Vendor(refusing(param)) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), seed=7).go()
    assert run.way == [("vendor", "first", "bad_request")]
    assert backup.requests == []


async def test_a_repair_that_changes_no_byte_is_none() -> None:
    # The model does not reason, so that no effort was sent.
    async with Vendor(refusing("reasoning_effort")) as vendor:
        run = await Run(vendor.target(), reasoning="high").go()
    assert len(run.attempts) == 1


async def test_a_repair_that_no_wire_can_carry_is_none() -> None:
    class Refusing(OpenAIAdapter):
        def encode(self, request: ChatRequest) -> EncodedRequest:
            if request.options.temperature is None:
                raise CallRefused(error_info("invalid_request", "cannot"))
            return super().encode(request)

    async with Vendor(refusing("temperature"), adapter=Refusing()) as vendor:
        run = await Run(vendor.target(), temperature=0.5).go()
    assert run.way == [("vendor", "first", "bad_request")]
    assert run.error.code == "bad_request"


async def test_an_error_inside_an_answer_is_not_repaired() -> None:
    async def scene(exchange: Exchange) -> None:
        await exchange.begin_stream()
        error = {"message": "no", "code": "unsupported_parameter", "param": "temperature"}
        await exchange.event({"error": error})
        await exchange.end_stream()

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target(), temperature=0.5).go()
    assert run.way == [("vendor", "first", "bad_request")]


async def test_adjustments_of_the_prompt_stay_in_a_repaired_request() -> None:
    async with Vendor(refusing("temperature"), answer("a")) as vendor:
        prompt = PromptAdjustments(system_before="Before.")
        target = structs.replace(vendor.target(), prompt=prompt)
        run = await Run(target, temperature=0.5).go()
    assert vendor.requests[0]["messages"][0] == {"role": "system", "content": "Before."}
    assert vendor.requests[1]["messages"] == vendor.requests[0]["messages"]
    added = "system text of the directory was added before"
    assert [attempt.notes for attempt in run.attempts] == [[added], [added, NOTE]]


async def test_the_output_limit_keeps_its_value_under_its_other_name() -> None:
    async with Vendor(refusing("max_completion_tokens"), answer("a")) as vendor:
        run = await Run(vendor.target(), max_output_tokens=9).go()
    assert run.way == REPAIRED
    assert [request.get("max_completion_tokens") for request in vendor.requests] == [9, None]
    assert vendor.requests[1]["max_tokens"] == 9


async def test_thinking_that_is_bound_elsewhere_is_left_out() -> None:
    async def bound(exchange: Exchange) -> None:
        words = "The block is bound to a different conversation"
        error = {"type": "invalid_request_error", "message": words}
        await exchange.plain(400, {"type": "error", "error": error})

    async def whole(exchange: Exchange) -> None:
        message = {
            "type": "message",
            "role": "assistant",
            "model": "m-1",
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 1},
        }
        await exchange.plain(200, message)

    async with Vendor(bound, whole, adapter=AnthropicAdapter()) as vendor:
        thought = Reasoning("hm", "anthropic", {"signature": "c2ln"})
        history = [
            Message("user", "one"),
            Message("assistant", [thought, Text("two")]),
            Message("user", "three"),
        ]
        run = await Run(vendor.target(), stream=False, messages=history).go()
    assert run.way == REPAIRED
    assert run.sink.text == "Hello"
    blocks = [request["messages"][1]["content"] for request in vendor.requests]
    assert [len(turn) for turn in blocks] == [2, 1]
    assert blocks[1] == blocks[0][1:]
    assert history[1].content[0] is thought
