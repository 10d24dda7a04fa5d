"""`routerd spend` and `routerd budgets` as a person and a spreadsheet get them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from routerd.cli.typed import cents, day, moment, month_after
from routerd.domain import Record, Usage
from tests.daemon.cli.house import Run, house
from tests.daemon.ledger.book import bought

DOLLAR = 1_000_000_000
ACME = {"tenant": "acme", "user": "ann"}
RECORDS = [
    bought(1, "2026-10-05", "openai/gpt-6-luna", 1_234_567_890, Usage(1000, 200), names=ACME),
    bought(2, "2026-10-06", "openai/gpt-6.1-sol", 20 * DOLLAR, Usage(1_500_000), names=ACME),
    bought(3, "2026-10-06", "openai/gpt-6.1-sol", DOLLAR, Usage(), cost_basis="estimated"),
    bought(4, "2026-10-07", "openai/gpt-6-luna", None, Usage(), names={"tenant": "=1+1"}),
    bought(5, "2026-11-02", "openai/gpt-6-luna", 5, Usage(0, 0, 0, 0, 7), names={"tenant": "a\n"}),
]
OCTOBER = """\
model        calls  requests  tokens in  tokens out              cost  unknown  estimated  a call
gpt-6.1-sol      2         2  1,500,000           0            $21.00        0      $1.00  $10.50
gpt-6-luna       2         2      1,200           0   more than $1.23        1      $0.00  $0.617
total            4         4  1,501,200           0  more than $22.23        1      $1.00   $5.56
"""


@pytest.fixture
async def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Run]:
    async with house(tmp_path, capsys, RECORDS) as run:
        yield run


async def test_a_table_has_a_line_for_each_and_a_total(run: Run) -> None:
    code, out, err = await run("spend", "--month=2026-10")
    assert (code, err) == (0, "")
    assert out == OCTOBER


async def test_what_there_is_nothing_of_has_no_column(run: Run) -> None:
    code, out, _ = await run("spend", "--since=2026-11", "--by=tenant,day")
    assert code == 0
    assert out.splitlines() == [
        "tenant  day         calls  requests  tokens in  tokens out          cost        a call",
        "'a\\n'   2026-11-02      1         1          0           7  $0.000000005  $0.000000005",
        "total                   1         1          0           7  $0.000000005  $0.000000005",
    ]


async def test_only_the_total(run: Run) -> None:
    _, out, _ = await run("spend", "--by=", "--until=2026-10-06")
    heading, line = out.splitlines()
    assert heading.split()[:2] == ["calls", "requests"]
    assert line.split()[-2:] == ["$1.23", "$1.23"]


async def test_filters_users_and_a_baseline(run: Run) -> None:
    _, out, err = await run(
        "spend",
        "--tenant=acme",
        "--tenant=beta",
        "--month=2026-10",
        "--users",
        "--baseline=gpt-6.1-terra",
    )
    heading, *_, total = out.splitlines()
    assert heading.split()[-5:] == ["users", "a", "user", "baseline", "saved"]
    assert total.split()[-4:] == ["1", "$21.23", "$1.50", "-$19.73"]
    assert err == "note: what the baseline charges more for long calls is left out\n"


async def test_a_month_is_a_whole_one(run: Run) -> None:
    code, _, err = await run("spend", "--month=2026-10", "--until=2026-10-05")
    assert (code, err) == (2, "routerd: --month is a whole month: leave --since and --until out.\n")


async def test_csv_is_exact_and_no_formula(run: Run) -> None:
    _, out, _ = await run("spend", "--by=tenant,model", "--month=2026-10", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["tenant"], row["model"]) for row in rows] == [
        ("acme", "gpt-6.1-sol"),
        ("acme", "gpt-6-luna"),
        ("", "gpt-6.1-sol"),
        ("'=1+1", "gpt-6-luna"),
    ]
    luna = rows[1]
    assert (luna["cost_nanodollars"], luna["cost_dollars"]) == ("1234567890", "1.234567890")
    assert luna["cache_read_tokens"] == "200"
    assert (luna["baseline_nanodollars"], luna["baseline_dollars"]) == ("", "")


async def test_csv_of_nothing_is_its_heading(run: Run) -> None:
    _, out, _ = await run("spend", "--month=2026-01", "--csv")
    assert out.startswith("model,calls,")
    assert out.count("\n") == 1


async def test_json_is_the_whole_answer(run: Run) -> None:
    _, out, _ = await run("spend", "--month=2026-10", "--json")
    answer = json.loads(out)
    assert answer.keys() == {"rows", "total", "notes"}
    assert answer["total"]["cost_nanodollars"] == 22_234_567_890


async def test_without_more_it_is_this_month(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now: Record = bought(1, f"{datetime.now(UTC):%Y-%m-%d}", "openai/gpt-6-luna", DOLLAR)
    old: Record = bought(2, "2020-01-01", "openai/gpt-6-luna", DOLLAR)
    async with house(tmp_path, capsys, [now, old]) as run:
        _, out, _ = await run("spend")
    assert out.splitlines()[-1].split()[:2] == ["total", "1"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--by=colour"], "nothing is kept by 'colour'; known: agent, class, day"),
        (["--baseline=gpt-1"], "no price is known for 'gpt-1'"),
        (["--since=2026-11", "--until=2026-10"], "until 2026-10-01 is not after since 2026-11-01"),
    ],
)
async def test_a_wrong_question_is_explained(run: Run, words: list[str], sentence: str) -> None:
    code, out, err = await run("spend", *words)
    assert (code, out) == (1, "")
    assert sentence in err


def budget(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "budget": "acme",
        "scope": "tenant acme",
        "window": "month",
        "unit": "nanodollars",
        "limit": 100 * DOLLAR,
        "spent": 40 * DOLLAR,
        "held": 2 * DOLLAR,
        "left": 58 * DOLLAR,
        "soft": 80 * DOLLAR,
        "resets_at": time.time() + 3 * 86_400 + 60,
        "holders": [],
        "default": False,
    }
    return row | changes


async def test_budgets_show_limit_spent_held_by_whom_and_until_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holders = [
        {"decision_id": f"{number:032x}", "held": 1, "seconds": 1.0, "deployment": "openai/sol"}
        for number in range(3)
    ]
    rows = [
        budget(holders=holders),
        budget(budget="calls", unit="calls", limit=10, spent=9, held=0, soft=8),
        budget(budget="none", unit="tokens", limit=0, spent=0, held=0, soft=0),
        budget(budget="full", spent=98 * DOLLAR),
    ]
    async with house(tmp_path, capsys, budgets=rows) as run:
        code, out, _ = await run("budgets")
        assert (code, json.loads((await run("budgets", "--json"))[1])) == (0, rows)
    lines = [line.split("  ") for line in out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == [
        *("budget", "scope", "window", "limit", "spent", "held", "by", "used", "resets")
    ]
    held_by = "0000000000000000, 0000000000000000 and 1 more"
    assert cells[1][:8] == [
        *("acme", "tenant acme", "month", "$100.00", "$40.00", "$2.00", held_by, "42 %")
    ]
    assert cells[1][8].endswith(" UTC, in 3 days")
    assert cells[2][3:8] == ["10 calls", "9 calls", "0 calls", "-", "90 %, nearly"]
    assert cells[3][6:8] == ["-", "-, used up"]
    assert cells[4][7] == "100 %, used up"


async def test_without_budgets_it_says_how_to_set_one(run: Run) -> None:
    assert (await run("budgets"))[1].startswith("no budget counts anything: set caps in [budgets.")


def test_what_is_typed() -> None:
    assert day("2026-11").isoformat() == "2026-11-01"
    assert day("2026-11-20").isoformat() == "2026-11-20"
    assert month_after(day("2026-12")).isoformat() == "2027-01-01"
    assert moment("1970-01-02") == 86_400_000
    assert moment("1970-02") == 31 * 86_400_000
    assert moment("1970-01-01T01:00+01:00") == 0
    assert cents("1.5") == 15_000_000
    for read, text in ((day, "2026"), (moment, "x"), (cents, "-1"), (cents, "x")):
        with pytest.raises(ValueError, match=r"."):
            read(text)
