"""Copies of calls that go to a second model: beside the calls, and never in their way."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from time import time
from typing import Any

import pytest
from msgspec import structs

from routerd.decide import book_of, decide_again
from routerd.domain import Boundary, Record
from routerd.execute.recording import caller_of
from routerd.models.directory import Directory
from routerd.models.entries import Entries
from routerd.models.schema import DeploymentEntry, Model, Provider, Shortcut
from routerd.settings import Budget, CachedShortcut, PolicySettings, Shadow
from routerd_proto.frames import CallEnded, CallOptions, TextDelta
from tests.daemon.execute.house import ANSWERED, SECRET, House, ended, house
from tests.daemon.execute.scripted import (
    PRICE,
    Vendor,
    answer,
    failing,
    silent,
    stalling,
    whole,
)

COST = 20_000


def shadow(**more: Any) -> Shadow:
    known: dict[str, Any] = {"target": "smart", "use": "try", "percent": 100.0}
    return Shadow(**known | {"daily_dollars": "1"} | more)


def known(
    first: Boundary = "vendor", second: Boundary = "vendor", limit: Boundary | None = None
) -> Directory:
    """A model that serves and one that is tried, each of a provider of its own."""
    places: dict[str, tuple[str, Boundary]] = {"old": ("vendor", first), "new": ("other", second)}
    return Directory(
        Entries(
            providers={
                host: Provider(
                    id=host, adapter="openai", base_url="http://127.0.0.1/v1", boundary=boundary
                )
                for host, boundary in places.values()
            },
            models={
                name: Model(id=name, vendor="v", model_class="c", pinned="dated", source="test")
                for name in places
            },
            deployments={
                f"{host}/m": DeploymentEntry(
                    id=f"{host}/m", model=name, provider=host, provider_model="m-1", price=PRICE
                )
                for name, (host, _) in places.items()
            },
            classes={},
            shortcuts={
                name: Shortcut(
                    name=name,
                    description="",
                    candidates=(model,),
                    degraded="fail",
                    boundary=boundary,
                )
                for name, model, boundary in (("smart", "old", limit), ("try", "new", None))
            },
        )
    )


def shadowed(
    folder: Path, *vendors: Vendor, directory: Directory | None = None, **more: Any
) -> AbstractAsyncContextManager[House]:
    shadows = more.pop("shadows", {"trial": shadow()})
    return house(folder, *vendors, known=directory or known(), shadows=shadows, **more)


def two(first: Any, second: Any) -> tuple[Vendor, Vendor]:
    return Vendor(*first), Vendor(*second, name="other")


def pair(records: list[Record]) -> tuple[Record, Record]:
    """Return the record of a call and that of its copy."""
    (call,) = [item for item in records if item.shadow_of is None]
    (copy,) = [item for item in records if item.shadow_of is not None]
    assert copy.shadow_of == call.decision_id
    return call, copy


@pytest.mark.parametrize("stream", [True, False])
async def test_a_copy_has_a_record_of_its_own_and_its_answer_goes_nowhere(
    tmp_path: Path, *, stream: bool
) -> None:
    scene = answer if stream else whole
    first, second = two([scene(ANSWERED)], [scene("another answer")])
    names = CallOptions(tenant="acme", user="ann", task="tag", temperature=0.5, session="s")
    async with first, second, shadowed(tmp_path, first, second) as made:
        _, frames = await made.ask(options=names, stream=stream)
        call, copy = pair(await made.records(2))
    texts = [frame.text for frame in frames if isinstance(frame, TextDelta)]
    assert texts == [ANSWERED]
    assert ended(frames).deployment == call.deployment == "vendor/m"
    assert call.plan is not None
    assert call.plan.shadows == ("trial",)
    assert (call.arm, call.notes) == (None, [])
    assert (copy.deployment, copy.target, copy.finish) == ("other/m", "try", "stop")
    assert (copy.arm, copy.feature, copy.task) == ("shadow/trial", "shadow:trial", "tag")
    assert (copy.tenant, copy.user, copy.team, copy.agent) == (None, None, None, None)
    assert copy.cost_nanodollars == COST
    assert copy.features is not None
    assert copy.features.session is None
    # What shapes the answer is the same.
    assert first.requests[0]["messages"] == second.requests[0]["messages"]
    assert second.requests[0]["temperature"] == 0.5


async def test_a_copy_that_hangs_delays_nothing_and_is_cancelled_with_a_record(
    tmp_path: Path,
) -> None:
    first, second = two([answer(ANSWERED), answer(ANSWERED)], [stalling("an"), stalling("an")])
    async with first, second, shadowed(tmp_path, first, second) as made:
        for name in ("c1", "c2"):
            _, frames = await made.ask(name)
            assert ended(frames).error is None
        assert made.pipeline.shadows is not None
        await second.waiting.wait()
        assert made.pipeline.shadows.report() == {"running": {"trial": 2}, "left_out": 0}
    copies = [item for item in made.left if item.shadow_of is not None]
    assert [item.error_code for item in copies] == ["cancelled"] * 2
    assert len(made.left) == 4
    assert made.pipeline.shadows.report()["running"] == {}
    assert all(not row["held"] for row in made.pipeline.accounts.budgets.report(0.0))


async def test_a_copy_that_fails_changes_nothing(tmp_path: Path) -> None:
    first, second = two([answer(ANSWERED)], [failing(400, "bad")])
    async with first, second, shadowed(tmp_path, first, second) as made:
        _, frames = await made.ask()
        call, copy = pair(await made.records(2))
    assert ended(frames).error is None
    assert call.error_code is None
    assert copy.finish == "error"
    assert copy.error_code is not None


async def test_a_copy_takes_no_place_of_a_call(tmp_path: Path) -> None:
    """One call may run at a time; copies run beside it."""
    first, second = two([answer("a"), answer("b")], [silent, silent])
    async with first, second, shadowed(tmp_path, first, second, in_flight=1) as made:
        for name in ("c1", "c2"):
            _, frames = await made.ask(name)
            assert ended(frames).error is None
        await second.waiting.wait()
        assert len(made.pipeline.in_flight) == 0


async def test_a_long_call_id_does_not_matter_to_its_copy(tmp_path: Path) -> None:
    first, second = two([answer("a")], [answer("b")])
    async with first, second, shadowed(tmp_path, first, second) as made:
        await made.ask("c" * 128)
        _, copy = pair(await made.records(2))
    assert copy.error_code is None


async def test_copies_beyond_the_bound_are_left_out_and_said_so(tmp_path: Path) -> None:
    first, second = two([answer("a"), answer("b")], [silent])
    shadows = {"trial": shadow(in_flight=1)}
    async with first, second, shadowed(tmp_path, first, second, shadows=shadows) as made:
        await made.ask("c1")
        await second.waiting.wait()
        _, frames = await made.ask("c2")
        assert ended(frames).error is None
        assert made.pipeline.shadows is not None
        assert made.pipeline.shadows.report() == {"running": {"trial": 1}, "left_out": 1}
    notes = {item.call_id: item.notes for item in made.left if item.shadow_of is None}
    assert notes == {"c1": [], "c2": ["shadow trial was left out: 1 copies run"]}
    assert len(made.left) == 3


async def test_a_shadow_of_what_a_shadow_uses_copies_no_copy(tmp_path: Path) -> None:
    first, second = two([answer("a")], [answer("b")])
    shadows = {"trial": shadow(), "back": shadow(target="try", use="smart")}
    async with first, second, shadowed(tmp_path, first, second, shadows=shadows) as made:
        await made.ask()
        call, copy = pair(await made.records(2))
    assert call.plan is not None
    assert copy.plan is not None
    assert (call.plan.shadows, copy.plan.shadows) == (("trial",), ())


async def test_a_call_sent_again_is_not_copied_again(tmp_path: Path) -> None:
    first, second = two([silent, answer("a")], [silent])
    async with first, second, shadowed(tmp_path, first, second) as made:
        await made.begin("c1")
        await second.waiting.wait()
        await first.waiting.wait()
        app = await made.begin("c1", sends=1)
        assert ended(await app.receive_until(CallEnded)).error is None
    assert len(second.requests) == 1
    assert len(made.left) == 2


async def test_a_kept_answer_is_not_copied(tmp_path: Path) -> None:
    first, second = two([answer("a")], [answer("b")])
    cached = {"smart": CachedShortcut(seconds=60)}
    async with first, second, shadowed(tmp_path, first, second, cached=cached) as made:
        await made.ask("c1")
        await made.records(2)
        await made.ask("c2")
        await made.records(3)
    assert len(second.requests) == 1


async def test_a_copy_is_not_answered_by_what_is_kept(tmp_path: Path) -> None:
    first, second = two([answer("a")], [answer("b"), answer("c")])
    cached = {"try": CachedShortcut(seconds=60)}
    async with first, second, shadowed(tmp_path, first, second, cached=cached) as made:
        await made.ask("c1", target="try")
        await made.records(1)
        await made.ask("c2")
        await made.records(3)
    assert len(second.requests) == 2


# --- money ---------------------------------------------------------------------------------------


async def test_copies_are_paid_from_a_cap_of_their_own(tmp_path: Path) -> None:
    first, second = two([answer("a"), answer("b")], [answer("c")])
    budgets = {"acme": Budget(tenant="acme", window="24h", dollars="1", calls=2)}
    # Room for one copy, and for less than another once that is paid.
    shadows = {"trial": shadow(daily_dollars="0.000826")}
    acme = CallOptions(tenant="acme", max_output_tokens=300)
    both: dict[str, Any] = {"budgets": budgets, "shadows": shadows}
    async with first, second, shadowed(tmp_path, first, second, **both) as made:
        await made.ask("c1", options=acme)
        await made.records(2)
        spent = {
            (row["budget"], row["unit"]): row["spent"]
            for row in made.pipeline.accounts.budgets.report(time())
        }
        assert spent == {
            ("acme", "nanodollars"): COST,
            ("acme", "calls"): 1,
            ("shadow:trial", "nanodollars"): COST,
        }
        # Beyond its cap a copy is refused, and the call is not.
        _, frames = await made.ask("c2", options=acme)
        assert ended(frames).error is None
        records = await made.records(4)
    refused = [item for item in records if item.error_code == "budget_exceeded"]
    assert [item.arm for item in refused] == ["shadow/trial"]
    assert [item.budget for item in refused[0].plan.dropped] == ["shadow:trial"]  # type: ignore[union-attr]


async def test_a_cap_of_the_call_does_not_hold_for_its_copy(tmp_path: Path) -> None:
    first, second = two([answer("a")], [answer("b")])
    async with first, second, shadowed(tmp_path, first, second) as made:
        await made.ask(options=CallOptions(max_cost_cents=90.0, critical=True))
        _, copy = pair(await made.records(2))
    assert copy.features is not None
    assert (copy.features.max_nanodollars, copy.features.critical) == (None, False)


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", ["acme", "beta"])
async def test_texts_of_a_copy_are_kept_where_those_of_its_call_are(
    tmp_path: Path, tenant: str
) -> None:
    first, second = two([answer(ANSWERED)], [answer("the-other-answer")])
    async with first, second, shadowed(tmp_path, first, second, texts_of=["acme"]) as made:
        await made.ask(options=CallOptions(tenant=tenant))
        call, copy = pair(await made.records(2))
        kept = [await made.ledger.texts(item.decision_id) for item in (call, copy)]
    if tenant == "acme":
        assert [SECRET.encode() in texts[0] for texts in kept if texts is not None] == [True, True]
        assert kept[1] is not None
        assert b"the-other-answer" in kept[1][1]
    else:
        assert kept == [None, None]


# --- boundaries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "options", "policy"),
    [
        (known("machine"), CallOptions(sensitivity="private"), {}),
        (known("own-network"), CallOptions(sensitivity="internal"), {}),
        # The name that was asked for keeps its text on this machine, whatever the call says.
        (known("machine", limit="machine"), CallOptions(), {}),
        (known("own-network", limit="own-network"), CallOptions(), {"contracted": ("other",)}),
        # The policy of the call holds for its copy, which has no tenant.
        (
            known(),
            CallOptions(tenant="acme"),
            {"policies": {"acme": PolicySettings(tenants=["acme"], without=["other"])}},
        ),
        (
            known("machine", "own-network"),
            CallOptions(tenant="acme", sensitivity="private"),
            {
                "policies": {
                    "default": PolicySettings(private_reaches=["other"]),
                    "acme": PolicySettings(tenants=["acme"], private_reaches=[]),
                }
            },
        ),
    ],
)
async def test_a_copy_goes_nowhere_its_call_may_not(
    tmp_path: Path, directory: Directory, options: CallOptions, policy: dict[str, Any]
) -> None:
    first, second = two([answer(ANSWERED)], [])
    more = {"directory": directory, "texts_of": ["acme"], **policy}
    if directory.shortcuts["smart"].boundary == "own-network":
        directory = directory.with_provider(
            structs.replace(directory.providers["vendor"], boundary="own-network")
        )
    async with first, second, shadowed(tmp_path, first, second, **more) as made:
        _, frames = await made.ask(options=options)
        call, copy = pair(await made.records(2))
    assert ended(frames).error is None
    assert call.error_code is None
    assert (copy.error_code, copy.attempts, second.requests) == ("no_candidates", [], [])
    assert copy.plan is not None
    assert [item.code for item in copy.plan.dropped] in (["boundary"], ["policy"])


async def test_a_copy_of_a_private_call_stays_on_this_machine_and_is_not_kept(
    tmp_path: Path,
) -> None:
    first, second = two([answer(ANSWERED)], [answer("b")])
    near = known("machine", "machine", limit="machine")
    async with (
        first,
        second,
        shadowed(tmp_path, first, second, directory=near, texts_of=["acme"]) as made,
    ):
        await made.ask(options=CallOptions(tenant="acme"))
        _, copy = pair(await made.records(2))
        assert await made.ledger.texts(copy.decision_id) is None
    assert copy.deployment == "other/m"


# --- explained -----------------------------------------------------------------------------------


async def test_calls_and_copies_are_decided_again_the_same(tmp_path: Path) -> None:
    first, second = two([answer("a")], [answer("b")])
    policies = {"acme": PolicySettings(tenants=["acme"], prefer="price")}
    async with first, second, shadowed(tmp_path, first, second, policies=policies) as made:
        await made.ask(options=CallOptions(tenant="acme"))
        records = await made.records(2)
        for record in records:
            documents = [
                await made.ledger.document(name or "")
                for name in (record.directory_hash, record.policy_hash)
            ]
            assert documents[0] is not None
            assert documents[1] is not None
            again = decide_again(record, caller_of(record), book_of(documents[0], documents[1]))
            assert again.differences == []
            assert again.plan.policy == "acme"
