"""What nothing bounds before the call: who may ask for it, and what is known of what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routerd.execute.attempt import UNLISTED
from routerd.settings import Budget, PolicySettings
from routerd.telemetry.events import BoundExceeded
from routerd_proto.frames import CallOptions
from tests.daemon.execute.house import ended, failed, house
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Scene, Vendor, answer, cut, failing, usage

PERMITTED = {"research": PolicySettings(teams=["research"], raw_beyond_hold=True)}
OPTIONS = {"search_context_size": "high"}
SEARCH = {"vendor": {"web_search_options": OPTIONS}}
TIER = {"vendor": {"service_tier": "priority"}}
NOTE = "raw.vendor.{} can cost more than was held: nothing bounds this call"
# Ten tokens in, five out, at the price of these vendors.
TOKENS_COST = 20_000
KNOWN = UNLISTED.format("$0.00002")


def served(tier: str | None, put_in: int = 10) -> Scene:
    """Answer in one piece, and say in which tier."""

    async def scene(exchange: Exchange) -> None:
        choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
        told = {} if tier is None else {"service_tier": tier}
        await exchange.plain(200, {"choices": [choice], "usage": usage(put_in, 5)} | told)

    return scene


async def test_only_who_is_permitted_may_ask_for_it(tmp_path: Path) -> None:
    async with (
        Vendor(answer("Hello")) as vendor,
        house(tmp_path, vendor, policies=PERMITTED) as made,
    ):
        _, frames = await made.ask("c1", options=CallOptions(team="sales", raw=SEARCH))
        error = failed(frames, "invalid_request")
        place = "options.raw.vendor.web_search_options"
        assert error.details["place"] == place
        assert error.message == (
            f"{place}: can cost more than was set aside for the call; "
            "policies.default.raw_beyond_hold = true would permit it"
        )
        _, frames = await made.ask("c2", options=CallOptions(team="research", raw=SEARCH))
        last = ended(frames)
        assert last.error is None
        # The call's own cap could not be kept, whoever permits what.
        capped = CallOptions(team="research", raw=SEARCH, max_cost_cents=5)
        _, frames = await made.ask("c3", options=capped)
        assert (
            "max_cost_cents, which could not be kept" in failed(frames, "invalid_request").message
        )
        records = {item.call_id: item for item in await made.records(3)}
    [sent] = vendor.requests
    assert sent["web_search_options"] == OPTIONS
    assert (last.cost_nanodollars, last.cost_basis) == (None, "unknown")
    assert last.notes == [NOTE.format("web_search_options"), KNOWN]
    assert records["c2"].notes == last.notes
    [attempt] = records["c2"].attempts
    assert (attempt.cost_nanodollars, attempt.cost_basis) == (TOKENS_COST, "unknown")
    assert attempt.unlisted_cost
    assert [records[name].attempts for name in ("c1", "c3")] == [[], []]


async def test_what_is_routerds_own_is_refused_all_the_same(tmp_path: Path) -> None:
    everybody = {"default": PolicySettings(raw_beyond_hold=True)}
    async with Vendor() as vendor, house(tmp_path, vendor, policies=everybody) as made:
        _, frames = await made.ask(options=CallOptions(raw={"vendor": {"n": 2}}))
        error = failed(frames, "invalid_request")
        assert error.message == (
            "options.raw.vendor.n: asks for several answers: each is paid, and one is read"
        )
        await made.records(1)
    assert vendor.requests == []


async def test_what_is_known_of_it_counts_in_budgets_and_raises_no_bound(tmp_path: Path) -> None:
    caps = {"all": Budget(window="24h", dollars=1)}
    async with (
        Vendor(served(None, put_in=900_000)) as vendor,
        house(tmp_path, vendor, policies=PERMITTED, budgets=caps) as made,
    ):
        options = CallOptions(team="research", raw=SEARCH)
        await made.ask("c1", options=options)
        [record] = await made.records(1)
        [attempt] = record.attempts
        assert attempt.held_nanodollars is not None
        # What the tool had the model read is billed as any token, far above what was held.
        assert attempt.cost_nanodollars == 900_010_000 > 1000 * attempt.held_nanodollars
        assert not [event for event in made.events if isinstance(event, BoundExceeded)]
        assert made.pipeline.accounts.surcharges == {}
        assert not made.pipeline.accounts.token_rates.told["latin"]
        # And the next one is held by what is left.
        _, frames = await made.ask("c2", options=CallOptions(max_output_tokens=100_000))
        assert failed(frames, "budget_exceeded").details["spent"] == 900_010_000
        await made.records(2)


@pytest.mark.parametrize(
    ("raw", "tier", "is_unknown"),
    [
        (TIER, "priority", True),
        (TIER, None, True),
        (TIER, "default", False),
        ({"vendor": {"service_tier": "flex"}}, "flex", False),
        ({}, "priority", True),  # the account's own setting
        ({}, "default", False),
        ({}, None, False),
    ],
)
async def test_the_tier_that_the_answer_names_is_what_is_paid(
    raw: dict[str, Any], tier: str | None, is_unknown: bool
) -> None:
    async with Vendor(served(tier)) as vendor:
        run = await Run(vendor.target(), raw=raw, stream=False).go()
    [attempt] = run.attempts
    basis = "unknown" if is_unknown else "measured"
    assert (attempt.cost_basis, attempt.cost_nanodollars) == (basis, TOKENS_COST)
    assert (KNOWN in attempt.notes) is is_unknown
    assert (NOTE.format("service_tier") in attempt.notes) is (raw == TIER)
    [intent] = run.journal.intents
    assert intent.unlisted_cost is (raw == TIER)


async def test_a_cut_answer_and_one_without_a_price_are_not_known_either() -> None:
    async with Vendor(cut("Hello")) as vendor:
        run = await Run(vendor.target(), raw=SEARCH).go()
    [attempt] = run.attempts
    assert attempt.cost_basis == "unknown"
    assert attempt.cost_nanodollars == 100 * 1000 + 2 * 2000  # the estimate of its tokens
    async with Vendor(answer("Hello")) as vendor:
        run = await Run(vendor.target(price=None), raw=SEARCH).go()
    [attempt] = run.attempts
    assert (attempt.cost_basis, attempt.cost_nanodollars) == ("unknown", None)
    assert attempt.notes == [NOTE.format("web_search_options")]


async def test_what_was_refused_cost_nothing_and_the_backup_is_bounded() -> None:
    async with (
        Vendor(failing(400), name="vendor") as first,
        Vendor(failing(500), failing(500), name="vendor") as down,
        Vendor(answer("Hello"), name="backup") as backup,
    ):
        refused = await Run(first.target(), raw=SEARCH).go()
        run = await Run(down.target(), backup.target(), raw=SEARCH).go()
    [attempt] = refused.attempts
    assert (attempt.cost_basis, attempt.cost_nanodollars) == ("measured", 0)
    assert not attempt.unlisted_cost
    assert [item.cost_basis for item in run.attempts] == ["measured"] * 3
    assert "web_search_options" not in backup.requests[0]
    assert [note for note in run.attempts[-1].notes if "held" in note] == []
