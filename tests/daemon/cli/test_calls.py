"""`routerd calls`: the calls that are asked for, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon.cli.house import house
from tests.daemon.ledger.book import bought

CENT = 10_000_000
NAMES = {
    "tenant": "acme",
    "team": "search",
    "agent": "tagger",
    "user": "ann",
    "feature": "tags",
    "task": "extract",
    "target": "fast",
}
RECORDS = [
    bought(1, "2026-11-18T10:00", "openai/sol", 60 * CENT, names=NAMES),
    bought(2, "2026-11-19T10:00", "anthropic/haiku", 50 * CENT),
    bought(3, "2026-11-20T10:00", "openai/luna", None, names={"error_code": "timeout"}),
]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ([], [3, 2, 1]),
        (["--limit=1"], [3]),
        *(([f"--{name}={value}"], [1]) for name, value in NAMES.items()),
        (["--tenant=beta"], []),
        (["--model=haiku"], [2]),
        (["--provider=openai"], [3, 1]),
        (["--error=any"], [3]),
        (["--error=timeout"], [3]),
        (["--error=bad"], []),
        (["--since=2026-11-19"], [3, 2]),
        (["--until=2026-11-19T10:00"], [1]),
        (["--since=2026-12"], []),
        (["--cost-above=50"], [1]),
        (["--cost-above=49.9"], [2, 1]),
    ],
)
async def test_filters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], numbers: list[int]
) -> None:
    async with house(tmp_path, capsys, RECORDS) as run:
        code, out, _ = await run("calls", "--json", *words)
        found = [record["call_id"] for record in json.loads(out)]
        assert (code, found) == (0, [f"call-{number}" for number in numbers])
        lines = (await run("calls", *words))[1].splitlines()
        assert len(lines) == 1 + len(numbers)


@pytest.mark.parametrize("amount", ["1e18", "-1", "much"])
async def test_an_amount_that_is_none_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], amount: str
) -> None:
    async with house(tmp_path, capsys, RECORDS) as run:
        with pytest.raises(SystemExit, match="2"):
            await run("calls", f"--cost-above={amount}")
    assert "argument --cost-above: invalid cents value" in capsys.readouterr().err
