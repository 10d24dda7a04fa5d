"""The stream of one answer, for `for` and for `async for`.

Rules of this file: a stream is its own iterator and never a generator, so that one that is dropped
hangs up at once instead of whenever a generator is finalised.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from routerd_client.blocking import BlockingRun
from routerd_client.reply import Reply
from routerd_client.request import Call, StreamPart
from routerd_proto.frames import TextDelta

if TYPE_CHECKING:
    from routerd_client.aio import AsyncRun

__all__ = ["Stream", "TextStream"]


class Stream:
    """The parts of one answer as they come. The call is sent when the first part is asked for.

    Iterate it once, with `for` or with `async for`. What comes are the frames TextDelta,
    ReasoningDelta, ReasoningEnded, RefusalDelta, ToolCallStarted, ToolCallDelta, CitationAdded
    and LogprobsAdded, and CallRestarted, which makes all before it void, if the call allowed
    `restart`. For the text alone iterate `stream.text`.

    An answer that does not end well raises a RouterdError after what arrived of it. To leave early
    hang up: break out of a loop over an unnamed stream, leave its `with` block, or `close` it.
    """

    def __init__(
        self,
        call: Call,
        start_blocking: Callable[[Call], BlockingRun],
        start_async: Callable[[Call], AsyncRun],
    ) -> None:
        self._call = call
        self._start_blocking = start_blocking
        self._start_async = start_async
        self._blocking: BlockingRun | None = None
        self._async: AsyncRun | None = None

    def __repr__(self) -> str:
        return f"<Stream {self._call.frame.target} {self.decision_id}>"

    @property
    def decision_id(self) -> str:
        """The name of this call for ever; empty until the daemon has accepted it."""
        return self._call.decision_id

    @property
    def reply(self) -> Reply:
        """The whole answer, after its end; before it and after a failure raises RouterdError."""
        return self._call.reply()

    @property
    def text(self) -> TextStream:
        """The pieces of text alone: `for text in client.stream("smart", messages).text`."""
        return TextStream(self)

    # Blocking.

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> StreamPart:
        run = self._blocking
        if run is None:
            if self._async is not None:
                raise RuntimeError("this stream is already being read with `async for`")
            run = self._blocking = self._start_blocking(self._call)
        part = run.advance()
        if part is None:
            raise StopIteration
        return part

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave: the daemon sees the hang-up at once. Any thread may call it."""
        run = self._blocking or self._async
        if run is None:
            self._call.interrupt(None)
        else:
            run.close()

    def __del__(self) -> None:
        self.close()

    # On asyncio.

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> StreamPart:
        run = self._async
        if run is None:
            if self._blocking is not None:
                raise RuntimeError("this stream is already being read with `for`")
            run = self._async = self._start_async(self._call)
        part = await run.advance()
        if part is None:
            raise StopAsyncIteration
        return part

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def aclose(self) -> None:
        """Leave: the daemon sees the hang-up at once."""
        self.close()


class TextStream:
    """The text of a stream, piece by piece, for `for` and for `async for`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> TextStream:
        return self

    def __next__(self) -> str:
        while True:
            part = next(self._stream)
            if type(part) is TextDelta:
                return part.text

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        while True:
            part = await anext(self._stream)
            if type(part) is TextDelta:
                return part.text
