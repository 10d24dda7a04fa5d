"""The simulator as a server: connections, paths, and the order in which a call is dealt with.

What a vendor's bytes are is written in that vendor's folder, how they are sent in `delivery`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import anyio
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from routerd.simulate.account import Account, Attempt, Outcome, Price
from routerd.simulate.answer import compose
from routerd.simulate.anthropic import Anthropic
from routerd.simulate.bedrock import Bedrock
from routerd.simulate.cohere import Cohere
from routerd.simulate.connections import CountingServer
from routerd.simulate.control import CONTROL_PREFIX, control
from routerd.simulate.delivery import Delivery, reset_connection, simple_response
from routerd.simulate.exchange import Answer, Asked, HttpAnswer, Question, Refusal, Reply, Usage
from routerd.simulate.gemini import Gemini
from routerd.simulate.gemini.vertex import Vertex
from routerd.simulate.openai import OpenAI
from routerd.simulate.openai.family import FAMILY
from routerd.simulate.openai.responses import OpenAIResponses
from routerd.simulate.openai.tei import TEI
from routerd.simulate.schema import SchemaError
from routerd.simulate.script import Fault, FaultScript, Pacing, parse_fault
from routerd.simulate.search import searched
from routerd.simulate.tokens import PromptCache, count_tokens
from routerd.simulate.vendor import JSON_HEADERS, RequestNames, Route, Vendor
from routerd.simulate.voyage import Voyage

__all__ = ["VENDORS", "Simulator", "run", "serve"]

VENDORS: dict[str, Callable[[], Vendor]] = {
    vendor.name: vendor
    for vendor in (
        *(OpenAI, OpenAIResponses, Anthropic, Gemini, Vertex, Bedrock, Cohere, Voyage, TEI),
        *FAMILY,
    )
}
BODY_LIMIT = 32 * 1024 * 1024
CLOSING_SECONDS = 5.0


class Found(NamedTuple):
    """Whose path a request came to, and which."""

    vendor: Vendor
    route: Route
    fields: Mapping[str, str]


class Simulator:
    """Simulated providers on one port: `async with Simulator(...) as simulator`.

    `script`: faults to show. `pacing`: how fast to answer. `vendors`: which of `VENDORS` to be.
    `prices`: by `vendor/model` or by model, for the books. `models`: those that exist, named alike;
    None accepts any. `seed` begins all ids; None is a new one. `body_limit` in bytes.
    """

    def __init__(  # noqa: PLR0913 - all by name, and each has a default
        self,
        *,
        script: FaultScript | Iterable[Fault] = (),
        pacing: Pacing | None = None,
        vendors: Sequence[str] = ("openai", "anthropic", "bedrock"),
        prices: Mapping[str, Price] | None = None,
        models: Sequence[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        seed: str | None = None,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        if unknown := [name for name in vendors if name not in VENDORS]:
            raise ValueError(f"unknown vendor {unknown[0]!r}: choose of {', '.join(VENDORS)}")
        if not vendors:
            raise ValueError(f"no vendor given: choose of {', '.join(VENDORS)}")
        self.script = script if isinstance(script, FaultScript) else FaultScript(script)
        self.pacing = pacing or Pacing()
        self.account = Account(prices, on_change=self._account_changed)
        self._vendors = {name: VENDORS[name]() for name in vendors}
        self._models = models
        self._address = host, port
        self._ssl_context = ssl_context
        self._seed = secrets.token_hex(8) if seed is None else seed
        self._body_limit = body_limit
        self._requests = 0
        self._cache = PromptCache()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._waiting = 0
        self._changed = asyncio.Event()

    @property
    def base_url(self) -> str:
        """The address to give to clients, without a path; add `/openai/v1` or `/anthropic`."""
        host, port = self._address
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def __aenter__(self) -> Self:
        """Open the port: again the same one where it was open before."""
        loop = asyncio.get_running_loop()
        self._closing = False
        self._server = CountingServer(
            self.account,
            self._handle,
            request_factory=self._make_request,
            handler_cancellation=True,
            access_log=None,
        )
        host, port = self._address
        self._listener = await loop.create_server(
            self._server, host, port, ssl=self._ssl_context, backlog=1024
        )
        self._address = host, self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port and every connection, also in the middle of an answer."""
        self._closing = True
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            self._listener.close()
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            # Before the shutdown: that would wait for clients to give up connections they keep.
            self._server.abort_all()
            await self._server.shutdown(CLOSING_SECONDS)
            await self._listener.wait_closed()

    async def until(self, condition: Callable[[Account], bool]) -> None:
        """Wait until the books are so: `await simulator.until(lambda a: a.total.aborted == 1)`."""
        self._waiting += 1
        try:
            while not condition(self.account):
                changed = self._changed
                await changed.wait()
        finally:
            self._waiting -= 1

    def _account_changed(self) -> None:
        if self._waiting:
            self._changed.set()
            self._changed = asyncio.Event()

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=self._body_limit
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        method, path = request.method, request.path
        if path.startswith(CONTROL_PREFIX):
            return simple_response(control(self, method, path, await request.read()))
        found = self._find(method, path, request.headers)
        names = self._names()
        if isinstance(found, HttpAnswer):
            return simple_response(found)
        vendor = found.vendor
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return simple_response(vendor.refused(vendor.too_large(), names))
        asked = Asked(request.headers, body, found.fields, request.query)
        if found.route.action == "call":
            return await self._call(request, vendor, asked, names)
        return await self._probe(request, found, asked, names)

    def _find(self, method: str, path: str, headers: Mapping[str, str]) -> Found | HttpAnswer:
        """Find the path's vendor by its first part, or else by who has such a path."""
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        if first in self._vendors:
            path = path.removeprefix(f"/{first}")
            candidates = [self._vendors[first]]
        else:
            candidates = sorted(self._vendors.values(), key=lambda one: not one.claims(headers))
        for vendor in candidates:
            for route in vendor.routes:
                if route.method == method and (match := route.pattern.fullmatch(path)):
                    return Found(vendor, route, match.groupdict())
        return candidates[0].refused(candidates[0].unknown_path(method, path), self._names())

    def _names(self) -> RequestNames:
        self._requests += 1
        name = hashlib.sha256(f"{self._seed}:{self._requests}".encode()).hexdigest()
        return RequestNames(name, time.time())

    async def _probe(
        self, request: web.BaseRequest, found: Found, asked: Asked, names: RequestNames
    ) -> web.StreamResponse:
        """Answer what is not a call: the models, and counting tokens."""
        vendor = found.vendor
        self.account.probed(vendor.name)
        model = found.fields.get("model")
        fault = self.script.next(vendor.name, model, probe=True)
        if fault is not None and fault.kind == "silence":
            await asyncio.get_running_loop().create_future()
        if fault is not None and fault.kind == "reset":
            reset_connection(request)
            return web.Response()
        try:
            vendor.authenticate(asked)
            if fault is not None:
                raise vendor.fault(fault, model)
            body = self._probed(vendor, found.route, asked)
        except Refusal as refusal:
            return simple_response(vendor.refused(refusal, names))
        headers = {**vendor.answer_headers(names, None), **JSON_HEADERS}
        return simple_response(HttpAnswer(200, headers, body))

    def _probed(self, vendor: Vendor, route: Route, asked: Asked) -> bytes:
        if route.action == "count":
            return vendor.counted(asked)
        existing = self._existing(vendor)
        if route.action == "models":
            return vendor.models(vendor.listed_models if existing is None else existing, asked)
        model = asked.fields["model"]
        if existing is not None and model not in existing:
            raise vendor.unknown_model(model)
        return vendor.model(model)

    def _existing(self, vendor: Vendor) -> list[str] | None:
        """Return the vendor's models, or None where any name will do."""
        if self._models is None:
            return None
        split = [name.partition("/") for name in self._models]
        own = [rest for first, _, rest in split if first == vendor.name]
        return own + ["".join(parts) for parts in split if parts[0] not in VENDORS]

    async def _call(
        self, request: web.BaseRequest, vendor: Vendor, asked: Asked, names: RequestNames
    ) -> web.StreamResponse:
        """Deal with one call, and enter in the books how it ended."""
        arrived = time.monotonic()
        try:
            vendor.authenticate(asked)
            question = vendor.question(asked)
        except Refusal as refusal:
            attempt = self.account.begin(vendor.name, "", arrived)
            attempt.status = refusal.status
            self.account.end(attempt, "refused", Usage(), time.monotonic())
            return simple_response(vendor.refused(refusal, names))
        attempt = self.account.begin(vendor.name, question.model, arrived, stream=question.stream)
        call = Call(request, vendor, names, question, attempt)
        delivery = Delivery(request, vendor, names, self.account, attempt, self.pacing)
        outcome: Outcome = "broken"
        try:
            response, outcome = await self._answered(call, delivery)
        except asyncio.CancelledError:
            outcome = "stopped" if self._closing else "aborted"
            raise
        except ConnectionError:
            outcome = "aborted"
            return web.Response()
        except Refusal as refusal:
            outcome = "refused"
            attempt.status = refusal.status
            return simple_response(vendor.refused(refusal, names))
        finally:
            self.account.end(attempt, outcome, delivery.usage(outcome), time.monotonic())
        return response

    async def _answered(self, call: Call, delivery: Delivery) -> tuple[web.StreamResponse, Outcome]:
        """Answer, or do what the fault says; raise `Refusal` for an error status."""
        vendor, question = call.vendor, call.question
        existing = self._existing(vendor)
        if existing is not None and question.model not in existing:
            raise vendor.unknown_model(question.model)
        fault = self.script.next(vendor.name, question.model, prefilled=question.prefilled)
        if fault is not None:
            self.account.struck(call.attempt, fault.kind)
            if fault.kind == "status":
                raise vendor.fault(fault, question.model)
            if fault.kind == "reset":
                reset_connection(call.request)
                return web.Response(), "broken"
            if fault.kind == "silence":
                await delivery.silence()
        delivery.reply = self._reply(vendor, question, call.names)
        await delivery.think()
        if question.stream:
            return await delivery.stream(delivery.reply, fault)
        return await delivery.whole(delivery.reply, fault)

    def _reply(self, vendor: Vendor, question: Question, names: RequestNames) -> Reply:
        created = int(names.now)
        if question.search is not None:
            used, nothing = searched(question.search), Answer(finish="stop")
            return Reply(
                id=names.id, created=created, question=question, answer=nothing, usage=used
            )
        try:
            answer = compose(question, self.pacing.output_tokens)
        except SchemaError:
            raise vendor.bad_schema() from None
        price = self.account.price(vendor.name, question.model)
        sells_writes = price is not None and price.cache_write is not None
        cache = vendor.cache_use(self._cache, question, time.monotonic(), sells_writes=sells_writes)
        usage = Usage(
            input=count_tokens(question.prompt),
            cached=cache.read,
            written=cache.written,
            written_long=cache.written_long,
            output=answer.output_tokens,
            reasoning=len(answer.reasoning),
        )
        return Reply(id=names.id, created=created, question=question, answer=answer, usage=usage)


class Call(NamedTuple):
    """One call under way."""

    request: web.BaseRequest
    vendor: Vendor
    names: RequestNames
    question: Question
    attempt: Attempt


async def serve(
    simulator: Simulator, on_ready: Callable[[str], None] = lambda base_url: None
) -> None:
    """Serve until cancelled; `on_ready` gets the base URL when the port is open."""
    async with simulator:
        on_ready(simulator.base_url)
        await anyio.sleep_forever()


async def run(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    vendors: Sequence[str] = ("openai", "anthropic", "bedrock"),
    faults: Iterable[Fault | str] = (),
    pacing: Pacing | None = None,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    on_ready: Callable[[str], None] = lambda base_url: None,
) -> None:
    """Simulate providers until cancelled, as a command line asks for it.

    `faults` may be texts for `parse_fault`. Raises ValueError for what cannot be meant, before the
    port is opened, and OSError where the port is not to be had.
    """
    script = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
    simulator = Simulator(
        script=script,
        pacing=pacing,
        vendors=vendors,
        prices=prices,
        models=models,
        host=host,
        port=port,
    )
    await serve(simulator, on_ready)
