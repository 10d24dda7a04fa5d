"""All that a call goes through, socket and ledger included, with vendors that follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Struct, structs

from routerd.accept.connection import Connection
from routerd.app.policy import policy_text
from routerd.budget.budgets import Budgets
from routerd.budget.definitions import read_budgets
from routerd.budget.keys import Keys
from routerd.cache import Answers
from routerd.decide import Book, PolicyDocument
from routerd.domain import Record
from routerd.execute.accounts import Accounts
from routerd.execute.shadows import Shadows
from routerd.execute.story import Rules
from routerd.ledger import Ledger
from routerd.models.directory import Directory
from routerd.models.entries import Entries
from routerd.models.schema import Defaults, DeploymentEntry, Model, Provider, Shortcut
from routerd.pipeline import Pipeline
from routerd.settings import Budget, Budgeting, CachedShortcut, Caching, Limits, Timeouts
from routerd.telemetry.events import CallFinished, Event, Events
from routerd_proto.content import Message
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import CallEnded, CallRequested, CommandRequested
from tests.daemon.accept.app import HELLO, App, Running, serving
from tests.daemon.execute.scripted import (
    PATIENT,
    PRICE,
    Vendor,
)

SECRET = "the-words-of-the-prompt"
ANSWERED = "the-words-of-the-answer"


def directory(vendors: tuple[Vendor, ...]) -> Directory:
    """One shortcut, one model, served by every vendor in order."""
    return Directory(
        Entries(
            providers={
                vendor.name: Provider(
                    id=vendor.name,
                    adapter="openai",
                    base_url="http://127.0.0.1/v1",
                    boundary="vendor",
                )
                for vendor in vendors
            },
            models={
                "m": Model(id="m", vendor="v", model_class="fast", pinned="dated", source="test")
            },
            deployments={
                f"{vendor.name}/m": DeploymentEntry(
                    id=f"{vendor.name}/m",
                    model="m",
                    provider=vendor.name,
                    provider_model="m-1",
                    price=PRICE,
                )
                for vendor in vendors
            },
            classes={},
            shortcuts={
                "smart": Shortcut(
                    name="smart",
                    description="",
                    candidates=("m",),
                    degraded="fail",
                    defaults=Defaults(max_output_tokens=77),
                )
            },
        )
    )


class House:
    """Everything a call goes through, and what was told about it; `left` are all its records."""

    def __init__(self, pipeline: Pipeline, ledger: Ledger, events: list[Event]) -> None:
        self.pipeline = pipeline
        self.ledger = ledger
        self.events = events
        self.running: Running
        self.left: list[Record] = []

    async def ask(self, call_id: str = "c1", **more: Any) -> tuple[App, list[Struct]]:
        """Make a call on a connection of its own and read its answer."""
        app = await self.begin(call_id, **more)
        return app, await app.receive_until(CallEnded)

    async def begin(self, call_id: str = "c1", target: str = "smart", **more: Any) -> App:
        app = await self.running.connect()
        messages = more.pop("messages", [Message("user", SECRET)])
        app.send(HELLO, CallRequested(call_id, target, messages, **more))
        return app

    async def only_record(self) -> Record:
        """Return the one record, which was told in the one event of its call."""
        records = await self.records(1)
        return records[0]

    async def records(self, count: int) -> list[Record]:
        while len(self.finished) < count:
            await checkpoint()
        for _ in range(10):
            await checkpoint()
        stored = await self.ledger.recent(100)
        assert len(stored) == count
        assert {item.decision_id for item in stored} == {
            event.record.decision_id for event in self.finished
        }
        assert len(self.finished) == count
        copies = sum(item.shadow_of is not None for item in stored)
        assert self.pipeline.served == count - copies
        assert len(self.pipeline.in_flight) == 0
        assert (self.pipeline.places.running, self.pipeline.places.waiting) == (0, 0)
        return stored

    @property
    def finished(self) -> list[CallFinished]:
        return [event for event in self.events if isinstance(event, CallFinished)]


@asynccontextmanager
async def house(
    folder: Path,
    *vendors: Vendor,
    in_flight: int = 100,
    queue: int = 0,
    queue_seconds: float = 10.0,
    provider_places: dict[str, int] | None = None,
    timeouts: Timeouts = PATIENT,
    simulated: bool = False,
    budgets: dict[str, Budget] | None = None,
    cached: dict[str, CachedShortcut] | None = None,
    texts_of: Iterable[str] = (),
    known: Directory | None = None,
    **policy: Any,
) -> AsyncIterator[House]:
    """Serve calls by vendors; `known` takes the place of the directory that has them all."""
    told: list[Event] = []
    ledger = Ledger(folder / "ledger.db", on_event=told.append)
    await ledger.start()
    events = Events([told.append])
    budgets_of_calls = Budgets(
        read_budgets(budgets or {}, Budgeting(), shadows=policy.get("shadows")), tell=events.emit
    )
    document = PolicyDocument(providers=tuple(vendor.name for vendor in vendors), **policy)
    used = known or directory(vendors)
    pipeline = Pipeline(
        rules=Rules(
            book=Book(used, document),
            targets={
                name: structs.replace(vendor.target(), model=used.deployments[name].model)
                for vendor in vendors
                for name in (f"{vendor.name}/m",)
            },
            limits=Limits(in_flight=in_flight, queue=queue, queue_seconds=queue_seconds),
            provider_places=provider_places or {},
            timeouts=timeouts,
            texts_of=frozenset(texts_of),
            simulated=simulated,
            directory_hash=ledger.keep_document("directory", used.document()),
            policy_hash=ledger.keep_document("policy", policy_text(document)),
        ),
        ledger=ledger,
        accounts=Accounts(budgets_of_calls, Keys({}, ()), ledger, events.emit),
        answers=Answers(Caching(shortcuts=cached or {}), asyncio.get_running_loop().time),
        events=events,
    )
    made = House(pipeline, ledger, told)

    async def serve_call(request: CallRequested, sink: Connection) -> None:
        await pipeline.serve(request, sink, sink.peer_uid, read_at=sink.read_at)

    async with anyio.create_task_group() as copies:
        pipeline.shadows = Shadows(pipeline.serve, copies.start_soon)
        async with serving(folder, serve_call) as made.running:
            yield made
        # As a daemon does that stops.
        copies.cancel_scope.cancel()
    made.left = await ledger.recent(100)
    await ledger.close()


def ended(frames: list[Struct]) -> CallEnded:
    """Return the last frame, the only one of its kind."""
    assert [isinstance(frame, CallEnded) for frame in frames].count(True) == 1
    last = frames[-1]
    assert isinstance(last, CallEnded)
    return last


def failed(frames: list[Struct], code: str) -> ErrorInfo:
    last = ended(frames)
    assert last.finish == "error"
    assert last.error is not None
    assert last.error.code == code
    return last.error


async def quiet(app: App) -> None:
    """Check that nothing was sent after the last frame: the next thing is the answer to this."""
    app.send(CommandRequested("still-there"))
    frame = await app.receive()
    assert type(frame).__name__ == "CommandAnswered"
