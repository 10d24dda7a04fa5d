"""A provider that only notes which key it is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["recording_server"]


@contextmanager
def recording_server() -> Iterator[tuple[str, list[str]]]:
    """Run a server that lists no models and refuses calls; its address and the headers it noted.

    What is noted is the Authorization header of each request, empty where there is none.
    """
    noted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.answer(403)

        def answer(self, status: int) -> None:
            noted.append(self.headers.get("authorization", ""))
            body = b'{"object":"list","data":[]}'
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", noted
        finally:
            server.shutdown()
            thread.join()
