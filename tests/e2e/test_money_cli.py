"""The verbs about money as people and programs use them: what they print, where, and the exit code.

The ledger here was filled by an earlier daemon, with calls at vendors that bill. One of them died
with its daemon and stands at what it held.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from routerd.domain import Record, Usage
from routerd.ledger import Ledger
from tests.daemon.ledger.book import bought
from tests.e2e.conftest import Daemon
from tests.e2e.processes import routerd

Ended = subprocess.CompletedProcess[str]

TODAY: Final = datetime.now(UTC).date()
YESTERDAY: Final = (TODAY - timedelta(days=1)).isoformat()
LAST_WEEK: Final = (TODAY - timedelta(days=7)).isoformat()
SINCE: Final = f"--since={LAST_WEEK}"
DOLLAR: Final = 1_000_000_000
USAGE: Final = Usage(input_tokens=1_000_000, output_tokens=200_000)
BUDGETS: Final = """\
[budgets.acme]
tenant = "acme"
window = "30d"
dollars = 20
[budgets.everybody]
each = "tenant"
window = "31d"
calls = 100
"""


def the_records() -> list[Record]:
    """Return the calls of an earlier daemon."""
    luna, opus = "openai/gpt-6-luna", "anthropic/claude-opus-5-5"
    acme = {"tenant": "acme", "user": "ann", "feature": "search"}
    globex = {"tenant": "globex", "user": "bob", "task": "tagging"}
    died = {"cost_basis": "estimated", "error_class": "connection_lost"}
    return [
        bought(1, f"{LAST_WEEK}T12:00", luna, DOLLAR // 4, USAGE, names=acme),
        bought(2, f"{YESTERDAY}T01:00", luna, DOLLAR // 5, USAGE, names=acme),
        bought(
            3,
            f"{YESTERDAY}T02:00",
            luna,
            4 * DOLLAR,
            USAGE,
            names=acme | {"error_code": "connection_lost", "finish": "error"},
            **died,
        ),
        bought(4, f"{YESTERDAY}T03:00", opus, 8 * DOLLAR, USAGE, names=globex),
    ]


def write_ledger(path: Path) -> None:
    async def write() -> None:
        ledger = Ledger(path)
        await ledger.start()
        for record in the_records():
            ledger.write(record)
        await ledger.close()

    anyio.run(write)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("money")
    write_ledger(folder / "ledger.db")
    (folder / "routerd.toml").write_text(BUDGETS)
    arguments = ("--simulated", f"--config={folder}/routerd.toml")
    daemon = Daemon(folder, *arguments, environ={})
    yield daemon.wait_until_ready()
    daemon.kill()


def told(daemon: Daemon, *arguments: str) -> Ended:
    """Run a verb against the daemon, found through the environment."""
    return routerd(*arguments, home=daemon.folder, environ={"ROUTERD_SOCKET": str(daemon.socket)})


def told_json(daemon: Daemon, *arguments: str) -> Any:
    ended = told(daemon, *arguments, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


# --- spend -------------------------------------------------------------------------------------


def test_spend_by_tenant_is_a_table_with_a_total(daemon: Daemon) -> None:
    ended = told(daemon, "spend", "--by=tenant", SINCE)
    assert (ended.returncode, ended.stderr) == (0, "")
    heading, *lines = [line.split() for line in ended.stdout.splitlines()]
    assert heading[:3] == ["tenant", "calls", "requests"]
    # The dearest first, to the cent; of a sum it is told what is estimated.
    assert [line[0] for line in lines] == ["globex", "acme", "total"]
    assert [line[1] for line in lines] == ["1", "3", "4"]
    assert ["$8.00" in line for line in lines] == [True, False, False]
    assert {"$4.45", "$4.00"} <= set(lines[1])
    assert {"$12.45", "$4.00"} <= set(lines[2])


def test_spend_is_exact_where_a_program_reads_it(daemon: Daemon) -> None:
    answer = told_json(daemon, "spend", "--by=user,model", SINCE, "--users")
    costs = {tuple(row["names"].values()): row["cost_nanodollars"] for row in answer["rows"]}
    assert costs == {("ann", "gpt-6-luna"): 4_450_000_000, ("bob", "claude-opus-5-5"): 8 * DOLLAR}
    assert (answer["total"]["calls"], answer["total"]["users"]) == (4, 2)
    assert answer["total"]["input_tokens"] == 4_000_000
    ended = told(daemon, "spend", "--by=tenant", SINCE, "--csv")
    rows = {row["tenant"]: row for row in csv.DictReader(io.StringIO(ended.stdout))}
    assert rows["acme"]["cost_nanodollars"] == "4450000000"
    assert rows["acme"]["cost_dollars"] == "4.450000000"
    assert rows["acme"]["estimated_nanodollars"] == "4000000000"


def test_spend_is_filtered_and_cut_by_days(daemon: Daemon) -> None:
    only = told_json(daemon, "spend", "--by=day", "--tenant=acme", SINCE)
    assert {row["names"]["day"]: row["cost_nanodollars"] for row in only["rows"]} == {
        LAST_WEEK: DOLLAR // 4,
        YESTERDAY: DOLLAR // 5 + 4 * DOLLAR,
    }
    until = told_json(daemon, "spend", "--by=", SINCE, f"--until={YESTERDAY}")
    assert until["total"]["cost_nanodollars"] == DOLLAR // 4
    none = told_json(daemon, "spend", "--tenant=nobody", SINCE)
    assert (none["rows"], none["total"]["calls"]) == ([], 0)


def test_spend_compares_with_one_model_for_everything(daemon: Daemon) -> None:
    ended = told(daemon, "spend", "--by=tenant", SINCE, "--baseline=claude-opus-5-5")
    assert ended.returncode == 0
    assert "baseline" in ended.stdout
    answer = told_json(daemon, "spend", SINCE, "--tenant=globex", "--baseline=claude-opus-5-5")
    # A million tokens in at $4 and a fifth of one out at $20.
    assert answer["total"]["baseline_nanodollars"] == 8 * DOLLAR
    assert answer["total"]["saved_nanodollars"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--by=colour"], 1, "nothing is kept by 'colour'; known: agent, class, day"),
        (["--baseline=gpt-0"], 1, "no price is known for 'gpt-0': see `routerd models`"),
        (["--since=2026-13"], 2, "invalid day value: '2026-13'"),
        (["--since=2026-11-02", "--until=2026-11-01"], 1, "is not after"),
    ],
)
def test_spend_says_what_was_wrong(
    daemon: Daemon, arguments: list[str], code: int, sentence: str
) -> None:
    ended = told(daemon, "spend", *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_simulated_is_nobodys_spend(daemon: Daemon) -> None:
    with daemon.client() as client:
        reply = client.complete("fast", "Hello", tenant="rehearsal", max_output_tokens=8)
    asked = ("spend", "--by=tenant", "--tenant=rehearsal", SINCE)
    assert told_json(daemon, *asked)["rows"] == []
    [row] = told_json(daemon, *asked, "--simulated")["rows"]
    assert row["cost_nanodollars"] == reply.cost_nanodollars


# --- budgets -----------------------------------------------------------------------------------


def test_budgets_begin_with_what_the_ledger_knows(daemon: Daemon) -> None:
    rows = {(row["budget"], row["scope"]): row for row in told_json(daemon, "budgets")}
    acme = rows["acme", "tenant acme"]
    assert (acme["unit"], acme["limit"]) == ("nanodollars", 20 * DOLLAR)
    assert (acme["spent"], acme["held"], acme["left"]) == (4_450_000_000, 0, 15_550_000_000)
    assert (acme["holders"], acme["window"], acme["default"]) == ([], "30d", False)
    assert acme["resets_at"] > datetime.now(UTC).timestamp()
    assert rows["everybody", "tenant acme"]["spent"] == 3
    assert rows["everybody", "tenant globex"]["spent"] == 1
    shown = told(daemon, "budgets").stdout.splitlines()
    assert shown[0].split() == [
        "budget",
        "scope",
        "window",
        "limit",
        "spent",
        "held",
        "by",
        "used",
        "resets",
    ]
    assert re.match(r"acme +tenant acme +30d +\$20\.00 +\$4\.45 +\$0\.00 +- +22 % ", shown[1])


def test_budgets_show_who_holds_what(daemon: Daemon) -> None:
    with daemon.client() as client, client.stream("smart", "Hello", tenant="hooli") as stream:
        next(stream)
        rows = client.command("budgets")
        [row] = [row for row in rows if row["scope"] == "tenant hooli"]
        assert (row["spent"], row["held"], row["left"]) == (0, 1, 99)
        [holder] = row["holders"]
        assert (holder["decision_id"], holder["held"]) == (stream.decision_id, 1)
        assert holder["deployment"] == "anthropic/claude-opus-5-5"
    # It takes longer to start a program than to answer a call: some are running all the time.
    asked: list[str] = []
    is_told = threading.Event()

    def keep_asking() -> None:
        with daemon.client() as client:
            while not is_told.is_set():
                with client.stream("smart", "Hello", tenant="hooli") as stream:
                    next(stream)
                    asked.append(stream.decision_id[:16])
                    for _ in stream:
                        pass

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(keep_asking) for _ in range(4)]
        try:
            shown = told(daemon, "budgets").stdout
        finally:
            is_told.set()
        for one in running:
            one.result()
    assert any(decision in shown for decision in asked)


# --- calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (["--tenant=acme"], [3, 2, 1]),
        (["--tenant=acme", "--error=any"], [3]),
        (["--error=connection_lost"], [3]),
        (["--user=bob"], [4]),
        (["--task=tagging"], [4]),
        (["--feature=search", f"--until={YESTERDAY}"], [1]),
        (["--provider=openai", f"--since={YESTERDAY}T01:30"], [3]),
        (["--model=claude-opus-5-5", "--target=smart", "--user=bob"], [4]),
        (["--cost-above=400", "--user=bob"], [4]),
        (["--cost-above=800", "--user=bob"], []),
        (["--cost-above=20", "--tenant=acme", "--limit=2"], [3, 1]),
        (["--tenant=nobody"], []),
    ],
)
def test_calls_are_filtered(daemon: Daemon, filters: list[str], numbers: list[int]) -> None:
    records = {f"call-{number}": number for number in range(1, 5)}
    listed = told_json(daemon, "calls", *filters)
    assert [records[record["call_id"]] for record in listed] == numbers


# --- reconcile ---------------------------------------------------------------------------------


def costs_of_openai(day: str, *items: tuple[str, float]) -> str:
    """Return an answer of OpenAI's costs endpoint for one day."""
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    results = [
        {
            "object": "organization.costs.result",
            "amount": {"value": dollars, "currency": "usd"},
            "line_item": item,
        }
        for item, dollars in items
    ]
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400}
    return json.dumps(
        {"object": "page", "data": [bucket | {"results": results}], "has_more": False}
    )


@pytest.fixture
def own_daemon(tmp_path: Path, launch: Callable[..., Daemon]) -> Daemon:
    """Run a daemon whose ledger the test may change."""
    write_ledger(tmp_path / "ledger.db")
    (tmp_path / "routerd.toml").write_text(BUDGETS)
    return launch("--simulated", f"--config={tmp_path}/routerd.toml").wait_until_ready()


def test_what_a_killed_daemon_held_becomes_what_was_billed(
    own_daemon: Daemon, launch: Callable[..., Daemon], tmp_path: Path
) -> None:
    export = tmp_path / "costs.json"
    # The call that died was billed fifty cents, not the four dollars that it held.
    export.write_text(
        costs_of_openai(
            YESTERDAY, ("gpt-6-luna-2026-10-01, input", 0.4), ("gpt-6-luna-2026-10-01, output", 0.3)
        )
    )
    compared = told(own_daemon, "reconcile", str(export))
    assert compared.returncode == 1
    assert re.search(rf"^{YESTERDAY} +gpt-6-luna +\$4\.20 +\$0\.70 ", compared.stdout, re.MULTILINE)
    assert "estimated" in compared.stdout
    assert "0 days and models agree, 1 differ" in compared.stdout

    corrected = told(own_daemon, "reconcile", str(export), "--correct")
    assert (corrected.returncode, corrected.stderr) == (0, "")
    assert f"corrected {YESTERDAY} gpt-6-luna: 1 requests by -$3.50" in corrected.stdout
    asked = ("spend", "--by=tenant", "--tenant=acme", SINCE)
    [row] = told_json(own_daemon, *asked)["rows"]
    assert row["cost_nanodollars"] == DOLLAR // 4 + 7 * DOLLAR // 10
    again = told_json(own_daemon, "reconcile", str(export), "--correct")
    assert again["corrected"] == []
    assert [row["difference_nanodollars"] for row in again["rows"]] == [0]

    # Budgets count by what was billed from now on, and the next daemon does.
    [budget] = [row for row in told_json(own_daemon, "budgets") if row["budget"] == "acme"]
    assert budget["spent"] == row["cost_nanodollars"]
    assert own_daemon.stop() == 0
    successor = launch("--simulated", f"--config={tmp_path}/routerd.toml").wait_until_ready()
    [budget] = [row for row in told_json(successor, "budgets") if row["budget"] == "acme"]
    assert budget["spent"] == row["cost_nanodollars"]


def test_reconcile_finds_what_only_one_side_has(own_daemon: Daemon, tmp_path: Path) -> None:
    export = tmp_path / "costs.json"
    export.write_text(costs_of_openai(YESTERDAY, ("gpt-6.1-sol, input", 1.0)))
    report = told(own_daemon, "reconcile", str(export), "--json")
    assert report.returncode == 1
    rows = {row["model"]: row for row in json.loads(report.stdout)["rows"]}
    assert rows["gpt-6-luna"]["presence"] == "ledger"
    assert rows["gpt-6.1-sol"]["presence"] == "invoice"
    assert all(row["reasons"] for row in rows.values())


@pytest.mark.parametrize(
    ("text", "sentence"), [("{}", "cannot read"), ("hello", "cannot read"), (None, "No such file")]
)
def test_reconcile_refuses_what_is_no_export(
    daemon: Daemon, tmp_path: Path, text: str | None, sentence: str
) -> None:
    export = tmp_path / "export.json"
    if text is not None:
        export.write_text(text)
    ended = told(daemon, "reconcile", str(export))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


# --- prices ------------------------------------------------------------------------------------


def test_imported_prices_are_what_calls_cost(tmp_path: Path, launch: Callable[..., Daemon]) -> None:
    published = tmp_path / "model_prices_and_context_window.json"
    entry = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 3e-07,
        "output_cost_per_token": 1.5e-06,
    }
    published.write_text(json.dumps({"gpt-5.4-nano-2026-03-17": entry}))
    configuration = tmp_path / "routerd.toml"
    configuration.write_text("")
    with_config = f"--config={configuration}"
    ended = routerd(
        *("prices", "import", str(published), f"--out={tmp_path}/prices.toml", with_config),
        home=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"openai/gpt-5.4-nano-2026-03-17 +input ", ended.stdout)
    configuration.write_text('directory = ["prices.toml"]\n')
    [row] = [
        row
        for row in json.loads(routerd("models", with_config, "--json", home=tmp_path).stdout)
        if row["deployment"] == "openai/gpt-5.4-nano-2026-03-17"
    ]
    assert (row["input_price"], row["output_price"]) == ("$0.30", "$1.50")
    daemon = launch("--simulated", with_config).wait_until_ready()
    with daemon.client() as client:
        reply = client.complete("openai/gpt-5.4-nano-2026-03-17", "Hello", max_output_tokens=100)
    assert reply.usage is not None
    tokens = reply.usage.input_tokens, reply.usage.output_tokens
    assert reply.cost_nanodollars == tokens[0] * 300 + tokens[1] * 1500
