"""How these tests speak to the simulator: plain requests and plain reading, for each vendor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.simulate import Simulator

MODEL = "model-1"
SAID = "How is the harbour today?"


class Dialect:
    """What a test needs to know of one vendor's wire, written by hand."""

    model = MODEL
    said = SAID

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.openai = vendor == "openai"
        self.path = "/openai/v1/chat/completions" if self.openai else "/anthropic/v1/messages"
        self.headers = {"content-type": "application/json", "authorization": "Bearer test"}
        if not self.openai:
            self.headers["anthropic-version"] = "2023-06-01"
        self.end = b"data: [DONE]\n\n" if self.openai else b'data: {"type":"message_stop"}\n\n'

    def body(self, *, stream: bool, said: str = SAID, **more: Any) -> dict[str, Any]:
        body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": said}]}
        if not self.openai:
            body["max_tokens"] = 4096
        return body | {"stream": stream} | more

    async def post(
        self, client: httpx.AsyncClient, *, stream: bool = False, **more: Any
    ) -> httpx.Response:
        return await client.post(
            self.path, headers=self.headers, json=self.body(stream=stream, **more)
        )

    async def raw(
        self, simulator: Simulator, *, stream: bool, **more: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a call over a bare connection."""
        host, _, port = simulator.base_url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(self.body(stream=stream, **more)).encode()
        head = [f"POST {self.path} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        return reader, writer

    def events(self, data: bytes) -> list[dict[str, Any]]:
        """Read the events of a stream; those that are no JSON are left out."""
        events = []
        for event in data.split(b"\n\n"):
            _, found, payload = event.partition(b"data: ")
            try:
                events.append(json.loads(payload) if found else None)
            except json.JSONDecodeError:
                continue
        return [event for event in events if event is not None]

    def text_of_stream(self, data: bytes) -> str:
        pieces = []
        for event in self.events(data):
            if self.openai:
                pieces += [one["delta"].get("content") or "" for one in event.get("choices", ())]
            elif event["type"] == "content_block_delta":
                pieces.append(event["delta"].get("text", ""))
        return "".join(pieces)

    def text_of_body(self, body: Any) -> str:
        if self.openai:
            return str(body["choices"][0]["message"]["content"])
        return "".join(block["text"] for block in body["content"] if block["type"] == "text")


@pytest.fixture(params=["openai", "anthropic"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)


@pytest.fixture
def openai() -> Dialect:
    return Dialect("openai")


@pytest.fixture
def anthropic() -> Dialect:
    return Dialect("anthropic")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as opened:
        yield opened
