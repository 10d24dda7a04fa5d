"""A decision made again from a ledger: the same as long as nobody touched the record."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import anyio.to_thread

from tests.e2e.again import differences_in
from tests.e2e.asking import ask
from tests.e2e.conftest import Daemon
from tests.e2e.processes import routerd_beside

OF_THE_ATTEMPT = "its attempt 1 is another than was written: output_tokens"


async def test_a_record_altered_by_hand_is_reported_as_different(
    start_daemon: Callable[..., Awaitable[Daemon]],
) -> None:
    daemon = await start_daemon()
    with daemon.client() as client:
        heard = await ask(client, "acomplete", "smart")
    decision = heard.answer.decision_id
    arguments = ("explain", decision, f"--socket={daemon.socket}")
    same = await routerd_beside(*arguments, home=daemon.folder)
    assert (same.returncode, same.stderr) == (0, "")
    assert "decided again from the record: the same" in same.stdout

    def run(statement: str, *values: str) -> list[tuple[str]]:
        with closing(sqlite3.connect(daemon.ledger)) as database, database:
            return database.execute(statement, values).fetchall()

    async def noticed() -> list[str]:
        """Return what explain says is different, and see that the check of this folder does."""
        other = await routerd_beside(*arguments, home=daemon.folder)
        lines = other.stderr.splitlines()
        assert other.returncode == 1
        assert f"DECIDED DIFFERENTLY FROM WHAT WAS DONE, in {len(lines)} points" in other.stdout
        found = await anyio.to_thread.run_sync(differences_in, daemon.ledger)
        assert len(found) == len(lines)
        assert all(difference.startswith(f"{decision}: ") for difference in found)
        return lines

    ((text,),) = await anyio.to_thread.run_sync(run, "SELECT record FROM calls")
    # What the decision depends on, what it does not, and what only the finance lead looks at.
    route, fact = json.loads(text), json.loads(text)
    route["plan"]["routes"][0]["bound_nanodollars"] = 1
    fact["features"]["input_tokens"] += 1
    write = "UPDATE calls SET record = ?"
    await anyio.to_thread.run_sync(run, write, json.dumps(route))
    changed, differs = await noticed()
    assert "its row in the ledger is not the one that was written" in changed
    assert "bound_nanodollars was 1, is " in differs
    await anyio.to_thread.run_sync(run, write, json.dumps(fact))
    assert (await noticed())[0] == changed
    await anyio.to_thread.run_sync(run, write, text)
    await anyio.to_thread.run_sync(run, "UPDATE calls SET cost_nanodollars = cost_nanodollars + 1")
    assert await noticed() == [changed]
    await anyio.to_thread.run_sync(run, "UPDATE calls SET cost_nanodollars = cost_nanodollars - 1")
    same = await routerd_beside(*arguments, home=daemon.folder)
    assert (same.returncode, same.stderr) == (0, "")
    # What money is summed up from, and the mark that the row is as it was.
    await anyio.to_thread.run_sync(run, "UPDATE attempts SET output_tokens = 1 + output_tokens")
    assert await noticed() == ["routerd: DECIDED DIFFERENTLY: " + OF_THE_ATTEMPT]
    await anyio.to_thread.run_sync(run, "UPDATE attempts SET output_tokens = output_tokens - 1")
    ((digest,),) = await anyio.to_thread.run_sync(run, "SELECT digest FROM calls")
    await anyio.to_thread.run_sync(run, "UPDATE calls SET digest = NULL")
    assert await noticed() == [changed]
    await anyio.to_thread.run_sync(run, "UPDATE calls SET digest = ?", digest)
