"""Providers that follow a script, over real sockets, and an app that only listens.

A vendor here is a bare HTTP server that knows one wire, Chat Completions, written by hand. Every
request it gets takes the next scene of its script.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Struct

from routerd.domain import Call, Capabilities, Plan, Route
from routerd.execute.target import Target
from routerd.models.pricing import Price
from routerd.providers.base import Adapter
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.transport import AiohttpTransport, Channel
from routerd.settings import Timeouts
from routerd_proto.content import Message
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import CallOptions, CallRestarted, TextDelta

PRICE = Price(input=1_000_000_000, output=2_000_000_000, source="test")
ABLE = Capabilities(vision=True, tools=True, json_schema=True)
PATIENT = Timeouts()


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until something is so; the time limit of the test bounds it."""
    while not condition():
        await checkpoint()


class Exchange:
    """One request and its answer, as the vendor sees them."""

    def __init__(
        self, vendor: Vendor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._vendor = vendor
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def begin_stream(self) -> None:
        await self.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )

    async def event(self, value: Any) -> None:
        data = b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode())
        await self.send(b"%x\r\n%s\r\n" % (len(data) + 2, data + b"\n\n"))

    async def text(self, text: str) -> None:
        await self.event({"id": "a1", "model": "m-1", "choices": [_choice(delta=text)]})

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def plain(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode() + data)

    def reset(self) -> None:
        self._writer.transport.abort()

    @property
    def gone(self) -> bool:
        """Whether routerd has closed the connection."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def until_gone(self) -> None:
        """Wait until routerd has closed the connection."""
        self._vendor.waiting.set()
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(1):
                pass
        self._vendor.hung_up.set()


Scene = Callable[[Exchange], Awaitable[None]]


def _choice(delta: str | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": delta} if delta else {}, "finish_reason": finish}


def usage(put_in: int, out: int) -> dict[str, int]:
    return {"prompt_tokens": put_in, "completion_tokens": out, "total_tokens": put_in + out}


def answer(*texts: str, used: tuple[int, int] | None = (10, 5)) -> Scene:
    """Stream a whole answer."""

    async def scene(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for text in texts:
            await exchange.text(text)
        await exchange.event({"choices": [_choice(finish="stop")]})
        if used is not None:
            await exchange.event({"choices": [], "usage": usage(*used)})
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    return scene


def whole(text: str) -> Scene:
    """Give a whole answer at once."""

    async def scene(exchange: Exchange) -> None:
        choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
        await exchange.plain(200, {"model": "m-1", "choices": [choice], "usage": usage(10, 5)})

    return scene


def failing(status: int, code: str = "", **headers: str) -> Scene:
    async def scene(exchange: Exchange) -> None:
        await exchange.plain(status, {"error": {"message": "no", "code": code}}, **headers)

    return scene


def cut(*texts: str) -> Scene:
    """Begin an answer, and lose the connection."""

    async def scene(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for text in texts:
            await exchange.text(text)
        exchange.reset()

    return scene


def unfinished(*texts: str) -> Scene:
    """End the body in good order, without the end of the answer."""

    async def scene(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for text in texts:
            await exchange.text(text)
        await exchange.end_stream()

    return scene


def stalling(*texts: str) -> Scene:
    """Begin an answer, and say nothing more until routerd hangs up."""

    async def scene(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for text in texts:
            await exchange.text(text)
        await exchange.until_gone()

    return scene


async def silent(exchange: Exchange) -> None:
    """Say nothing at all until routerd hangs up."""
    await exchange.until_gone()


async def vanishing(exchange: Exchange) -> None:
    """Close the connection instead of answering."""
    exchange.reset()


class Vendor:
    """A provider with a script; what is asked beyond its end fails the test on the way out."""

    def __init__(
        self, *scenes: Scene, name: str = "vendor", adapter: Adapter | None = None
    ) -> None:
        self.name = name
        self.requests: list[dict[str, Any]] = []
        self.waiting = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.heads: list[bytes] = []
        self.open = 0
        self.adapter: Adapter = adapter or OpenAIAdapter()
        self._scenes = list(scenes)
        self._beyond_script = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server
        self._transport: AiohttpTransport
        self._base_url: str
        self.channel: Channel

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        # No authorities: nothing here is encrypted, and reading them would block.
        self._transport = AiohttpTransport(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self._base_url = f"http://127.0.0.1:{port}/v1"
        self.send_headers([])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._transport.aclose()
            self._server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None:
            assert not self._beyond_script, f"{self.name} was asked more often than its script says"

    @property
    def unplayed(self) -> int:
        return len(self._scenes)

    def target(
        self,
        deployment: str | None = None,
        *,
        window: int | None = None,
        price: Price | None = PRICE,
        simulated: bool = False,
        watched: bool | None = None,
    ) -> Target:
        return Target(
            deployment=deployment or f"{self.name}/m",
            model="m",
            provider=self.name,
            provider_model="m-1",
            capabilities=ABLE,
            context_window=window,
            output_limit=None,
            price=price,
            adapter=self.adapter,
            channel=self.channel,
            simulated=simulated,
            watched=watched,
        )

    def send_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Have every request carry headers from now on, such as a key."""
        self.channel = Channel(self._transport, self._base_url, headers, connect_seconds=5.0)

    async def stop_listening(self) -> None:
        """Refuse every connection from now on."""
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(json.loads(await reader.readexactly(length)))
                self.heads.append(head)
                if not self._scenes:
                    self._beyond_script += 1
                    return
                await self._scenes.pop(0)(Exchange(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the connection is over
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()


class RecordingSink:
    """An app's connection: it notes the frames, and reads when told to."""

    def __init__(self) -> None:
        self.frames: list[Struct] = []
        self.aborted = 0
        self.ended_with: list[ErrorInfo] = []
        self.sent = asyncio.Event()
        self.draining = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()

    @property
    def ended(self) -> ErrorInfo | None:
        return None

    @property
    def congested(self) -> bool:
        return not self._readable.is_set()

    def send(self, frames: Iterable[Struct]) -> None:
        self.frames.extend(frames)
        self.sent.set()

    def hold(self, frames: Iterable[Struct]) -> None:
        self.send(frames)

    async def drain(self) -> None:
        self.draining.set()
        await self._readable.wait()

    def end(self, error: ErrorInfo) -> None:
        self.ended_with.append(error)

    def abort(self) -> None:
        self.aborted += 1

    def stop_reading(self) -> None:
        self._readable.clear()

    def read_on(self) -> None:
        self._readable.set()

    @property
    def text(self) -> str:
        """Return the text that counts: what came after the last restart."""
        text = ""
        for frame in self.frames:
            if isinstance(frame, CallRestarted):
                text = ""
            elif isinstance(frame, TextDelta):
                text += frame.text
        return text

    @property
    def kinds(self) -> list[str]:
        return [type(frame).__name__ for frame in self.frames]


def make_call(
    *,
    stream: bool = True,
    seconds: float | None = None,
    age: float = 0.0,
    messages: list[Message] | None = None,
    **options: Any,
) -> Call:
    """Return a call that was read `age` seconds ago; its caller allows `seconds`, if told."""
    if seconds is not None:
        options["timeout"] = seconds
    received_at = monotonic() - age
    return Call(
        decision_id="0" * 32,
        call_id="c1",
        target="smart",
        messages=messages or [Message("user", "hello")],
        options=CallOptions(**options),
        stream=stream,
        received_at=received_at,
        received_at_ns=0,
        deadline=received_at + (10.0 if seconds is None else seconds),
    )


def make_plan_of(*targets: Target) -> tuple[Plan, dict[str, Target]]:
    routes = tuple(Route(item.deployment, item.model, item.provider) for item in targets)
    return Plan("smart", "test", None, routes), {item.deployment: item for item in targets}
