"""The sixteen faults of the public Failover Bench for gateways, each from its description.

All of them are rescued where rescue is possible, and no provider is hammered: what passes by itself
is answered by the same model on the second attempt, what does not leads to the backup.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Fault, Pacing, Price, Simulator
from routerd_client import Client
from tests.e2e.asking import WAYS, Heard, Side, Way, ask, explain, until_idle
from tests.e2e.conftest import MOVING, NO_DISCOVERY, PROVIDERS, Daemon
from tests.e2e.money import budget_rows, spent_in_ledger
from tests.e2e.scene import Ended, Scene, text_of

SIDE: Final = Side("gpt-6.1-sol", "openai/gpt-6.1-sol", "anthropic/claude-opus-5-5")
# The backup of this one has the larger window.
SMALL: Final = Side("claude-opus-5-5", "anthropic/claude-opus-5-5", "openai/gpt-5.5-2026-04-23")
TOKENS: Final = 60
WHOLE: Final[tuple[Way, ...]] = ("acomplete", "complete")
SETTINGS: Final = """\
[timeouts]
headers = 0.4
first_content = 0.4
between_parts = 0.4
whole_answer = 0.4

[health]
retest_seconds = 0.5

[budgets.all]
window = "30d"
dollars = 100
calls = 100_000
tokens = 1_000_000_000
"""
FLAPS: Final = 6
# Six seconds in all, or the minute that CI asks for.
FLAP_SECONDS: Final = float(os.environ.get("ROUTERD_FLAP_SECONDS", "1"))
CALLS_PER_SECOND: Final = 20


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    async with Simulator(prices=prices, pacing=Pacing(output_tokens=TOKENS)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
async def daemon(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Daemon]:
    folder = tmp_path_factory.mktemp("bench")
    configuration = folder / "routerd.toml"
    text = NO_DISCOVERY + MOVING + PROVIDERS.format(url=simulator.base_url) + SETTINGS

    def run() -> Daemon:
        configuration.write_text(text, encoding="utf-8")
        return Daemon(folder, f"--config={configuration}", environ={}).wait_until_ready()

    daemon = await anyio.to_thread.run_sync(run)
    yield daemon
    await anyio.to_thread.run_sync(daemon.end)


@pytest.fixture
def scene(daemon: Daemon, simulator: Simulator) -> Scene:
    return Scene(daemon, simulator)


def check_rescued(ended: Ended, by: str, *failed: str, side: Side = SIDE) -> None:
    """Check for a whole answer after these failures of the first model."""
    ended.check_tried([*((side.first, kind) for kind in failed), (by, None)])
    ended.check_spacing()
    ended.check_answered(by, side)


async def rescued_by_backup(scene: Scene, fault: str, *failed: str) -> None:
    """Check each way to ask for the backup's answer while a fault of the first model lasts."""
    for way in WAYS:
        ended = await scene.ask(way, SIDE, [f"{fault},vendor={SIDE.vendor}"])
        check_rescued(ended, SIDE.backup, *failed)


async def rescued_at_the_same(scene: Scene, fault: str, failed: str) -> None:
    """Check each way to ask for the first model's answer after a fault that strikes once."""
    for way in WAYS:
        ended = await scene.ask(way, SIDE, [f"{fault},times=1,vendor={SIDE.vendor}"])
        check_rescued(ended, SIDE.first, failed)


async def cut_or_rescued(scene: Scene, fault: str, tokens: int, *failed: str) -> None:
    """Check a fault that strikes after so many tokens of the first model's answers.

    A stream ends with what arrived and a typed error; one that may be restarted and every whole
    answer are rescued.
    """
    script = [f"{fault}:{tokens},vendor={SIDE.vendor}"]
    ended = await scene.ask("stream", SIDE, script)
    ended.check_tried([(SIDE.first, failed[0])])
    ended.check_failed("interrupted", "provider", retryable=True)
    reply = ended.heard.failure.reply
    assert reply is not None
    assert reply.text == ended.heard.text == text_of(SIDE.first, TOKENS, first=tokens)
    ended = await scene.ask("stream", SIDE, script, {"restart": True})
    check_rescued(ended, SIDE.backup, failed[0])
    assert ended.heard.voided == [text_of(SIDE.first, TOKENS, first=tokens)]
    for way in WHOLE:
        check_rescued(await scene.ask(way, SIDE, script), SIDE.backup, *failed)


async def test_429_with_retry_after_2_once(scene: Scene) -> None:
    """The same model answers on the second attempt, two seconds later and no sooner."""
    await rescued_at_the_same(scene, "status:429,retry_after=2", "rate_limit")


async def test_429_for_ever_without_retry_after(scene: Scene) -> None:
    """The backup answers at once: nobody knows when the first one would."""
    await rescued_by_backup(scene, "status:429", "rate_limit")


async def test_one_500(scene: Scene) -> None:
    """The same model answers on the second attempt."""
    await rescued_at_the_same(scene, "status:500", "server_error")


async def test_503_for_ever(scene: Scene) -> None:
    """The backup answers after two attempts, and no third one is made."""
    await rescued_by_backup(scene, "status:503", "overloaded", "overloaded")


async def test_a_reset_before_the_headers(scene: Scene) -> None:
    """The same model answers on the second attempt."""
    await rescued_at_the_same(scene, "reset", "connection")


async def test_no_answer_at_all(scene: Scene) -> None:
    """The backup answers, and who is silent is not asked twice."""
    await rescued_by_backup(scene, "silence", "timeout")
    assert {attempt.outcome for attempt in scene.simulator.account.attempts[-6::2]} == {"aborted"}


async def test_the_first_token_after_20_seconds(scene: Scene) -> None:
    """The backup answers before anything of the slow one reached the caller."""
    await rescued_by_backup(scene, "slow_first_token:20", "timeout")


async def test_a_cut_after_40_of_60_tokens(scene: Scene) -> None:
    """A stream ends with an error and forty tokens; whole answers and restarts come whole."""
    await cut_or_rescued(scene, "cut", 40, "connection")


async def test_a_stall_after_20_tokens(scene: Scene) -> None:
    """A stream ends with an error and twenty tokens; whole answers and restarts come whole."""
    await cut_or_rescued(scene, "stall", 20, "timeout")


async def test_one_malformed_event(scene: Scene) -> None:
    """A stream skips and counts it; a whole answer that cannot be read comes from the backup."""
    script = [f"malformed:20,vendor={SIDE.vendor}"]
    ended = await scene.ask("stream", SIDE, script)
    check_rescued(ended, SIDE.first)
    assert ended.attempts[0].malformed_events == 1
    for way in WHOLE:
        check_rescued(await scene.ask(way, SIDE, script), SIDE.backup, "bad_answer")


async def test_a_missing_end_marker(scene: Scene) -> None:
    """An answer with its reason to end is whole without the mark; one without either is not."""
    for way in WAYS:
        ended = await scene.ask(way, SIDE, ["missing_mark"])
        check_rescued(ended, SIDE.first)
    await cut_or_rescued(scene, "missing_end", TOKENS, "bad_answer")


async def test_a_context_length_exceeded(scene: Scene) -> None:
    """A model with a larger window answers; where there is none the caller is told, at once."""
    fault = "status:400,code=context_length_exceeded"
    for way in WAYS:
        ended = await scene.ask(way, SMALL, [f"{fault},vendor={SMALL.vendor}"])
        check_rescued(ended, SMALL.backup, "context_length", side=SMALL)
        ended = await scene.ask(way, SIDE, [fault])
        ended.check_tried([(SIDE.first, "context_length")])
        ended.check_failed("context_length", "caller", retryable=False)


async def test_a_refusal_by_a_content_filter(scene: Scene) -> None:
    """The provider's reason reaches the caller, and no other model is asked."""
    for way in WAYS:
        ended = await scene.ask(way, SIDE, ["status:400,code=content_policy_violation"])
        ended.check_tried([(SIDE.first, "content_policy")])
        ended.check_failed("content_policy", "caller", retryable=False)
        assert "safety system" in ended.heard.failure.message
        assert ended.record.cost_nanodollars == 0


async def test_a_fallback_that_refuses_prefill(scene: Scene) -> None:
    """The backup is never told to go on with half an answer: it begins a new one."""
    refuses = "status:400,code=prefill_refused,prefilled=true"
    script = [f"cut:40,vendor={SIDE.vendor}", refuses]
    ended = await scene.ask("stream", SIDE, script, {"restart": True})
    check_rescued(ended, SIDE.backup, "connection")
    for way in WHOLE:
        ended = await scene.ask(way, SIDE, script)
        check_rescued(ended, SIDE.backup, "connection")
        assert ended.seen[-1].fault is None


@pytest.mark.alone
@pytest.mark.time_limit(FLAPS * FLAP_SECONDS + 30)
async def test_a_primary_that_flaps_under_steady_traffic(scene: Scene) -> None:
    """No call fails, the primary is not hammered while it is down, and serves again when well."""
    daemon, simulator = scene.daemon, scene.simulator
    heard: list[Heard] = []
    before = len(simulator.account.attempts)
    async with daemon.client() as client:
        for provider in ("anthropic", "openai"):
            await client.acommand("reset", name=provider)

        async def once(way: Way) -> None:
            heard.append(await ask(client, way, SIDE.target))

        async with anyio.create_task_group() as tasks:
            for number in range(int(FLAPS * FLAP_SECONDS * CALLS_PER_SECOND)):
                is_down = int(number / CALLS_PER_SECOND / FLAP_SECONDS) % 2
                down = Fault(kind="status", status=500, vendor=SIDE.vendor, scope="all")
                if bool(simulator.script.faults) != bool(is_down):
                    simulator.script.replace([down] if is_down else [])
                tasks.start_soon(once, ("stream", "acomplete")[number % 2])
                await anyio.sleep(1 / CALLS_PER_SECOND)
        simulator.script.replace([])
        await until_first_serves(client)
        records = [await explain(client, one.decision_id) for one in heard]
    for one in heard:
        assert one.answer.finish == "stop", one
        assert one.text in {text_of(SIDE.first, TOKENS), text_of(SIDE.backup, TOKENS)}
    for record in records:
        asked = Counter(attempt.deployment for attempt in record.attempts)
        assert asked[SIDE.first] <= 2
        assert asked[SIDE.backup] <= 1
    refused = [one for one in simulator.account.attempts[before:] if one.outcome == "refused"]
    served = Counter(one.reply.deployment for one in heard if one.reply is not None)
    # Three failures in a row, what was under way then, and a trial now and then.
    assert len(refused) <= 5 * FLAPS
    assert served[SIDE.first]
    assert served[SIDE.backup]


async def until_first_serves(client: Client) -> None:
    """Ask until the first model answers again: it must, now that it is well."""
    while True:
        reply = await client.acomplete(SIDE.target, "Are you back?")
        if reply.deployment == SIDE.first:
            return
        await anyio.sleep(0.1)


async def test_the_accounts_of_a_call_that_failed_over(scene: Scene) -> None:
    """Both attempts are paid for as they are billed, nothing stays held, all books agree."""
    script = [f"cut:40,vendor={SIDE.vendor}"]
    for way in WAYS:
        ended = await scene.ask(way, SIDE, script, {"restart": way == "stream"})
        attempts, record = ended.attempts, ended.record
        costs = [attempt.cost_nanodollars or 0 for attempt in attempts]
        billed = [seen.billed_nanodollars or 0 for seen in ended.seen]
        # What was cut never said what it used: it is estimated, and not for nothing.
        assert [attempt.cost_basis for attempt in attempts[:-1]] == ["estimated"] * (len(costs) - 1)
        assert all(costs)
        assert costs[-1] == billed[-1]
        assert record.cost_nanodollars == ended.heard.answer.cost_nanodollars == sum(costs)
    async with scene.daemon.client() as client:
        await until_idle(client)
        rows = await budget_rows(client, "all")
    assert [(row["held"], row["holders"]) for row in rows] == [(0, [])] * 3
    spent = {row["unit"]: row["spent"] for row in rows}
    assert spent["nanodollars"] == await spent_in_ledger(scene.daemon.ledger)
