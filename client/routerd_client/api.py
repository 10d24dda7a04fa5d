"""The client: `stream`, `complete`, `embed`, `rerank`, and commands to the daemon.

Rules of this file: one set of inputs for all forms of a call. Nothing here waits by itself, and
asyncio is imported by the first call that needs it.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, Unpack, cast

from routerd_client.address import socket_paths
from routerd_client.blocking import BlockingPool, BlockingRun
from routerd_client.found import Embeddings, Ranking
from routerd_client.limits import DEFAULT_LIMITS, Limits
from routerd_client.options import (
    Messages,
    Options,
    SearchOptions,
    request_call,
    request_embed,
    request_rerank,
)
from routerd_client.reply import Reply
from routerd_client.request import Call, Command, Request
from routerd_client.searching import Search
from routerd_client.streams import Stream
from routerd_proto.frames import CallOptions, CommandRequested
from routerd_proto.search import Purpose

if TYPE_CHECKING:
    from routerd_client.aio import AsyncPools, AsyncRun

__all__ = ["Client", "default_client"]


class Client:
    """Speaks to the daemon on this machine. Threads, tasks and event loops may share one.

    `socket` is a path or `unix:/path`; None means $ROUTERD_SOCKET, else
    $XDG_RUNTIME_DIR/routerd/routerd.sock, else /run/routerd/routerd.sock. The other arguments are
    explained in `Limits`. Connections are made when needed and kept for the next call; to `close`
    is for tidy programs. A forked child starts without connections.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        connect_patience: float = DEFAULT_LIMITS.connect_patience,
        timeout_grace: float = DEFAULT_LIMITS.timeout_grace,
        max_frame_bytes: int = DEFAULT_LIMITS.max_frame_bytes,
        max_idle: int = DEFAULT_LIMITS.max_idle,
        max_waiting_frames: int = DEFAULT_LIMITS.max_waiting_frames,
    ) -> None:
        self.paths = socket_paths(socket)
        self._limits = Limits(
            connect_patience=connect_patience,
            timeout_grace=timeout_grace,
            max_frame_bytes=max_frame_bytes,
            max_idle=max_idle,
            max_waiting_frames=max_waiting_frames,
        )
        self._blocking_pool = BlockingPool(self.paths, self._limits)
        self._async_pools: AsyncPools | None = None
        self._lock = threading.Lock()
        _clients.add(self)

    def __repr__(self) -> str:
        return f"<Client {' or '.join(self.paths)}>"

    def stream(self, target: str, messages: Messages, **options: Unpack[Options]) -> Stream:
        """Ask for an answer in parts: `for` or `async for` over what is returned.

        `target` is a shortcut, a model class or a model id; `messages` one user message as a plain
        string, or a list of dicts or Message structs. Errors come from the iteration, but for a
        TypeError about an option that does not exist.
        """
        call = self._call(target, messages, options, stream=True)
        return Stream(call, self._start, self._start_async)

    def complete(self, target: str, messages: Messages, **options: Unpack[Options]) -> Reply:
        """Ask for a whole answer and wait for it. Inputs as for `stream`; raises RouterdError."""
        call = self._call(target, messages, options, stream=False)
        self._start(call).advance(to_end=True)
        return call.reply()

    async def acomplete(self, target: str, messages: Messages, **options: Unpack[Options]) -> Reply:
        """Ask for a whole answer and await it. Inputs as for `stream`; raises RouterdError."""
        call = self._call(target, messages, options, stream=False)
        await self._start_async(call).advance(to_end=True)
        return call.reply()

    def embed(
        self,
        target: str,
        inputs: str | Sequence[str],
        *,
        dimensions: int | None = None,
        purpose: Purpose | None = None,
        truncate: bool = False,
        **options: Unpack[SearchOptions],
    ) -> Embeddings:
        """Ask for the vectors of texts and wait for them; raises RouterdError.

        All are of one model, which the answer names: compare them with vectors of that alone.
        `dimensions` is the length of a vector, None for the model's own. `purpose` is what the
        vectors are for: "document", "query", "classification" or "clustering". `truncate` allows
        what is too long for the model to be cut. An error's `found` holds the vectors that came in
        spite of it.
        """
        search = self._embed(target, inputs, options, dimensions, purpose, truncate=truncate)
        self._start(search).advance()
        return cast("Embeddings", search.result())

    async def aembed(
        self,
        target: str,
        inputs: str | Sequence[str],
        *,
        dimensions: int | None = None,
        purpose: Purpose | None = None,
        truncate: bool = False,
        **options: Unpack[SearchOptions],
    ) -> Embeddings:
        """Ask for the vectors of texts and await them. Inputs as for `embed`."""
        search = self._embed(target, inputs, options, dimensions, purpose, truncate=truncate)
        await self._start_async(search).advance()
        return cast("Embeddings", search.result())

    def rerank(
        self,
        target: str,
        query: str,
        documents: Sequence[str],
        *,
        top: int | None = None,
        truncate: bool = False,
        **options: Unpack[SearchOptions],
    ) -> Ranking:
        """Ask for the order of documents and wait for it; raises RouterdError.

        The best come first, `top` of them, None for all. `truncate` is that of `embed`.
        """
        search = self._rerank(target, query, documents, options, top, truncate=truncate)
        self._start(search).advance()
        return cast("Ranking", search.result())

    async def arerank(
        self,
        target: str,
        query: str,
        documents: Sequence[str],
        *,
        top: int | None = None,
        truncate: bool = False,
        **options: Unpack[SearchOptions],
    ) -> Ranking:
        """Ask for the order of documents and await it. Inputs as for `rerank`."""
        search = self._rerank(target, query, documents, options, top, truncate=truncate)
        await self._start_async(search).advance()
        return cast("Ranking", search.result())

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Ask the daemon itself, `status` for instance. Raises RouterdError."""
        command = Command(CommandRequested(name, arguments))
        self._start(command).advance()
        return command.body

    async def acommand(self, name: str, /, **arguments: Any) -> Any:
        """Ask the daemon itself, `status` for instance. Raises RouterdError."""
        command = Command(CommandRequested(name, arguments))
        await self._start_async(command).advance()
        return command.body

    def close(self) -> None:
        """Close the idle connections of blocking calls."""
        self._blocking_pool.close()

    async def aclose(self) -> None:
        """Close all connections of the running event loop, and the idle ones of blocking calls."""
        self.close()
        if self._async_pools is not None:
            await self._async_pools.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _call(self, target: str, messages: Messages, options: Options, *, stream: bool) -> Call:
        frame = request_call(target, messages, options, stream=stream)
        return Call(frame, self._local_timeout(frame.options))

    def _embed(
        self,
        target: str,
        inputs: str | Sequence[str],
        options: SearchOptions,
        dimensions: int | None,
        purpose: Purpose | None,
        *,
        truncate: bool,
    ) -> Search:
        frame = request_embed(
            target, inputs, options, dimensions=dimensions, purpose=purpose, truncate=truncate
        )
        return Search(frame, self._local_timeout(frame.options))

    def _rerank(
        self,
        target: str,
        query: str,
        documents: Sequence[str],
        options: SearchOptions,
        top: int | None,
        *,
        truncate: bool,
    ) -> Search:
        frame = request_rerank(target, query, documents, options, top=top, truncate=truncate)
        return Search(frame, self._local_timeout(frame.options))

    def _local_timeout(self, options: CallOptions) -> float | None:
        timeout = options.timeout
        if timeout is None:
            return None
        # One that is no number is the daemon's to refuse.
        if isinstance(timeout, int | float):
            return timeout + self._limits.timeout_grace
        return None

    def _start(self, request: Request) -> BlockingRun:
        return BlockingRun(self._blocking_pool, request)

    def _start_async(self, request: Request) -> AsyncRun:
        pools = self._async_pools
        if pools is None:
            from routerd_client.aio import AsyncPools  # noqa: PLC0415 - costs a blocking app 30 ms

            with self._lock:
                if self._async_pools is None:
                    self._async_pools = AsyncPools(self.paths, self._limits)
                pools = self._async_pools
        return pools.start(request)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._blocking_pool.after_fork()
        if self._async_pools is not None:
            self._async_pools.after_fork()


def default_client() -> Client:
    """Return the client of the module-level functions; it follows $ROUTERD_SOCKET."""
    return _client_for(os.environ.get("ROUTERD_SOCKET"))


@functools.lru_cache(maxsize=4)
def _client_for(_socket: str | None) -> Client:
    return Client()


def stream(target: str, messages: Messages, **options: Unpack[Options]) -> Stream:
    """Ask for an answer in parts, see `Client.stream`."""
    return default_client().stream(target, messages, **options)


def complete(target: str, messages: Messages, **options: Unpack[Options]) -> Reply:
    """Ask for a whole answer and wait for it, see `Client.complete`."""
    return default_client().complete(target, messages, **options)


async def acomplete(target: str, messages: Messages, **options: Unpack[Options]) -> Reply:
    """Ask for a whole answer and await it, see `Client.acomplete`."""
    return await default_client().acomplete(target, messages, **options)


def embed(
    target: str,
    inputs: str | Sequence[str],
    *,
    dimensions: int | None = None,
    purpose: Purpose | None = None,
    truncate: bool = False,
    **options: Unpack[SearchOptions],
) -> Embeddings:
    """Ask for the vectors of texts and wait for them, see `Client.embed`."""
    return default_client().embed(
        target, inputs, dimensions=dimensions, purpose=purpose, truncate=truncate, **options
    )


async def aembed(
    target: str,
    inputs: str | Sequence[str],
    *,
    dimensions: int | None = None,
    purpose: Purpose | None = None,
    truncate: bool = False,
    **options: Unpack[SearchOptions],
) -> Embeddings:
    """Ask for the vectors of texts and await them, see `Client.embed`."""
    return await default_client().aembed(
        target, inputs, dimensions=dimensions, purpose=purpose, truncate=truncate, **options
    )


def rerank(
    target: str,
    query: str,
    documents: Sequence[str],
    *,
    top: int | None = None,
    truncate: bool = False,
    **options: Unpack[SearchOptions],
) -> Ranking:
    """Ask for the order of documents and wait for it, see `Client.rerank`."""
    return default_client().rerank(target, query, documents, top=top, truncate=truncate, **options)


async def arerank(
    target: str,
    query: str,
    documents: Sequence[str],
    *,
    top: int | None = None,
    truncate: bool = False,
    **options: Unpack[SearchOptions],
) -> Ranking:
    """Ask for the order of documents and await it, see `Client.rerank`."""
    return await default_client().arerank(
        target, query, documents, top=top, truncate=truncate, **options
    )


# A hook of each client would keep it alive for ever: one hook for all that are still alive.
_clients: Final[weakref.WeakSet[Client]] = weakref.WeakSet()


def _after_fork() -> None:
    for client in _clients:
        client._after_fork()  # noqa: SLF001 - this file's own


os.register_at_fork(after_in_child=_after_fork)
