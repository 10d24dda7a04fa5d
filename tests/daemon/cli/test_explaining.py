"""`routerd explain` as a person and a program get it: what was decided, and what would be."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from msgspec import structs

from routerd.domain import Dropped
from routerd.ledger import Ledger
from tests.daemon.accept.test_decision_commands import keep, rules_of
from tests.daemon.cli.house import Run, house

REQUEST = {"target": "smart", "messages": "hello"}


@pytest.fixture
async def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Run]:
    """Run verbs beside a daemon with three calls: two as they were decided, one altered."""

    def write(ledger: Ledger) -> None:
        rules = rules_of(ledger)
        keep(ledger, rules, 1)
        record = keep(ledger, rules, 2)
        plan = record.plan
        assert plan is not None
        route = structs.replace(plan.routes[0], detail="by\x1b[2J hand")
        altered = structs.replace(plan, routes=(route, *plan.routes[1:]))
        keep(ledger, rules, 3, plan=altered)
        keep(ledger, rules, 4, plan=None, snapshot=None, error_code="invalid_request")
        full = Dropped("p/a", "busy", "1 of its 1 places are taken (max_in_flight)")
        waits = {"queued_us": 1_500_000, "waited_us": 200_000, "reader_us": 100_000}
        keep(ledger, rules, 5, total_us=2_000_000, overhead_us=1_400, skipped=[full], **waits)

    async with house(tmp_path, capsys, prepare=write, decided_by=rules_of) as made:
        yield made


def name(number: int) -> str:
    return f"{number:032x}"


# --- a call that was made ------------------------------------------------------------------------


async def test_a_decision_is_told_and_made_again(run: Run) -> None:
    code, out, err = await run("explain", name(1))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "again      decided again from the record: the same" in lines
    assert "rule       shortcut smart; copied for copy" in lines
    assert any(line.startswith("primary") and "p/a" in line for line in lines)
    assert any(line.startswith("backup") and "q/a" in line for line in lines)


async def test_who_waited_for_a_place_is_told_how_long_and_why(run: Run) -> None:
    _, out, _ = await run("explain", name(5))
    lines = out.splitlines()
    assert "queue      waited 1500.0 ms for a place" in lines
    assert "skipped    p/a: 1 of its 1 places are taken (max_in_flight)" in lines
    assert "pause      waited 200.0 ms before another attempt, or for an identical call" in lines
    assert "reader     waited 100.0 ms until its caller had read" in lines
    # Waiting is not what routerd itself took.
    assert any(
        line.startswith("time") and line.endswith(" of it 1.4 ms in routerd") for line in lines
    )


async def test_json_has_all_of_it(run: Run) -> None:
    code, out, err = await run("explain", "--json", name(1))
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["again"] == {"possible": True, "why": "", "differences": []}
    assert [route["deployment"] for route in record["plan"]["routes"]] == ["p/a", "q/a"]


@pytest.mark.parametrize("words", [[], ["--json"]])
async def test_what_was_altered_is_said_aloud(run: Run, words: list[str]) -> None:
    code, out, err = await run("explain", *words, name(3))
    assert code == 1
    assert err.splitlines() == [
        r"routerd: DECIDED DIFFERENTLY: p/a: detail was 'by\x1b[2J hand', is ''"
    ]
    if not words:
        assert "DECIDED DIFFERENTLY FROM WHAT WAS DONE, in 1 points: see below" in out
        assert "\x1b" not in out


async def test_a_ledger_that_was_altered_by_hand_is_noticed(run: Run, tmp_path: Path) -> None:
    assert (await run("explain", name(2)))[0] == 0

    def alter() -> None:
        with sqlite3.connect(tmp_path / "ledger.db") as database:
            text = database.execute(
                "SELECT record FROM calls WHERE decision_id = ?", (name(2),)
            ).fetchone()[0]
            record = json.loads(text)
            record["features"]["sensitivity"] = "private"
            database.execute(
                "UPDATE calls SET record = ? WHERE decision_id = ?",
                (json.dumps(record), name(2)),
            )
        database.close()

    await anyio.to_thread.run_sync(alter)
    code, _, err = await run("explain", name(2))
    assert code == 1
    assert "routerd: DECIDED DIFFERENTLY: routes were p/a, q/a, are none" in err.splitlines()


async def test_documents_that_are_gone_are_said_to_be(run: Run, tmp_path: Path) -> None:
    def forget() -> None:
        with sqlite3.connect(tmp_path / "ledger.db") as database:
            # As rows from before there were digests.
            database.execute(
                "UPDATE calls SET record = replace(record, ?, ?), digest = NULL", forgotten
            )
            database.execute("UPDATE undigested SET decision_id = ?", ("f" * 32,))
        database.close()

    _, out, _ = await run("explain", "--json", name(1))
    forgotten = (json.loads(out)["policy_hash"], "0" * 64)
    await anyio.to_thread.run_sync(forget)
    code, out, err = await run("explain", name(1))
    assert (code, err) == (0, "")
    assert (
        "again      cannot be decided again: the ledger does not have policy and directory of "
        "then any more"
    ) in out.splitlines()


async def test_a_call_without_a_plan_says_so(run: Run) -> None:
    code, out, err = await run("explain", name(4))
    assert (code, err) == (0, "")
    assert "again      cannot be decided again: no plan was made" in out


async def test_one_of_both_is_asked_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], [name(1), "--dry-run", "request.json"]):
        with pytest.raises(SystemExit) as caught:
            await run("explain", *words)
        assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


# --- a call that is not made ---------------------------------------------------------------------


async def request_file(folder: Path, request: Any) -> str:
    file = anyio.Path(folder / "request.json")
    await file.write_bytes(request if isinstance(request, bytes) else json.dumps(request).encode())
    return str(file)


async def test_a_dry_run_says_who_would_serve(run: Run, tmp_path: Path) -> None:
    code, out, err = await run("explain", "--dry-run", await request_file(tmp_path, REQUEST))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "asked      'smart'; nothing is sent"
    assert "rule       shortcut smart; copied for copy" in lines
    assert [line.split()[0] for line in lines[-2:]] == ["primary", "backup"]
    assert (await run("calls", "--json"))[1].count('"decision_id"') == 5


async def test_a_dry_run_in_json_and_from_standard_input(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {**REQUEST, "options": {"tenant": "acme"}}
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(request).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    code, out, err = await run("explain", "--dry-run", "-", "--json")
    assert (code, err) == (0, "")
    planned = json.loads(out)
    assert planned["plan"]["policy"] == "acme"
    assert [route["deployment"] for route in planned["plan"]["routes"]] == ["q/a"]
    assert planned["refusal"] is None


@pytest.mark.parametrize("words", [[], ["--json"]])
async def test_a_refusal_is_said_and_no_success(run: Run, tmp_path: Path, words: list[str]) -> None:
    request = {**REQUEST, "options": {"sensitivity": "private"}}
    code, out, err = await run(
        "explain", *words, "--dry-run", await request_file(tmp_path, request)
    )
    assert code == 1
    assert err.startswith("routerd: it would be refused: no_candidates: nothing may serve 'smart'")
    assert "boundary" in out


@pytest.mark.parametrize(
    ("request_", "code", "expected"),
    [
        (b"", 2, "is not JSON: "),
        (b"{", 2, "is not JSON: "),
        (b"\xff\xfe", 2, "is not JSON: "),
        ([], 2, "is no request: expected an object with `target` and `messages`."),
        ({"target": "smart"}, 2, "is no request"),
        ({**REQUEST, "stream": True}, 1, "unknown field `stream`"),
        ({**REQUEST, "name": "x", "self": 1}, 1, "unknown field"),
        ({**REQUEST, "options": {"x": 1}}, 1, "unknown field `x`"),
        ({**REQUEST, "messages": []}, 1, "messages: is empty"),
        ({**REQUEST, "target": "smrt"}, 1, "did you mean smart?"),
    ],
)
async def test_a_file_that_is_no_request_is_said_to_be_none(
    run: Run, tmp_path: Path, request_: Any, code: int, expected: str
) -> None:
    ended, out, err = await run("explain", "--dry-run", await request_file(tmp_path, request_))
    assert (ended, out) == (code, "")
    assert err.startswith("routerd: ")
    assert expected in err


async def test_a_file_that_is_not_there_is_said_to_be_missing(run: Run, tmp_path: Path) -> None:
    code, out, err = await run("explain", "--dry-run", str(tmp_path / "none.json"))
    assert (code, out) == (2, "")
    assert err == f"routerd: cannot read {tmp_path}/none.json: No such file or directory.\n"
