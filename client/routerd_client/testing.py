"""A scripted fake router for the tests of apps: the real wire on a real socket, no model, no cost.

    with FakeRouter() as router:
        router.answer("smart", text="forty-two")
        assert router.client().complete("smart", "What is it?").text == "forty-two"
        assert router.calls[0].messages == "What is it?"

Or let code under test find it: `monkeypatch.setenv("ROUTERD_SOCKET", router.socket_path)`.

Rules of this file: the standard library and threads, so that it serves blocking and asyncio tests
alike. Every answer says that it is simulated.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self

from msgspec import Struct

from routerd_client.api import Client
from routerd_client.request import StreamPart
from routerd_proto import (
    PROTOCOL_VERSION,
    Conversation,
    ErrorInfo,
    ProtocolError,
    client_frame_reader,
    encode_frame,
    encode_frames,
    error_info,
)
from routerd_proto.frames import (
    CallEnded,
    CallRequested,
    CallStarted,
    ClientFrame,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
    FinishReason,
    TextDelta,
    Usage,
)
from routerd_proto.search import (
    EmbedRequested,
    Ranked,
    RankingAdded,
    RerankRequested,
    SearchRequested,
    VectorsAdded,
)

__all__ = ["FakeRouter"]

READ_BYTES: Final = 64 * 1024
HELLO: Final = DaemonHello(PROTOCOL_VERSION, "routerd_client.testing")


class _Script(Struct, kw_only=True):
    """What happens to one call, or to all further ones if no later script fits."""

    target: str | None
    parts: Sequence[StreamPart | VectorsAdded | RankingAdded]
    ending: Literal["end", "hang_up", "hold"] = "end"
    finish: FinishReason = "stop"
    error: ErrorInfo | None = None
    usage: Usage | None = None
    cost_nanodollars: int | None = 0
    degraded: str | None = None

    def end(self, decision_id: str) -> CallEnded:
        """Return the last frame of the answer."""
        return CallEnded(
            self.finish,
            decision_id,
            model="fake",
            deployment="fake",
            provider="fake",
            usage=self.usage,
            cost_nanodollars=self.cost_nanodollars,
            cost_basis="unknown" if self.cost_nanodollars is None else "estimated",
            attempts=1,
            degraded=self.degraded,
            simulated=True,
            error=self.error,
        )


class FakeRouter:
    """A router that does as it was told, in the order it was told.

    Each script serves one call, the last that fits a call serves all further ones. `target=None`
    fits every target; a call that no script fits fails with `unknown_target`. `calls`, `searches`
    (embeddings and rankings) and `commands` hold the requests as they arrived, lost ones that were
    sent again included.
    `hang_ups` holds the call ids of callers that left before their answer was complete.
    """

    def __init__(self) -> None:
        self.calls: list[CallRequested] = []
        self.searches: list[SearchRequested] = []
        self.commands: list[CommandRequested] = []
        self.hang_ups: list[str] = []
        self._folder = ""
        self._scripts: list[_Script] = []
        self._bodies: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    # What to do.

    def answer(
        self,
        target: str | None = None,
        *,
        text: str = "",
        finish: FinishReason = "stop",
        usage: Usage | None = None,
        cost_nanodollars: int | None = 0,
        degraded: str | None = None,
    ) -> None:
        """Answer with a text, in one part."""
        self._add(
            _Script(
                target=target,
                parts=[TextDelta(text)] if text else [],
                finish=finish,
                usage=usage,
                cost_nanodollars=cost_nanodollars,
                degraded=degraded,
            )
        )

    def stream(
        self,
        parts: Iterable[StreamPart | str],
        *,
        target: str | None = None,
        finish: FinishReason = "stop",
        hold: bool = False,
    ) -> None:
        """Answer with these parts, a string being a TextDelta.

        `hold`: do not end the answer after them, but wait until the caller hangs up.
        """
        ending: Literal["end", "hold"] = "hold" if hold else "end"
        frames = [TextDelta(part) if isinstance(part, str) else part for part in parts]
        self._add(_Script(target=target, parts=frames, finish=finish, ending=ending))

    def embed(
        self,
        vectors: Iterable[Sequence[float]],
        *,
        target: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Answer with these vectors, all of one length, one for each input."""
        packed = [struct.pack(f"<{len(vector)}f", *vector) for vector in vectors]
        part = VectorsAdded(0, len(packed[0]) // 4, b"".join(packed))
        self._add(_Script(target=target, parts=[part], usage=usage))

    def rerank(self, scores: Iterable[tuple[int, float]], *, target: str | None = None) -> None:
        """Answer with these documents, by index and score, the best first."""
        results = [Ranked(index, score) for index, score in scores]
        self._add(_Script(target=target, parts=[RankingAdded(results)]))

    def fail(
        self,
        code: str,
        message: str = "scripted to fail",
        *,
        target: str | None = None,
        after_parts: int = 0,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """End with the error of this code, after so many parts of text."""
        error = error_info(code, message, retry_after=retry_after, details=details)
        self._add(_Script(target=target, parts=_texts(after_parts), finish="error", error=error))

    def hang_up(self, *, after_parts: int = 0, target: str | None = None) -> None:
        """Close the connection without a word, after so many parts of text."""
        self._add(_Script(target=target, parts=_texts(after_parts), ending="hang_up"))

    def answer_command(self, name: str, body: Any) -> None:
        """Answer every command of this name with `body`."""
        self._bodies[name] = body

    def _add(self, script: _Script) -> None:
        with self._changed:
            self._scripts.append(script)

    # Where it is, and what it saw.

    @property
    def socket_path(self) -> str:
        """The path of the socket, for `Client(socket=...)` or $ROUTERD_SOCKET."""
        if not self._folder:
            raise RuntimeError("the fake router is not running: use it in a `with` block")
        return f"{self._folder}/routerd.sock"

    def client(self) -> Client:
        """Return a client of this router."""
        return Client(self.socket_path)

    def wait_for_hang_up(self, count: int = 1, timeout: float = 5.0) -> bool:
        """Wait until so many callers have left early; say whether they did within `timeout` s."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.hang_ups) >= count, timeout)

    # Life.

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="routerd-")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.socket_path)
        self._listener.listen(128)
        self._start(self._accept, self._listener)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            listener, self._listener = self._listener, None
            open_sockets = [*self._connections, *([listener] if listener else [])]
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it
        for thread in self._threads:
            thread.join()
        if listener is not None:
            listener.close()
        shutil.rmtree(self._folder)
        self._folder = ""

    def _start(
        self, run: Callable[[socket.socket], None], listener_or_connection: socket.socket
    ) -> None:
        arguments = (listener_or_connection,)
        thread = threading.Thread(target=run, args=arguments, name="FakeRouter", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                if self._listener is None:
                    connection.close()
                    return
                self._connections.add(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            _Connection(self, connection).serve()
        finally:
            with self._changed:
                self._connections.discard(connection)

    # What a connection asks.

    def _script_for(self, call: CallRequested | SearchRequested) -> _Script:
        with self._changed:
            if isinstance(call, CallRequested):
                self.calls.append(call)
            else:
                self.searches.append(call)
            fitting = [each for each in self._scripts if each.target in {None, call.target}]
            if len(fitting) > 1:
                self._scripts.remove(fitting[0])
        if fitting:
            return fitting[0]
        error = error_info("unknown_target", f"no script of this fake fits {call.target!r}")
        return _Script(target=None, parts=[], finish="error", error=error)

    def _answer_to(self, command: CommandRequested) -> CommandAnswered:
        with self._changed:
            self.commands.append(command)
        if command.name in self._bodies:
            return CommandAnswered(self._bodies[command.name])
        error = error_info("invalid_request", f"no script of this fake answers {command.name!r}")
        return CommandAnswered(error=error)

    def _note_hang_up(self, call: CallRequested | SearchRequested) -> None:
        with self._changed:
            if self._listener is not None:  # else it is the fake itself that hangs up
                self.hang_ups.append(call.call_id)
                self._changed.notify_all()


class _Connection:
    """One caller's connection, served in a thread of its own."""

    def __init__(self, router: FakeRouter, connection: socket.socket) -> None:
        self._router = router
        self._socket = connection
        self._conversation = Conversation()

    def serve(self) -> None:
        """Answer until either side hangs up."""
        reader = client_frame_reader()
        with self._socket, contextlib.suppress(OSError):
            try:
                while data := self._socket.recv(READ_BYTES):
                    for frame in reader.feed(data):
                        self._conversation.advance(frame)
                        if not self._take(frame):
                            return
            except ProtocolError as error:
                self._socket.sendall(encode_frame(ConnectionEnded(error.info)))

    def _send(self, *frames: Struct) -> None:
        for frame in frames:
            self._conversation.advance(frame)
        self._socket.sendall(encode_frames(frames))

    def _take(self, frame: ClientFrame) -> bool:
        """Answer one frame; say whether the connection goes on."""
        match frame:
            case ClientHello():
                self._send(HELLO)
            case CommandRequested():
                self._send(self._router._answer_to(frame))  # noqa: SLF001 - this file's own
            case CallRequested() | EmbedRequested() | RerankRequested():
                return self._answer(frame, self._router._script_for(frame))  # noqa: SLF001
        return True

    def _answer(self, call: CallRequested | SearchRequested, script: _Script) -> bool:
        decision_id = f"fake-{call.call_id}"
        try:
            self._send(CallStarted(decision_id))
            for part in script.parts:
                self._send(part)
            if script.ending == "hold":
                while self._socket.recv(READ_BYTES):
                    pass
                self._router._note_hang_up(call)  # noqa: SLF001
        except OSError:
            self._router._note_hang_up(call)  # noqa: SLF001
            return False
        if script.ending == "end":
            self._send(script.end(decision_id))
            return True
        return False


def _texts(count: int) -> list[StreamPart]:
    return [TextDelta(f"part {number} ") for number in range(1, count + 1)]
