"""Which copies are started, as what, and how many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from routerd.domain import Call, Plan, Record
from routerd.execute.delivery import Sink
from routerd.execute.recording import begin_record
from routerd.execute.shadows import Copy, Shadows
from routerd.settings import Shadow
from routerd_proto.frames import CallOptions, CallRequested
from tests.daemon.execute.scripted import make_call

SHADOWS = {
    "one": Shadow(target="smart", use="try", percent=100, daily_dollars="1", in_flight=2),
    "two": Shadow(target="smart", use="other", percent=100, daily_dollars="1"),
}
PLAN = Plan("smart", "test", None, (), policy="acme", shadows=("one", "two"))
Task = Callable[[], Awaitable[None]]


class Kept:
    """Takes copies in place of a pipeline, and runs them when told to."""

    def __init__(self) -> None:
        self.served: list[tuple[CallRequested, int | None, Copy]] = []
        self.tasks: list[Task] = []
        self.names: list[str] = []
        self.shadows = Shadows(self._serve, self._spawn)

    async def _serve(
        self, request: CallRequested, _sink: Sink, peer_uid: int | None, copy: Copy
    ) -> None:
        self.served.append((request, peer_uid, copy))
        if request.call_id.startswith("bad"):
            raise ValueError(request.call_id)

    def _spawn(self, function: Callable[..., Awaitable[None]], *args: Any, name: str) -> None:
        self.tasks.append(lambda: function(*args))
        self.names.append(name)

    def copy(self, call: Call, plan: Plan = PLAN, **more: bool) -> Record:
        record = begin_record(call)
        how = {"texts": False, "is_kept_near": False} | more
        self.shadows.copy(call, record, plan, SHADOWS, **how)
        return record

    async def run(self) -> None:
        while self.tasks:
            await self.tasks.pop(0)()


async def test_a_copy_is_a_call_to_what_its_shadow_uses() -> None:
    kept = Kept()
    call = structs.replace(make_call(tenant="acme", user="ann", temperature=0.5), peer_uid=7)
    record = kept.copy(call, texts=True)
    # It begins later, in a task of its own.
    assert kept.served == []
    assert kept.names == ["shadow one", "shadow two"]
    await kept.run()
    first, second = kept.served
    assert [item[0].target for item in (first, second)] == ["try", "other"]
    request, peer_uid, copy = first
    assert (request.call_id, request.messages, request.stream) == ("c1~one", call.messages, True)
    assert request.options == CallOptions(feature="shadow:one", temperature=0.5)
    assert (peer_uid, request.sends) == (7, 0)
    assert copy == Copy("one", record.decision_id, keeps_texts=True, policy="acme")


async def test_of_a_copys_options_no_name_and_no_claim_on_money_is_the_callers() -> None:
    kept = Kept()
    everything = make_call(
        tenant="a",
        team="b",
        agent="c",
        user="d",
        feature="e",
        task="f",
        session="g",
        region="eu",
        latency="batch",
        flags=["x"],
        sensitivity="internal",
        critical=True,
        max_cost_cents=5.0,
    )
    kept.copy(everything)
    await kept.run()
    assert kept.served[0][0].options == CallOptions(
        feature="shadow:one",
        task="f",
        region="eu",
        latency="batch",
        flags=["x"],
        sensitivity="internal",
    )


@pytest.mark.parametrize("sensitivity", [None, "public", "internal", "private"])
async def test_a_copy_of_what_is_kept_near_is_private(sensitivity: Any) -> None:
    kept = Kept()
    kept.copy(make_call(sensitivity=sensitivity), is_kept_near=True)
    kept.copy(make_call(sensitivity=sensitivity))
    await kept.run()
    told = [item[0].options.sensitivity for item in kept.served]
    assert told == ["private"] * 2 + [sensitivity] * 2


async def test_beyond_its_bound_a_copy_is_left_out_and_told_of() -> None:
    kept = Kept()
    records = [kept.copy(make_call()) for _ in range(4)]
    said = "shadow one was left out: 2 copies run"
    assert [record.notes for record in records] == [[], [], [said], [said]]
    assert kept.shadows.report() == {"running": {"one": 2, "two": 4}, "left_out": 2}
    await kept.run()
    assert kept.shadows.report() == {"running": {}, "left_out": 2}
    assert kept.copy(make_call()).notes == []


async def test_a_copy_that_breaks_gives_its_place_back() -> None:
    kept = Kept()
    kept.copy(structs.replace(make_call(), call_id="bad"), structs.replace(PLAN, shadows=("one",)))
    with pytest.raises(ValueError, match="bad~one"):
        await kept.run()
    assert kept.shadows.report()["running"] == {}


async def test_only_what_the_plan_names_is_copied() -> None:
    kept = Kept()
    kept.copy(make_call(), structs.replace(PLAN, shadows=()))
    assert kept.tasks == []
