"""Questions about money, asked of a daemon's commands with a real ledger behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint

from routerd.accept import money_commands
from routerd.domain import Usage
from routerd.ledger import Ledger
from routerd.ledger.corrections import Change
from routerd.ledger.exports import Invoice, InvoiceLine
from routerd_proto.frames import CommandAnswered, CommandRequested
from tests.daemon.accept.app import HELLO, RULES, commands_of, serving
from tests.daemon.ledger.book import bought, milliseconds

CENT = 10_000_000
BUDGETS = [{"budget": "all", "spent": 5}]
TakeChanges = Callable[[Sequence[Change], float], None]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    await made.start()
    acme = {"tenant": "acme", "user": "ann"}
    made.write(bought(1, "2026-10-31T23:59", "openai/gpt-6-luna", CENT, names=acme))
    made.write(bought(2, "2026-11-01", "openai/gpt-6-luna", 3 * CENT, Usage(10**6), names=acme))
    made.write(bought(3, "2026-11-02", "openai/gpt-6-luna", 5 * CENT, cost_basis="estimated"))
    yield made
    await made.close()


def forget(_changes: Sequence[Change], _now: float) -> None:
    """Stand in where there are no counters."""


async def ask(
    folder: Path, ledger: Ledger, name: str, take_changes: TakeChanges = forget, **arguments: Any
) -> Any:
    """Return the body of the answer, or the sentence it was refused with."""
    commands = commands_of(ledger, budgets=lambda: BUDGETS, take_changes=take_changes)
    async with serving(folder, serve_command=commands.serve) as running:
        app = await running.connect()
        app.send(HELLO, CommandRequested(name, arguments))
        answer = (await app.receive_until(CommandAnswered))[-1]
    assert isinstance(answer, CommandAnswered)
    if answer.error is None:
        return answer.body
    assert answer.error.code == "invalid_request"
    return answer.error.message


def invoice(amount: int) -> dict[str, Any]:
    day = date(2026, 11, 2)
    line = InvoiceLine(day=day, model="gpt-6-luna-2026-09-01", nanodollars=amount)
    plain: dict[str, Any] = msgspec.to_builtins(
        Invoice(
            provider="openai",
            lines=[line],
            first_day=day,
            last_day=day,
            has_amounts=True,
            has_counts=False,
        )
    )
    return plain


async def test_budgets_are_what_is_reported(tmp_path: Path, ledger: Ledger) -> None:
    assert await ask(tmp_path, ledger, "budgets") == BUDGETS


async def test_spend_by_names_and_months(tmp_path: Path, ledger: Ledger) -> None:
    answer = await ask(tmp_path, ledger, "spend", by=["month", "tenant"], users=True)
    assert [(row["names"], row["cost_nanodollars"] // CENT) for row in answer["rows"]] == [
        ({"month": "2026-10", "tenant": "acme"}, 1),
        ({"month": "2026-11", "tenant": ""}, 5),
        ({"month": "2026-11", "tenant": "acme"}, 3),
    ]
    assert (answer["total"]["cost_nanodollars"], answer["total"]["users"]) == (9 * CENT, 1)


@pytest.mark.parametrize(
    ("asked", "cents"),
    [
        ({"since": "2026-11"}, 8),
        ({"until": "2026-11"}, 1),
        ({"since": "2026-11-01", "until": "2026-11-02"}, 3),
        ({"filters": {"tenant": ["acme", "beta"]}}, 4),
        ({"filters": {"tenant": [""]}}, 5),
    ],
)
async def test_spend_of_a_part(
    tmp_path: Path, ledger: Ledger, asked: dict[str, Any], cents: int
) -> None:
    answer = await ask(tmp_path, ledger, "spend", **asked)
    assert answer["total"]["cost_nanodollars"] == cents * CENT


@pytest.mark.parametrize("name", ["gpt-6.1-terra", "openai/gpt-6.1-terra"])
async def test_a_baseline_is_a_model_or_a_deployment(
    tmp_path: Path, ledger: Ledger, name: str
) -> None:
    answer = await ask(tmp_path, ledger, "spend", baseline=name)
    price = RULES.directory.deployments["openai/gpt-6.1-terra"].price
    assert price is not None
    assert answer["total"]["baseline_nanodollars"] == price.input


async def test_an_invoice_is_compared_and_corrects(tmp_path: Path, ledger: Ledger) -> None:
    answer = await ask(tmp_path, ledger, "reconcile", invoice=invoice(2 * CENT))
    (row,) = answer["rows"]
    assert (row["model"], row["difference_nanodollars"], row["agrees"]) == (
        "gpt-6-luna",
        -3 * CENT,
        False,
    )
    assert "$0.05 of the ledger's amount are estimated" in row["reasons"]
    assert answer["corrected"] == []
    told: list[Change] = []

    def take(changes: Sequence[Change], _now: float) -> None:
        told.extend(changes)

    answer = await ask(tmp_path, ledger, "reconcile", take, invoice=invoice(2 * CENT), correct=True)
    assert [row["agrees"] for row in answer["rows"]] == [True]
    assert answer["corrected"] == [
        {"day": "2026-11-02", "model": "gpt-6-luna", "requests": 1, "nanodollars": -3 * CENT}
    ]
    spent = await ask(tmp_path, ledger, "spend")
    assert spent["total"]["cost_nanodollars"] == 6 * CENT
    assert told == [
        Change(
            started_ms=milliseconds("2026-11-02"),
            names=(None,) * 5,
            provider="openai",
            model="gpt-6-luna",
            nanodollars=-3 * CENT,
        )
    ]


async def test_nothing_is_corrected_while_sums_are_read_to_count_on_from(
    tmp_path: Path, ledger: Ledger
) -> None:
    answers: list[Any] = []

    async def correct() -> None:
        answers.append(
            await ask(tmp_path, ledger, "reconcile", invoice=invoice(2 * CENT), correct=True)
        )

    async with anyio.create_task_group() as tasks:
        async with ledger.counting:
            tasks.start_soon(correct)
            while ledger.counting.statistics().tasks_waiting == 0:
                await checkpoint()
            spent = await ledger.ask(lambda to: to.execute(CORRECTED).fetchone())
        assert spent == (0,)
    assert answers[0]["corrected"] != []


CORRECTED = "SELECT sum(correction_nanodollars) FROM attempts"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("budgets", {"x": 1}, "unknown field `x`"),
        ("spend", {"by": ["colour"]}, "nothing is kept by 'colour'; known: agent"),
        ("spend", {"by": "model"}, "Expected `array`, got `str` - at `$.by`"),
        ("spend", {"since": "yesterday"}, "'yesterday' is no day: expected one like 2026-11-20"),
        ("spend", {"since": "2026-13"}, "'2026-13' is no day"),
        ("spend", {"since": "2026-11", "until": "2026-11"}, "is not after since"),
        ("spend", {"baseline": "gpt-1"}, "no price is known for 'gpt-1'"),
        ("spend", {"baseline": "mistral-large-4-0"}, "no price is known for 'mistral-large-4-0'"),
        ("reconcile", {}, "Object missing required field `invoice`"),
        ("reconcile", {"invoice": {}}, "Object missing required field `provider`"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    tmp_path: Path, ledger: Ledger, name: str, arguments: dict[str, Any], expected: str
) -> None:
    assert expected in await ask(tmp_path, ledger, name, **arguments)


@pytest.mark.parametrize("name", ["since_ms", "until_ms", "above_nanodollars"])
@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
async def test_a_number_that_no_ledger_holds_is_refused_by_name(
    tmp_path: Path, ledger: Ledger, name: str, number: int
) -> None:
    asked: dict[str, Any] = {name: number}
    answer = await ask(tmp_path, ledger, "calls", limit=1, **asked)
    assert f"at `$.{name}`" in answer


async def test_numbers_at_the_edge_of_what_the_ledger_holds_are_answered(
    tmp_path: Path, ledger: Ledger
) -> None:
    edges: dict[str, Any] = {"since_ms": -(2**63), "until_ms": 2**63 - 1, "above_nanodollars": -1}
    assert len(await ask(tmp_path, ledger, "calls", limit=5, **edges)) == 3


@pytest.mark.parametrize("correct", [False, True])
async def test_an_invoice_beyond_all_numbers_is_refused_and_changes_nothing(
    tmp_path: Path, ledger: Ledger, correct: bool
) -> None:
    asked = invoice(2**64 - 1)
    answer = await ask(tmp_path, ledger, "reconcile", invoice=asked, correct=correct)
    assert answer == "a number in the question is larger than any in the ledger"
    assert (await ask(tmp_path, ledger, "spend"))["total"]["cost_nanodollars"] == 9 * CENT


async def test_an_answer_that_would_not_fit_is_refused(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(money_commands, "MOST_ROWS", 2)
    assert len((await ask(tmp_path, ledger, "spend", by=["month"]))["rows"]) == 2
    answer = await ask(tmp_path, ledger, "spend", by=["day"])
    assert answer.startswith("the answer has 3 rows, more than 2: ask by fewer names")
