from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from routerd.ledger import Ledger
from routerd.telemetry.events import Event

OpenLedger = Callable[..., AbstractAsyncContextManager[Ledger]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def open_ledger(path: Path, events: list[Event]) -> OpenLedger:
    """Open a ledger that puts its events into `events`, and close it."""

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[Ledger]:
        ledger = Ledger(path, on_event=events.append, **arguments)
        await ledger.start()
        try:
            yield ledger
        finally:
            await ledger.close()

    return opened
