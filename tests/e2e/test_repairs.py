"""A parameter that a provider refuses by its name: the same model answers without it."""

from __future__ import annotations

import pytest

from routerd.simulate import Simulator, parse_fault
from routerd_client import CallerError
from tests.e2e.asking import SIDES, WAYS, Heard, Way, ask, explain, served_by
from tests.e2e.conftest import Daemon

[SIDE] = [side for side in SIDES if side.vendor == "openai"]
NOTE = "seed was left out: the provider refused it"


async def asked(daemon: Daemon, simulator: Simulator, way: Way, fault: str) -> Heard:
    simulator.script.replace([parse_fault(f"{fault},vendor=openai")])
    async with daemon.client() as client:
        return await ask(client, way, SIDE.target, seed=7)


@pytest.mark.parametrize("way", WAYS)
async def test_a_refused_parameter_is_left_out_once(
    daemon: Daemon, simulator: Simulator, way: Way
) -> None:
    fault = "status:400,code=unsupported_parameter,param=seed,times=1"
    heard = await asked(daemon, simulator, way, fault)
    assert heard.answer.deployment == SIDE.first
    assert (heard.answer.attempts, heard.answer.degraded) == (2, None)
    assert served_by(simulator) == [SIDE.first, SIDE.first]
    async with daemon.client() as client:
        record = await explain(client, heard.decision_id)
    attempts = [(attempt.reason, attempt.error_class) for attempt in record.attempts]
    assert attempts == [("first", "bad_request"), ("repair", None)]
    first, second = record.attempts
    assert NOTE in second.notes
    assert NOTE not in first.notes
    assert first.cost_nanodollars == 0
    assert record.cost_nanodollars == second.cost_nanodollars == heard.answer.cost_nanodollars


async def test_it_is_left_out_once_and_no_more(daemon: Daemon, simulator: Simulator) -> None:
    fault = "status:400,code=unsupported_parameter,param=seed"
    heard = await asked(daemon, simulator, "stream", fault)
    assert (type(heard.failure), heard.failure.code) == (CallerError, "bad_request")
    assert heard.failure.details["param"] == "seed"
    assert served_by(simulator) == [SIDE.first, SIDE.first]


async def test_what_must_hold_is_refused_at_once(daemon: Daemon, simulator: Simulator) -> None:
    fault = "status:400,code=unsupported_parameter,param=messages"
    heard = await asked(daemon, simulator, "stream", fault)
    assert heard.failure.code == "bad_request"
    assert served_by(simulator) == [SIDE.first]
