"""Verbs asked of commands that serve a real ledger over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from routerd.cli import main
from routerd.domain import Record
from routerd.execute.story import Rules
from routerd.ledger import Ledger
from tests.daemon.accept.app import RULES, commands_of, serving

__all__ = ["Run", "house"]

# Runs a verb; returns its exit code, and what it printed to standard output and standard error.
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@asynccontextmanager
async def house(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    records: Iterable[Record] = (),
    budgets: Iterable[dict[str, Any]] = (),
    prepare: Callable[[Ledger], None] = lambda _ledger: None,
    decided_by: Callable[[Ledger], Rules] = lambda _ledger: RULES,
) -> AsyncIterator[Run]:
    """Serve a ledger with these records, and run verbs beside it."""
    ledger = Ledger(folder / "ledger.db")
    await ledger.start()
    for record in records:
        ledger.write(record)
    prepare(ledger)
    commands = commands_of(ledger, budgets=lambda: list(budgets), rules=decided_by(ledger))
    async with serving(folder, serve_command=commands.serve) as running:

        async def run(*arguments: str) -> tuple[int, str, str]:
            words = [*arguments, f"--socket={running.path}"]
            code = await anyio.to_thread.run_sync(main, words)
            return code, *capsys.readouterr()

        yield run
    await ledger.close()
