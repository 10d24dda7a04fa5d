"""`routerd reconcile`: what is printed of an invoice, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routerd.domain import Usage
from tests.daemon.cli.house import house
from tests.daemon.ledger.book import bought

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"
CLEAN, TWICE = EXPORTS / "openai_costs_clean.json", EXPORTS / "openai_costs_doubled_call.json"
CENT = 10_000_000
SOL, LUNA = "openai/gpt-6.1-sol", "openai/gpt-6-luna"
LATER = bought(4, "2026-11-19T00:00", SOL, 20 * CENT, Usage(80_000, 0, 0, 0, 4_000))
RECORDS = [
    bought(0, "2026-11-01T12:00", SOL, 1),
    bought(1, "2026-11-18T09:00", SOL, 30 * CENT, Usage(100_000, 0, 0, 0, 10_000)),
    bought(2, "2026-11-18T23:59", SOL, 125 * CENT // 10, Usage(50_000, 50_000, 0, 0, 2_000)),
    bought(3, "2026-11-18T12:00", LUNA, 3 * CENT, Usage(200_000, 0, 0, 0, 20_000)),
    LATER,
    bought(5, "2026-11-19T13:00", LUNA, 9 * CENT, cost_basis="estimated"),
]
AGREED = """\
corrected 2026-11-19 gpt-6-luna: 1 requests by -$0.05
openai, 2026-11-18 to 2026-11-19: 4 days and models agree, 0 differ
ledger $0.695, invoice $0.695
"""
DIFFERED = f"""\
day         model        ledger  invoice  difference  share
2026-11-19  gpt-6.1-sol  $0.20   $0.40    $0.20       +50.00%
2026-11-19  gpt-6-luna   $0.09   $0.04    -$0.05      -125.00%

2026-11-19 gpt-6.1-sol: the difference is what call {LATER.decision_id} cost: billed twice?
2026-11-19 gpt-6-luna: $0.09 of the ledger's amount are estimated

openai, 2026-11-18 to 2026-11-19: 2 days and models agree, 2 differ
ledger $0.745, invoice $0.895
"""


async def test_differences_are_named_with_what_may_explain_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(tmp_path, capsys, RECORDS) as run:
        assert await run("reconcile", str(TWICE)) == (1, DIFFERED, "")
        assert (await run("reconcile", str(TWICE), "--tolerance=20"))[0] == 0
        assert (await run("reconcile", str(TWICE), "--until=2026-11-19"))[0] == 0
        assert (await run("reconcile", str(TWICE), "--since=2026-11-19"))[0] == 1
        code, out, _ = await run("reconcile", str(TWICE), "--json", "--provider=mistral")
    answer = json.loads(out)
    assert (code, answer["unread"], answer["notes"]) == (1, [], [])
    assert {row["presence"] for row in answer["rows"]} == {"invoice"}


async def test_what_was_estimated_is_corrected_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(tmp_path, capsys, RECORDS) as run:
        assert await run("reconcile", str(CLEAN), "--correct") == (0, AGREED, "")
        code, out, _ = await run("reconcile", str(CLEAN), "--correct")
        assert (code, out) == (0, AGREED.partition("\n")[2])
        _, out, _ = await run("spend", "--month=2026-11", "--by=model", "--csv")
        assert ",0.040000000," in out


async def test_usage_alone_is_compared_by_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(tmp_path, capsys, RECORDS) as run:
        code, out, _ = await run("reconcile", str(EXPORTS / "openai_usage_clean.json"))
    assert code == 1
    assert "2026-11-19  gpt-6-luna  $0.09   no amounts  no amounts  -" in out
    assert "gpt-6-luna: the invoice counts 100000 input, 60000 output, the ledger 0 input" in out


async def test_a_provider_that_nobody_knows_is_refused_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [*RECORDS, bought(9, "2026-11-18T09:00", "gone/sol", CENT)]
    async with house(tmp_path, capsys, records) as run:
        for words in (["--provider=mine"], ["--provider=mine", "--correct"]):
            code, out, err = await run("reconcile", str(CLEAN), *words)
            assert (code, out) == (1, "")
            assert "there is no provider 'mine'; known: anthropic, bedrock, cohere," in err
        # One that the configuration has no longer, and the ledger has.
        code, out, _ = await run("reconcile", str(CLEAN), "--provider=gone")
    assert (code, "gone, 2026-11-18 to 2026-11-19" in out) == (1, True)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return an export with a row that makes no sense, and of which more is to come."""
    page = json.loads(CLEAN.read_bytes())
    page["data"][1]["results"].append({"amount": {"value": "much"}})
    page["has_more"] = True
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(page))
    return path


async def test_what_is_not_understood_is_said_and_nothing_is_corrected_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Path
) -> None:
    complaint = f"{broken}, bucket 2, result 5: 'much' is no amount"
    async with house(tmp_path, capsys, RECORDS[:-1]) as run:
        code, out, err = await run("reconcile", str(broken), "--tolerance=5")
        assert (code, f"not understood: {complaint}" in out) == (1, True)
        assert err == "note: the export goes on: fetch the next page too (has_more is true)\n"
        code, out, err = await run("reconcile", str(broken), "--correct")
        assert (code, out) == (2, "")
        assert complaint in err


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """Return an export whose second day is two days later, as if a page were missing."""
    page = json.loads(CLEAN.read_bytes())
    page["data"][1]["start_time"] += 2 * 86400
    path = tmp_path / "torn.json"
    path.write_text(json.dumps(page))
    return path


async def test_a_day_that_no_page_mentions_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], torn: Path
) -> None:
    async with house(tmp_path, capsys, RECORDS) as run:
        code, out, _ = await run("reconcile", str(torn), "--tolerance=100", "--correct")
        assert "left out: 2026-11-19, 2026-11-20: the export says nothing of them" in out
        assert (code, "corrected" in out) == (1, False)
        code, out, _ = await run("reconcile", str(torn), "--json")
    assert json.loads(out)["left_out"] == ["2026-11-19", "2026-11-20"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["none.json"], "cannot read none.json: No such file or directory"),
        ([str(Path(__file__))], "it is no export of a provider; known are OpenAI's"),
        (
            [str(CLEAN), str(EXPORTS / "anthropic_costs_clean.json")],
            "these exports make no invoice: they are of several providers",
        ),
    ],
)
async def test_files_that_make_no_invoice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: list[str], sentence: str
) -> None:
    async with house(tmp_path, capsys) as run:
        code, out, err = await run("reconcile", *files)
    assert (code, out) == (2, "")
    assert sentence in err
