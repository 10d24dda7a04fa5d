"""DeepSeek refuses what it cannot do: it is asked once more in its own way, or somebody else is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from routerd.domain import Record
from routerd.simulate import Simulator, parse_fault
from routerd_proto.content import Tool
from tests.e2e.asking import WAYS, Heard, Way, ask, explain
from tests.e2e.conftest import OPENAI, Daemon

Start = Callable[..., Awaitable[Daemon]]
DEEPSEEK = '[providers.deepseek]\nbase_url = "{url}/openai/v1"\nsimulated = true\nkeyless = true\n'
MODEL = "deepseek-v4-flash"
FIRST = f"deepseek/{MODEL}"
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {}})
SWITCHED_OFF = "reasoning was sent as none: the provider takes no such tool choice beside it"


async def asked(start: Start, simulator: Simulator, way: Way, code: str) -> tuple[Heard, Record]:
    simulator.script.replace([parse_fault(f"status:400,code={code},model={MODEL}")])
    daemon = await start(providers=OPENAI + DEEPSEEK)
    async with daemon.client() as client:
        heard = await ask(client, way, MODEL, tools=[TOOL], tool_choice="required")
        return heard, await explain(client, heard.decision_id)


def told(record: Record) -> list[tuple[str, str, str | None]]:
    return [(one.deployment, one.reason, one.error_class) for one in record.attempts]


@pytest.mark.parametrize("way", WAYS)
async def test_the_next_model_is_asked(start_daemon: Start, simulator: Simulator, way: Way) -> None:
    heard, record = await asked(start_daemon, simulator, way, "response_format_unavailable")
    answered = heard.answer.deployment
    assert answered.startswith("openai/")
    assert told(record) == [(FIRST, "first", "bad_request"), (answered, "fallback", None)]
    assert [attempt.model for attempt in simulator.account.attempts] == [
        MODEL,
        answered.partition("/")[2],
    ]
    assert record.attempts[0].cost_nanodollars == 0


async def test_its_thinking_is_switched_off_before_anybody_else_is_asked(
    start_daemon: Start, simulator: Simulator
) -> None:
    heard, record = await asked(start_daemon, simulator, "stream", "thinking_tool_choice")
    answered = heard.answer.deployment
    assert told(record) == [
        (FIRST, "first", "bad_request"),
        (FIRST, "repair", "bad_request"),
        (answered, "fallback", None),
    ]
    assert SWITCHED_OFF not in record.attempts[0].notes
    assert SWITCHED_OFF in record.attempts[1].notes
    assert answered.startswith("openai/")
