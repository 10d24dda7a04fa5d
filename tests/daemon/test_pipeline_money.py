"""What a call meets of money, from the socket to the ledger: caps, kept answers, kept texts."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.ledger import Ledger
from routerd.settings import Budget, CachedShortcut
from routerd_proto.frames import CallEnded, CallOptions, TextDelta, Usage
from tests.daemon.accept.app import App
from tests.daemon.execute.house import ANSWERED, SECRET, ended, failed, house
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
)

COST = 20_000
CACHED = {"smart": CachedShortcut(seconds=60)}


# --- caps --------------------------------------------------------------------------------------


async def test_a_refusal_names_scope_limit_spent_held_and_when_it_resets(tmp_path: Path) -> None:
    caps = {"acme": Budget(tenant="acme", window="24h", calls=1)}
    async with Vendor(answer("a")) as vendor, house(tmp_path, vendor, budgets=caps) as made:
        acme = CallOptions(tenant="acme")
        _, frames = await made.ask("c1", options=acme)
        assert ended(frames).error is None
        _, frames = await made.ask("c2", options=acme)
        error = failed(frames, "budget_exceeded")
        assert error.retryable
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 86_400 + 86_400 / 60
        facts = {name: error.details[name] for name in ("budget", "scope", "unit", "limit")}
        assert facts == {"budget": "acme", "scope": "tenant acme", "unit": "calls", "limit": 1}
        assert (error.details["spent"], error.details["held"]) == (1, 0)
        records = {item.call_id: item for item in await made.records(2)}
    assert records["c2"].attempts == []
    assert (records["c2"].cost_nanodollars, records["c2"].cost_basis) == (0, "measured")
    plan, snapshot = records["c2"].plan, records["c2"].snapshot
    assert plan is not None
    assert [(item.code, item.budget) for item in plan.dropped] == [("budget", "acme")]
    assert snapshot is not None
    assert [(room.spent, room.limit) for room in snapshot.rooms] == [(1, 1)]


@pytest.mark.time_limit(60)
async def test_five_hundred_race_a_cap_and_exactly_what_fits_is_admitted(tmp_path: Path) -> None:
    """Every call can cost the same at most; none ends before all have been decided on."""
    fits, calls = 37, 500
    scenes = [silent] * (fits + 1)
    async with Vendor(*scenes) as vendor:
        async with house(tmp_path, vendor, in_flight=calls) as made:
            await made.begin("probe")
            await until(lambda: len(made.pipeline.accounts.budgets.holds) == 1)
            (probe,) = made.pipeline.accounts.budgets.holds
            bound = probe.nanodollars
            assert bound
            await vendor.waiting.wait()
        cap = str((bound * fits + bound - 1) / 1e9)
        folder = tmp_path / "race"
        await anyio.Path(folder).mkdir()
        budgets = {"race": Budget(dollars=cap), "users": Budget(each="user", calls=calls)}
        async with house(folder, vendor, in_flight=calls, budgets=budgets) as made:
            refused: list[str] = []
            apps: list[App] = []

            async def race(number: int) -> None:
                app = await made.begin(f"c{number}", options=CallOptions(user=f"u{number % 7}"))
                apps.append(app)
                last = ended(await app.receive_until(CallEnded))
                assert last.error is not None
                refused.append(last.error.code)

            async with anyio.create_task_group() as tasks:
                for number in range(calls):
                    tasks.start_soon(race, number)
                await until(lambda: len(refused) == calls - fits)
                holds = made.pipeline.accounts.budgets.holds
                assert len(holds) == fits
                assert sum(hold.nanodollars or 0 for hold in holds) == bound * fits
                await until(lambda: len(vendor.requests) == fits + 1)
                tasks.cancel_scope.cancel()
            for app in apps:
                await app.close()
            await made.running.until_empty()
            assert set(refused) == {"budget_exceeded"}
            assert not made.pipeline.accounts.budgets.holds


# --- identical calls ---------------------------------------------------------------------------


async def test_an_identical_call_is_answered_from_what_is_kept_and_says_so(tmp_path: Path) -> None:
    async with (
        Vendor(answer("Hel", "lo")) as vendor,
        house(tmp_path, vendor, cached=CACHED) as made,
    ):
        _, frames = await made.ask("c1")
        first = ended(frames)
        _, frames = await made.ask("c2")
        second = ended(frames)
        later, earlier = await made.records(2)
    assert [frame for frame in frames if isinstance(frame, TextDelta)] == [TextDelta("Hello")]
    assert (first.cached, second.cached) == (earlier.cached, later.cached) == (False, True)
    assert (second.cost_nanodollars, second.cost_basis) == (0, "measured")
    assert (second.finish, second.model, second.provider) == ("stop", "m", "vendor")
    assert second.usage == Usage()
    assert second.attempts == 0
    assert f"the answer is that of the identical call {first.decision_id}" in second.notes


async def test_never_across_tenants_nor_for_private_calls(tmp_path: Path) -> None:
    scenes = [answer("a"), answer("b")]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, cached=CACHED) as made:
        for tenant in ("acme", "beta"):
            _, frames = await made.ask(tenant, options=CallOptions(tenant=tenant))
            assert not ended(frames).cached
    assert len(vendor.requests) == 2


async def test_of_identical_calls_in_flight_one_is_sent(tmp_path: Path) -> None:
    async with Vendor(answer("Hello")) as vendor, house(tmp_path, vendor, cached=CACHED) as made:
        lasts: list[CallEnded] = []

        async def ask(number: int) -> None:
            _, frames = await made.ask(f"c{number}")
            lasts.append(ended(frames))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ask, number)
    assert len(vendor.requests) == 1
    assert sorted(last.cached for last in lasts) == [False] + [True] * 19
    assert sum(last.cost_nanodollars or 0 for last in lasts) == COST


async def test_if_the_first_hangs_up_the_next_one_asks(tmp_path: Path) -> None:
    async with (
        Vendor(stalling("Hel"), answer("Hello")) as vendor,
        house(tmp_path, vendor, cached=CACHED) as made,
    ):
        first = await made.begin("c1")
        await vendor.waiting.wait()
        second = await made.begin("c2")
        await until(lambda: made.running.server.in_flight == 2)
        await first.close()
        last = ended(await second.receive_until(CallEnded))
    assert (last.error, last.cached) == (None, False)
    assert len(vendor.requests) == 2


async def filtered(exchange: Exchange) -> None:
    """Give a whole answer that is not kept."""
    choice = {"index": 0, "delta": {}, "finish_reason": "content_filter"}
    await exchange.begin_stream()
    await exchange.event({"choices": [choice]})
    await exchange.event(b"[DONE]")
    await exchange.end_stream()


@pytest.mark.parametrize("first", [filtered, failing(400, "unsupported_value")])
async def test_what_is_nobody_elses_answer_lets_all_who_wait_ask_at_once(
    tmp_path: Path, first: Scene
) -> None:
    door = anyio.Event()

    async def behind_the_door(exchange: Exchange) -> None:
        await door.wait()
        await first(exchange)

    scenes = [behind_the_door, silent, silent, silent]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, cached=CACHED) as made:
        apps = [await made.begin(f"c{number}") for number in range(4)]
        await until(lambda: made.running.server.in_flight == 4 and bool(vendor.requests))
        assert len(vendor.requests) == 1
        door.set()
        # None of them is answered, so all of them ask at the same time.
        await until(lambda: len(vendor.requests) == 4)
        for app in apps:
            await app.close()
        await until(lambda: not made.pipeline.accounts.budgets.holds)


async def test_who_waits_for_another_waits_no_longer_than_its_own_time(tmp_path: Path) -> None:
    async with Vendor(silent) as vendor, house(tmp_path, vendor, cached=CACHED) as made:
        await made.begin("c1")
        await vendor.waiting.wait()
        _, frames = await made.ask("c2", options=CallOptions(timeout=0.05))
        assert "identical call" in failed(frames, "deadline_exceeded").message


async def test_a_cut_answer_is_not_kept(tmp_path: Path) -> None:
    scenes = [cut("Hel"), answer("Hello")]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, cached=CACHED) as made:
        _, frames = await made.ask("c1")
        failed(frames, "interrupted")
        _, frames = await made.ask("c2")
        assert not ended(frames).cached


# --- texts -------------------------------------------------------------------------------------


async def texts_of(ledger: Ledger, decision_id: str) -> tuple[str, str] | None:
    found = await ledger.texts(decision_id)
    if found is None:
        return None
    messages, answered = found
    return json.dumps(json.loads(messages)), json.dumps(json.loads(answered))


async def test_prompts_and_answers_are_kept_for_the_tenants_who_want_that(tmp_path: Path) -> None:
    scenes = [answer(ANSWERED), answer(ANSWERED)]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, texts_of=["acme"]) as made:
        for tenant in ("acme", "beta"):
            await made.ask(tenant, options=CallOptions(tenant=tenant))
        beta, acme = await made.records(2)
        found = await texts_of(made.ledger, acme.decision_id)
        assert found is not None
        assert SECRET in found[0]
        assert ANSWERED in found[1]
        assert await texts_of(made.ledger, beta.decision_id) is None


async def test_the_text_of_a_private_call_is_never_kept(tmp_path: Path) -> None:
    async with Vendor() as vendor, house(tmp_path, vendor, texts_of=["acme"]) as made:
        await made.ask(options=CallOptions(tenant="acme", sensitivity="private"))
        record = await made.only_record()
        assert await made.ledger.texts(record.decision_id) is None
    await checkpoint()
