"""The disk of the ledger is full: calls are served, caps hold, and the state is seen.

The daemon is told that no file of its may grow, its log included, which is what a full disk looks
like from inside; `resource` can take that back while the daemon runs.
"""

from __future__ import annotations

import resource
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import anyio.to_thread

from routerd.simulate import Simulator
from routerd_client import Client
from tests.e2e.asking import PROMPT, WAYS, ask, explain, until_idle
from tests.e2e.conftest import Daemon
from tests.e2e.money import budget_row, query, spent_in_ledger
from tests.e2e.processes import routerd_beside

StartDaemon = Callable[..., Awaitable[Daemon]]

CAP: Final = '[budgets.acme]\ntenant = "acme"\nwindow = "30d"\ncalls = 3\n'


def let_files_grow(daemon: Daemon, *, more: bool) -> None:
    """Fill the disk as this one daemon sees it, or free it again."""
    limit = resource.RLIM_INFINITY if more else 0
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


async def ledger_state(client: Client) -> dict[str, Any]:
    """Return what `routerd status` says of the ledger."""
    state: dict[str, Any] = (await client.acommand("status"))["ledger"]
    return state


async def test_a_full_disk_stops_no_call_and_loses_no_record(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(CAP)
    async with daemon.client() as client:
        await client.acomplete("smart", PROMPT)
        state = await ledger_state(client)
        assert (state["degraded"], state["intents_lost"], state["records_lost"]) == (False, 0, 0)

        let_files_grow(daemon, more=False)
        heard = [await ask(client, way, "smart", tenant="acme") for way in WAYS]
        assert {one.answer.finish for one in heard} == {"stop"}
        await until_idle(client)
        # Kept in memory, and found there.
        assert (await explain(client, heard[0].decision_id)).finish == "stop"
        state = await ledger_state(client)
        assert (state["degraded"], state["intents_lost"]) == (True, len(WAYS))
        assert state["records_lost"] == 0
        environ = {"ROUTERD_SOCKET": str(daemon.socket)}
        shown = await routerd_beside("status", home=daemon.folder, environ=environ)
        assert "(degraded)" in shown.stdout
        assert f"0 records lost, {len(WAYS)} intents lost" in shown.stdout
        # Caps are counted in memory.
        refused = (await ask(client, "acomplete", "smart", tenant="acme")).failure
        assert (refused.code, refused.details["spent"]) == ("budget_exceeded", len(WAYS))

        let_files_grow(daemon, more=True)
        # Found out without a call.
        while (state := await ledger_state(client))["degraded"]:  # noqa: ASYNC110 - asked
            await anyio.sleep(0.05)
        await client.acomplete("smart", PROMPT)
        state = await ledger_state(client)
        assert (state["intents_lost"], state["records_lost"]) == (len(WAYS), 0)
        row = await budget_row(client, "acme")
        assert (row["spent"], row["held"]) == (len(WAYS), 0)
    assert await query(daemon.ledger, "SELECT count(*) FROM attempts") == [(1 + len(WAYS) + 1,)]
    assert await spent_in_ledger(daemon.ledger) == simulator.account.total.billed_nanodollars
    assert await anyio.to_thread.run_sync(daemon.stop) == 0
    # It could not write its log either, and does again.
    log = await anyio.to_thread.run_sync(lambda: daemon.log)
    assert '"event":"ledger_recovered"' in log
    assert '"event":"daemon_stopped"' in log
