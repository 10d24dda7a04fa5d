"""Nothing that was said, and no key, is written down: marked words are looked for everywhere.

The providers here are at their worst: they quote the key and the prompt in every error.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import msgspec
import pytest
from aiohttp import web

from routerd_client import Client, Image, Message, RouterdError, Text, ToolCall, ToolResult
from tests.e2e.asking import WAYS, ask, until_idle
from tests.e2e.conftest import NO_DISCOVERY, Daemon
from tests.e2e.raw import connect, prefixed

KEYS: Final = {
    "anthropic": "sk-ant-api03-MARKERKEYFILE4711MARKERKEYFILE4711",
    "openai": "sk-proj-MARKERENVIRONMENT4711MARKERENVIRONMENT",
}
PICTURE: Final = b"MARKERPICTURE4711MARKERPICTURE4711"
# Every marker that goes in or comes out begins so, and nothing else does.
MARKER: Final = b"MARKER"
MARKED_FORMS: Final = (MARKER, base64.b64encode(PICTURE)[:16])
ANSWER: Final = "MARKERANSWER4711"
ARGUMENTS: Final = '{"city": "MARKERARGUMENT4711"}'

MESSAGES: Final = [
    Message("system", "MARKERSYSTEM4711"),
    Message("user", [Text("MARKERUSER4711"), Image(data=PICTURE, media_type="image/png")]),
    Message("assistant", [ToolCall("call_1", "weather", '{"city": "MARKERCALL4711"}')]),
    Message("tool", [ToolResult("call_1", "MARKERRESULT4711")]),
    Message("user", "MARKERLAST4711"),
]
OPTIONS: Final[dict[str, Any]] = {
    "tools": [
        {
            "name": "weather",
            "description": "MARKERDESCRIPTION4711",
            "parameters": {"type": "object", "properties": {"MARKERPROPERTY4711": {}}},
        }
    ],
    "stop": ["MARKERSTOP4711"],
    "tenant": "acme",
    "task": "forecast",
}


def in_stream(vendor: str, *, error: str | None, broken: bool = False) -> bytes:
    """Write a stream that says the answer and calls a tool; it may end with an error."""
    if vendor == "openai":
        events = [
            openai_event({"role": "assistant", "content": ANSWER}),
            openai_event(
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_2",
                            "type": "function",
                            "function": {"name": "weather", "arguments": ARGUMENTS},
                        }
                    ]
                }
            ),
            b'data: {"MARKERBROKEN": \n\n' if broken else b"",
            openai_event({}, finish="tool_calls"),
            b"data: [DONE]\n\n",
        ]
        failure = b"data: " + msgspec.json.encode({"error": {"message": error, "code": "boom"}})
        return b"".join(events if error is None else [*events[:2], failure, b"\n\n"])
    events = [
        anthropic_event(
            "message_start",
            message={
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-opus-5-5",
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 5, "output_tokens": 1},
            },
        ),
        anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        anthropic_event(
            "content_block_delta", index=0, delta={"type": "text_delta", "text": ANSWER}
        ),
        anthropic_event("content_block_stop", index=0),
        b'event: content_block_delta\ndata: {"MARKERBROKEN": \n\n' if broken else b"",
        anthropic_event(
            "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}
        ),
        anthropic_event("message_stop"),
    ]
    failure = anthropic_event("error", error={"type": "api_error", "message": error})
    return b"".join(events if error is None else [*events[:3], failure])


def openai_event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "gpt-6-luna",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def anthropic_event(kind: str, **fields: Any) -> bytes:
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


class Gossip:
    """A provider that repeats all it was told, in the way `mode` says; also a trace collector."""

    def __init__(self) -> None:
        self.mode = "400"
        self.url = ""
        self.told: list[bytes] = []
        self.traces: list[bytes] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.path == "/v1/traces":
            self.traces.append(body)
            return web.Response()
        if request.method != "POST":
            return web.json_response({"data": []})
        vendor = "openai" if "openai" in request.path else "anthropic"
        head = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
        self.told.append(head.encode() + body)
        quote = f"MARKERERROR4711 you said {head} and {body.decode()}"
        if self.mode.isdecimal():
            error: dict[str, Any] = {
                "type": "invalid_request_error",
                "message": quote,
                "param": quote,
                "code": quote,
            }
            error["details"] = {"error_code": quote}
            return web.json_response({"type": "error", "error": error}, status=int(self.mode))
        if self.mode == "page":
            return web.Response(
                status=502, text=f"<title>{quote}</title>", content_type="text/html"
            )
        if self.mode == "nonsense":
            return web.Response(text=quote)
        error_text = quote if self.mode == "error in stream" else None
        data = in_stream(vendor, error=error_text, broken=self.mode == "broken event")
        return web.Response(body=data, content_type="text/event-stream")


MODES: Final = (
    "400",
    "401",
    "404",
    "429",
    "500",
    "page",
    "nonsense",
    "error in stream",
    "broken event",
    "answer",
)


@pytest.fixture
async def gossip() -> AsyncIterator[Gossip]:
    gossip = Gossip()
    server = web.Server(gossip.answer)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    gossip.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield gossip
    listener.close()
    await server.shutdown(0)
    await listener.wait_closed()


async def everything(client: Client) -> bytes:
    """Return all that a daemon tells about itself and its calls."""
    calls = await client.acommand("calls", limit=1000)
    records = [await client.acommand("explain", decision_id=one["decision_id"]) for one in calls]
    return msgspec.json.encode([calls, records, await client.acommand("status")])


def written(daemon: Daemon) -> dict[str, bytes]:
    """Return the files a daemon has written: its log, and all of its ledger."""
    return {path.name: path.read_bytes() for path in daemon.folder.glob("*") if is_own(path)}


def is_own(path: Path) -> bool:
    return path.is_file() and path.name not in {"key", "routerd.toml"}


def check_clean(name: str, data: bytes) -> None:
    for form in MARKED_FORMS:
        at = data.find(form)
        assert at < 0, f"{name} holds {data[max(0, at - 80) : at + 40]!r}"


@pytest.mark.time_limit(60)
async def test_no_key_and_no_word_is_written_down(
    gossip: Gossip, launch: Callable[..., Daemon], tmp_path: Path
) -> None:
    await anyio.Path(tmp_path / "key").write_text(KEYS["anthropic"] + "\n")
    configuration = (
        f'{NO_DISCOVERY}[log]\nlevel = "debug"\n'
        f'[providers.anthropic]\nbase_url = "{gossip.url}/anthropic"\nkey_file = "{tmp_path}/key"\n'
        f'[providers.openai]\nbase_url = "{gossip.url}/openai/v1"\n'
    )
    await anyio.Path(tmp_path / "routerd.toml").write_text(configuration)
    environ = {"OPENAI_API_KEY": KEYS["openai"], "OTEL_EXPORTER_OTLP_ENDPOINT": gossip.url}
    start = partial(launch, f"--config={tmp_path}/routerd.toml", environ=environ)
    daemon = await anyio.to_thread.run_sync(lambda: start().wait_until_ready())
    errors: list[RouterdError] = []
    answers = 0
    async with daemon.client() as client:
        for gossip.mode in MODES:
            for target in ("smart", "cheap"):
                for way in WAYS:
                    heard = await ask(client, way, target, MESSAGES, **OPTIONS)
                    errors += [heard.error] if heard.error is not None else []
                    answers += ANSWER in heard.text
        # A caller's own mistakes, with words in the wrong places.
        heard = await ask(client, "stream", "MARKERTARGET Tell me a story", "smart")
        assert heard.failure.code == "unknown_target"
        for body in ([2, "1", ["MARKERTARGET"], "x"], [3, {"MARKERNAME": 1}], [99, "MARKERFRAME"]):
            async with connect(daemon.socket) as connection:
                await connection.send_bytes(prefixed(msgspec.msgpack.encode([1, 1])))
                await connection.send_bytes(prefixed(msgspec.msgpack.encode(body)))
                await connection.read_to_end()
        await until_idle(client)
        check_clean("what the daemon tells", await everything(client))
    # The markers did travel, or nothing was tested.
    assert answers
    assert {error.code for error in errors} >= {"bad_request", "auth", "not_found", "interrupted"}
    told = b"".join(gossip.told)
    for marker in (*KEYS.values(), "MARKERSYSTEM", "MARKERRESULT", "MARKERSTOP"):
        assert marker.encode() in told
    for error in errors:
        assert not any(key[7:] in f"{error}{error.details}" for key in KEYS.values())
    for name, data in (await anyio.to_thread.run_sync(written, daemon)).items():
        check_clean(name, data)
    assert await anyio.to_thread.run_sync(daemon.stop) == 0
    files = await anyio.to_thread.run_sync(written, daemon)
    assert {"ledger.db", "stderr.log"} <= files.keys()
    assert b"forecast" in files["ledger.db"]
    assert b"forecast" in files["stderr.log"]
    for name, data in files.items():
        check_clean(name, data)
    assert any(b"forecast" in spans for spans in gossip.traces)
    check_clean("traces", b"".join(gossip.traces))
