"""What `routerd status` says of money: the same of a cap as `routerd budgets`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from routerd.cli.money_state import print_money, used_text
from routerd.models.amounts import format_dollars
from tests.daemon.cli.house import house

DOLLAR = 1_000_000_000


def cap(spent: int, held: int, limit: int = 10 * DOLLAR) -> dict[str, Any]:
    return {
        "budget": "acme",
        "scope": "tenant acme",
        "unit": "nanodollars",
        "window": "day",
        "limit": limit,
        "spent": spent,
        "held": held,
        "left": max(0, limit - spent - held),
        "soft": limit * 8 // 10,
        "resets_at": 2_000_000_000.0,
        "holders": [],
        "default": False,
    }


@pytest.mark.parametrize(
    ("spent", "held", "text"),
    [
        (4 * DOLLAR, 2 * DOLLAR, "60 %"),
        (8 * DOLLAR, DOLLAR, "90 %, nearly"),
        (4 * DOLLAR, 6 * DOLLAR, "100 %, used up"),
        (12 * DOLLAR, 0, "120 %, used up"),
    ],
)
async def test_status_and_budgets_say_the_same_of_a_cap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spent: int, held: int, text: str
) -> None:
    row = cap(spent, held)
    cache = {"hits": 0, "shared": 0, "misses": 0}
    print_money({"budgets": [row], "free_tiers": [], "keys": [], "cache": cache})
    told = capsys.readouterr().out.splitlines()
    async with house(tmp_path, capsys, budgets=[row]) as run:
        asked = (await run("budgets"))[1].splitlines()
    for lines in (told, asked):
        heads, cells = (re.split(r"  +", line) for line in lines if line)
        known = dict(zip(heads, cells, strict=True))
        shown = [known[name] for name in ("limit", "spent", "held", "used")]
        assert shown == ["$10.00", format_dollars(spent), format_dollars(held), text]


def test_a_cap_of_nothing_is_used_up() -> None:
    assert used_text(cap(0, 0, 0)) == "-, used up"
