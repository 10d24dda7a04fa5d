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

    def alter(text: str | None) -> str:
        """Write another record in the place of the one there, and return that one."""
        with closing(sqlite3.connect(daemon.ledger)) as database, database:
            (before,) = database.execute("SELECT record FROM calls").fetchone()
            record = json.loads(before)
            record["plan"]["routes"][0]["bound_nanodollars"] = 1
            database.execute("UPDATE calls SET record = ?", (text or json.dumps(record),))
        return str(before)

    before = await anyio.to_thread.run_sync(alter, None)
    other = await routerd_beside(*arguments, home=daemon.folder)
    assert other.returncode == 1
    assert "DECIDED DIFFERENTLY FROM WHAT WAS DONE, in 1 points" in other.stdout
    (line,) = other.stderr.splitlines()
    assert line.startswith("routerd: DECIDED DIFFERENTLY: ")
    assert "bound_nanodollars was 1, is " in line
    # What every test of this folder is checked by notices it too.
    (difference,) = await anyio.to_thread.run_sync(differences_in, daemon.ledger)
    assert difference.startswith(f"{decision}: ")
    await anyio.to_thread.run_sync(alter, before)
