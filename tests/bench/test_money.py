"""The bench of money runs to its end and says what it was asked to; its numbers are for people."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.money_holds import STEPS, Money
from bench.money_ledger import QUESTIONS, RATES, MonthOfCalls, ask_month, build_month
from bench.money_traffic import full_record, intents_of, month_of_calls

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "money.py"
CALLS = 300


def test_it_prints_its_tables_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder, file = tmp_path / "ledgers", tmp_path / "money.json"
    folder.mkdir()
    command = [sys.executable, str(PROGRAM), "--quick", "--runs=1", f"--calls={CALLS}"]
    command += [f"--folder={folder}", f"--json={file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    for label in ("hold and settle in nine budgets", *(f"spend {name}" for name in QUESTIONS)):
        assert labels.count(label) == 1, done.stdout
    assert f"The month has {CALLS} calls" in done.stdout
    assert list(folder.iterdir()) == []
    data: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    (run,) = data["runs"]
    assert {*STEPS, *(f"with_{rate}" for rate in RATES), "record"} < set(run)
    assert msgspec.convert(data["month"], MonthOfCalls).calls == CALLS
    assert set(data["asked"]) == {*QUESTIONS, "start"}
    assert str(tmp_path) not in file.read_text()


def test_a_month_is_as_large_as_it_says(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "month.db"
    month = build_month(path, CALLS, CALLS // 3, told.append)
    assert (month.calls, month.attempts) == (CALLS, CALLS // 3)
    assert told == ["totals of 300 of 300 calls", "rows of 100 of 100 attempts"]
    assert 0 < month.month_rows <= month.day_rows <= CALLS
    for name in QUESTIONS:
        assert ask_month(path, month, name)["rows"] > 0
    with pytest.raises(ValueError, match="calls of 301"):
        ask_month(path, msgspec.structs.replace(month, calls=CALLS + 1), "--by tenant")


def test_the_load_is_the_same_each_time() -> None:
    assert list(month_of_calls(50)) == list(month_of_calls(50))
    records = [full_record(number, random.Random(2), snapshot=True) for number in (7, 7)]
    assert records[0] == records[1]
    assert [intent.number for intent in intents_of(records[0])] == [1, 2]


@pytest.mark.parametrize("step", ["hold", "key"])
def test_what_is_measured_is_settled_in_every_budget(step: str) -> None:
    money = Money()
    for number in range(20):
        STEPS[step](money, number)
    _, now = money.at(19)
    spent = {row["budget"]: 0 for row in money.budgets.report(now) if row["unit"] == "nanodollars"}
    assert len(spent) == 8
    for row in money.budgets.report(now):
        assert row["held"] == 0
        if row["unit"] == "nanodollars":
            spent[row["budget"]] += row["spent"]
    assert len(set(spent.values())) == 1
    assert all(spent.values())
