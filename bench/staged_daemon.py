"""The daemon with a clock on its stages: what of a call's CPU time goes where.

Rules of this file: only time that the event loop's thread spends in a function is counted, what it
waits for is not. A stage inside another is counted in both; the report subtracts. At the end the
totals go to a file as JSON.

    python -m bench.staged_daemon FILE serve ...
"""

from __future__ import annotations

import functools
import importlib
import inspect
import signal
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from time import thread_time_ns
from typing import Any, Final

import msgspec
from msgspec import Struct

__all__ = ["STAGES", "Stage"]


class Stage(Struct):
    """What was spent in one function. `parent` is the label of the stage it is part of."""

    label: str
    place: str
    parent: str = ""
    count: int = 0
    nanoseconds: int = 0


STAGES: Final = (
    Stage("read the request's frame", "routerd.accept.connection:Connection.data_received"),
    Stage("serve the call", "routerd.pipeline:Pipeline.serve"),
    Stage("ids, deadline, record", "routerd.pipeline:read_call", "serve the call"),
    Stage("begin the record", "routerd.pipeline:begin_record", "serve the call"),
    Stage("check the request", "routerd.pipeline:check_request", "serve the call"),
    Stage("understand the call", "routerd.execute.story:Story.understand", "serve the call"),
    Stage("measure it", "routerd.execute.story:measure", "understand the call"),
    Stage("rules, policy, name", "routerd.decide.book:Book.choose", "understand the call"),
    Stage("decide", "routerd.execute.story:Story.decide", "serve the call"),
    Stage("take a snapshot", "routerd.execute.accounts:Accounts.snapshot", "decide"),
    Stage("make the plan", "routerd.execute.deciding:make_plan", "decide"),
    Stage("run the routes", "routerd.execute.routes:Execution.run", "serve the call"),
    Stage(
        "write the vendor's request",
        "routerd.providers.openai.adapter:OpenAIAdapter.encode",
        "run the routes",
    ),
    Stage(
        "send it, take the headers",
        "routerd.providers.transport.channel:Channel.send",
        "run the routes",
    ),
    Stage(
        "of that, the engine",
        "routerd.providers.transport.engine:AiohttpTransport.send",
        "send it, take the headers",
    ),
    Stage(
        "take the answer",
        "routerd.providers.openai.plain:PlainDecoder.feed",
        "run the routes",
    ),
    Stage("decode it", "routerd.providers.openai.plain:PlainDecoder.end", "run the routes"),
    Stage("deliver parts", "routerd.execute.delivery:Delivery.send", "run the routes"),
    Stage("hold money and key", "routerd.execute.purse:Purse.open", "run the routes"),
    Stage("write the intent", "routerd.ledger.store:Ledger.intend", "run the routes"),
    Stage("settle them", "routerd.execute.purse:Opened.close", "run the routes"),
    Stage("price the attempt", "routerd.execute.routes:settle_attempt", "run the routes"),
    Stage("fill the record", "routerd.pipeline:finish_record", "serve the call"),
    Stage("hand it to the ledger", "routerd.ledger.store:Ledger.write", "serve the call"),
    Stage("learn from it", "routerd.execute.accounts:Accounts.hear", "serve the call"),
    Stage("log line", "routerd.telemetry.events:Events.emit", "serve the call"),
    Stage("read the answer's bytes", "routerd.providers.transport.receiving:Carrier.data_received"),
)


def install() -> None:
    """Put a clock around every stage."""
    for stage in STAGES:
        module_name, _, path = stage.place.partition(":")
        owner: Any = importlib.import_module(module_name)
        *classes, name = path.split(".")
        for part in classes:
            owner = getattr(owner, part)
        function = getattr(owner, name)
        timed = timed_coroutine if inspect.iscoroutinefunction(function) else timed_function
        setattr(owner, name, timed(function, stage))


def timed_function(function: Callable[..., Any], stage: Stage) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        began_at = thread_time_ns()
        try:
            return function(*args, **kwargs)
        finally:
            stage.nanoseconds += thread_time_ns() - began_at
            stage.count += 1

    return call


def timed_coroutine(function: Callable[..., Any], stage: Stage) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        stage.count += 1
        return await TimedSteps(function(*args, **kwargs), stage)

    return call


class TimedSteps:
    """Count every step of a coroutine, and nothing of what is between them."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], stage: Stage) -> None:
        self._coroutine = coroutine
        self._stage = stage

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            began_at = thread_time_ns()
            try:
                waited_for = step(value)
            except StopIteration as end:
                return end.value
            finally:
                self._stage.nanoseconds += thread_time_ns() - began_at
            try:
                step, value = self._coroutine.send, (yield waited_for)
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
                step, value = self._coroutine.throw, error


def forget_so_far(_number: int, _frame: types.FrameType | None) -> None:
    """Begin anew: what the start and the first calls cost is another question."""
    for stage in STAGES:
        stage.count = stage.nanoseconds = 0


if __name__ == "__main__":
    from routerd.__main__ import main

    install()
    signal.signal(signal.SIGUSR1, forget_so_far)
    file = Path(sys.argv.pop(1))
    code = main()
    file.write_bytes(msgspec.json.encode(STAGES))
    sys.exit(code)
