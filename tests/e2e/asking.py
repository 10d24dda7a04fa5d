"""Asking a daemon in each of the three ways: what the caller heard, what the record says.

Rules of this file: it asks and waits; nothing is asserted here.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal, NamedTuple, Unpack

import anyio
import anyio.to_thread
import msgspec

from routerd.domain import Record
from routerd.simulate import Attempt, Simulator
from routerd_client import CallRestarted, Client, Reply, RouterdError, TextDelta, Usage
from routerd_client.options import Messages, Options

__all__ = [
    "PROMPT",
    "SIDES",
    "WAYS",
    "Heard",
    "Side",
    "Way",
    "ask",
    "explain",
    "newest_record",
    "served_by",
    "until_idle",
    "until_running",
]

Way = Literal["stream", "acomplete", "complete"]
WAYS: Final[tuple[Way, ...]] = ("stream", "acomplete", "complete")
PROMPT: Final = "Tell me a story"
PAUSE_SECONDS: Final = 0.02


class Side(NamedTuple):
    """A shortcut, the deployment that it prefers, and the one at another provider behind it."""

    target: str
    first: str
    backup: str

    @property
    def vendor(self) -> str:
        """Name the provider that is asked first."""
        return self.first.partition("/")[0]


SIDES: Final = (
    Side("smart", "anthropic/claude-opus-5-5", "openai/gpt-6.1-sol"),
    Side("cheap", "openai/gpt-6-luna", "anthropic/claude-haiku-5-5"),
)


class Heard:
    """What came back of one call: `text` of the answer that counts, the reply or the error."""

    def __init__(self) -> None:
        self.text = ""
        self.voided: list[str] = []
        self.restarts: list[CallRestarted] = []
        self.reply: Reply | None = None
        self.error: RouterdError | None = None

    def __repr__(self) -> str:
        return f"<Heard {self.reply or self.error!r}>"

    @property
    def answer(self) -> Reply:
        """The whole answer; the error is raised if there is none."""
        if self.reply is None:
            raise self.error or AssertionError("the call has not ended")
        return self.reply

    @property
    def failure(self) -> RouterdError:
        """The error there must have been."""
        assert self.error is not None, f"the call was answered: {self.reply}"
        return self.error

    @property
    def decision_id(self) -> str:
        """Name the call."""
        return self.reply.decision_id if self.reply is not None else self.failure.decision_id


async def ask(
    client: Client,
    way: Way,
    target: str,
    messages: Messages = PROMPT,
    **options: Unpack[Options],
) -> Heard:
    """Ask once; an error is kept, not raised."""
    heard = Heard()
    try:
        if way == "stream":
            stream = client.stream(target, messages, **options)
            async for part in stream:
                if isinstance(part, CallRestarted):
                    heard.restarts.append(part)
                    heard.voided.append(heard.text)
                    heard.text = ""
                elif isinstance(part, TextDelta):
                    heard.text += part.text
            heard.reply = stream.reply
        elif way == "acomplete":
            heard.reply = await client.acomplete(target, messages, **options)
        else:
            call = partial(client.complete, target, messages, **options)
            heard.reply = await anyio.to_thread.run_sync(call)
    except RouterdError as error:
        heard.error = error
    if heard.reply is not None and way != "stream":
        heard.text = heard.reply.text
    return heard


async def explain(client: Client, decision_id: str) -> Record:
    """Return the record of a call."""
    return record_of(await client.acommand("explain", decision_id=decision_id))


async def newest_record(client: Client) -> Record:
    """Return the record of the call that began last, once nothing is running."""
    await until_idle(client)
    return record_of((await client.acommand("calls", limit=1))[0])


def record_of(plain: dict[str, Any]) -> Record:
    """Read a record as commands show it: with a usage that has names, for people."""
    for holder in (plain, *plain["attempts"]):
        if holder["usage"] is not None:
            holder["usage"] = [holder["usage"][name] for name in Usage.__struct_fields__]
    return msgspec.convert(plain, Record)


async def until_idle(client: Client) -> None:
    """Wait until no call is running."""
    await until_running(client, 0)


async def until_running(client: Client, calls: int) -> None:
    """Wait until so many calls are running."""
    while (await client.acommand("status"))["calls_in_flight"] != calls:  # noqa: ASYNC110 - asked
        await anyio.sleep(PAUSE_SECONDS)


def served_by(simulator: Simulator, *, after: int = 0) -> list[str]:
    """List the deployments the simulator was asked for, in order of arrival."""
    return [name_of(attempt) for attempt in simulator.account.attempts[after:]]


def name_of(attempt: Attempt) -> str:
    """Name the deployment an attempt came to."""
    return f"{attempt.vendor}/{attempt.model}"
