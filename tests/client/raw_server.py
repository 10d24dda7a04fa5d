"""A server that writes bytes as a test tells it to, legal or not."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from msgspec import Struct

from routerd_proto import PROTOCOL_VERSION, client_frame_reader, encode_frames
from routerd_proto.frames import (
    CallEnded,
    CallRequested,
    CallStarted,
    ClientFrame,
    DaemonHello,
    TextDelta,
)

HELLO = DaemonHello(PROTOCOL_VERSION, "raw", 1 << 24)
STARTED = CallStarted("decision-1", "0" * 32)
ENDED = CallEnded("stop", "decision-1", model="m", simulated=True)
WHOLE: tuple[Struct, ...] = (STARTED, TextDelta("for"), TextDelta("ty"), ENDED)


class RawConnection:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._reader = client_frame_reader()
        self._frames: list[ClientFrame] = []

    def next(self) -> ClientFrame | None:
        """Wait for the client's next frame; None for its hang-up."""
        while not self._frames:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._frames += self._reader.feed(data)
        return self._frames.pop(0)

    def next_call(self) -> CallRequested | None:
        """Wait for the next call, past the greeting."""
        while (frame := self.next()) is not None:
            if isinstance(frame, CallRequested):
                return frame
        return None

    def send(self, *frames: Struct) -> None:
        self.socket.sendall(encode_frames(frames))


class RawServer:
    """Run one function for each connection, the last one for all further ones, in threads.

    A connection closes when its function returns. What a function raises fails the test.
    """

    def __init__(self, *scripts: Callable[[RawConnection], None], backlog: int = 64) -> None:
        self.scripts = scripts
        self.connections = 0
        self.backlog = backlog
        self.folder = tempfile.mkdtemp(prefix="raw-")
        self.path = f"{self.folder}/s"
        self._failures: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._listener.bind(self.path)
        self._listener.listen(self.backlog)
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        shutil.rmtree(self.folder)
        if self._failures:
            raise self._failures[0]

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            self._open.add(sock)
            self._start(lambda sock=sock, script=script: self._serve(sock, script))  # type: ignore[misc]

    def _serve(self, sock: socket.socket, script: Callable[[RawConnection], None]) -> None:
        try:
            script(RawConnection(sock))
        except BaseException as error:  # noqa: BLE001 - raised again at the end
            self._failures.append(error)
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            self._open.discard(sock)


def answering(
    *frames: Struct, hello: Iterable[Struct] = (HELLO,)
) -> Callable[[RawConnection], None]:
    """Make a script that answers every call of a connection with these frames."""

    def script(connection: RawConnection) -> None:
        before: tuple[Struct, ...] = tuple(hello)
        while connection.next_call() is not None:
            connection.send(*before, *frames)
            before = ()

    return script


def once(*frames: Struct) -> Callable[[RawConnection], None]:
    """Make a script that answers one call with these frames and closes."""

    def script(connection: RawConnection) -> None:
        if connection.next_call() is not None:
            connection.send(HELLO, *frames)

    return script
