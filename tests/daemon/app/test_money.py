"""Budgets and keys at a start: as the ledger left them, whatever became of the process before."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.app.money import open_accounts
from routerd.app.policy import build_book, policy_text
from routerd.app.startup import Startup, prepare
from routerd.domain import Intent
from routerd.errors import SettingsError
from routerd.execute.accounts import Accounts
from routerd.ledger import Ledger
from routerd.ledger.batch import BatchWriter
from routerd.telemetry.events import DefaultBudgetApplied, Event
from tests.daemon.ledger.records import full_record

PROVIDER = """
[discovery]
local_servers = false
[providers.openai]
key_env = "TEST_KEY"
"""
SECRET = "sk-never-shown-anywhere"
HELD = 250_000_000


def startup(folder: Path, more: str = "") -> Startup:
    file = folder / "routerd.toml"
    file.write_text(PROVIDER + more)
    return prepare(file, {"TEST_KEY": SECRET})


async def accounts_of(made: Startup, ledger: Ledger, told: list[Event]) -> Accounts:
    await ledger.start()
    return await open_accounts(made, made.directory, ledger, told.append)


def intent(**changes: Any) -> Intent:
    known: dict[str, Any] = {
        "decision_id": "0" * 31 + "1",
        "number": 1,
        "call_id": "c1",
        "peer_uid": 1000,
        "at_ms": time.time_ns() // 1_000_000,
        "target": "smart",
        "stream": True,
        "deployment": "openai/gpt-6.1-sol",
        "model": "gpt-6.1-sol",
        "provider": "openai",
        "server": "api.openai.com:443",
        "reason": "first",
        "held_nanodollars": HELD,
        "input_tokens": 100,
        "output_tokens": 50,
        "tenant": "acme",
    }
    return Intent(**(known | changes))


def spent(accounts: Accounts) -> dict[tuple[str, str], int]:
    rows = accounts.budgets.report(time.time())
    return {(row["budget"], row["unit"]): row["spent"] for row in rows}


BUDGETS = """
[budgets.all]
dollars = 5
calls = 10
[budgets.acme]
tenant = "acme"
window = "24h"
tokens = 100_000
"""


@pytest.mark.parametrize("refuses", [False, True])
async def test_what_a_crash_left_is_in_the_counters_also_if_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    made = await anyio.to_thread.run_sync(startup, tmp_path, BUDGETS)
    path = tmp_path / "ledger.db"
    before = Ledger(path)
    await before.start()
    assert before.intend(intent())
    # No record follows: it died.
    await before.close()

    def refuse(*_arguments: object) -> None:
        raise sqlite3.OperationalError("disk is full")

    if refuses:
        monkeypatch.setattr(BatchWriter, "write", refuse)
    ledger = Ledger(path)
    accounts = await accounts_of(made, ledger, [])
    assert [record.call_id for record in ledger.recovered] == ["c1"]
    assert bool(await ledger.flush()) is refuses
    assert spent(accounts) == {
        ("all", "nanodollars"): HELD,
        ("all", "calls"): 1,
        ("acme", "tokens"): 150,
    }
    await ledger.close()


async def test_what_was_spent_before_is_in_the_counters(tmp_path: Path) -> None:
    made = await anyio.to_thread.run_sync(startup, tmp_path, BUDGETS)
    ledger = Ledger(tmp_path / "ledger.db")
    record = full_record(1)
    record.received_at_ns = time.time_ns() - 2_000_000_000
    await ledger.start()
    ledger.write(record)
    told: list[Event] = []
    accounts = await open_accounts(made, made.directory, ledger, told.append)
    await ledger.close()
    assert spent(accounts)["all", "nanodollars"] == record.cost_nanodollars


async def test_the_daily_default_is_announced(tmp_path: Path) -> None:
    made = await anyio.to_thread.run_sync(startup, tmp_path)
    told: list[Event] = []
    ledger = Ledger(tmp_path / "ledger.db")
    await accounts_of(made, ledger, told)
    await ledger.close()
    assert [event.daily_cents for event in told if isinstance(event, DefaultBudgetApplied)] == [
        1000
    ]


async def test_a_budget_for_a_model_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    wrong = '[budgets.mine]\nmodel = "gpt-6-lunna"\ndollars = 1\n'
    made = await anyio.to_thread.run_sync(startup, tmp_path, wrong)
    ledger = Ledger(tmp_path / "ledger.db")
    with pytest.raises(SettingsError, match="no known model; near: gpt-6-luna") as caught:
        await accounts_of(made, ledger, [])
    assert caught.value.key == "budgets.mine.model"
    await ledger.close()


@pytest.mark.parametrize(
    ("window", "keep_days", "is_enough"),
    [("month", 30, False), ("month", 33, True), ("90d", 91, False), ("90d", 0, True)],
)
def test_calls_that_a_budget_counts_are_not_forgotten(
    tmp_path: Path, window: str, keep_days: int, is_enough: bool
) -> None:
    more = f'[ledger]\nkeep_days = {keep_days}\n[budgets.mine]\nwindow = "{window}"\ndollars = 1\n'
    if is_enough:
        startup(tmp_path, more)
        return
    with pytest.raises(SettingsError, match=r"budgets\.mine counts what was spent") as caught:
        startup(tmp_path, more)
    assert caught.value.key == "ledger.keep_days"


def test_the_policy_that_is_kept_holds_no_key(tmp_path: Path) -> None:
    made = startup(tmp_path, BUDGETS)
    document = policy_text(build_book(made, made.directory, made.providers).document)
    assert b"acme" in document
    assert SECRET.encode() not in document + made.directory.document()
