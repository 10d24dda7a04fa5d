"""What every request of a channel carries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.redaction import redacted
from routerd.providers.registry import build_adapter
from routerd.providers.transport import Channel, Sending, read_content

KEY = "Ab3dEfGhJkLmNp7RsTuVwXyZ01234567"


async def ask(channel: Channel) -> bytes:
    response = await channel.send("/chat", [(b"x-mine", b"1")], b"{}", Sending())
    try:
        return await read_content(response)
    finally:
        await response.aclose()


@pytest.mark.parametrize("named", [None, "routerd/1.2.3"])
async def test_every_request_says_who_is_asking(engine: str, serve: Any, make: Any, named: Any):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer()

    server = await serve(handler)
    headers = build_adapter("openai").authorize(KEY)
    options = {} if named is None else {"user_agent": named}
    channel = Channel(await make(engine), server.url(), headers, connect_seconds=5.0, **options)
    await ask(channel)
    await (await channel.get("/models")).aclose()
    await channel.warm("/models", 1, 5.0)
    expected = b"routerd" if named is None else b"routerd/1.2.3"
    assert len(server.requests) == 3
    for received in server.requests:
        agents = [value for name, value in received.headers if name.lower() == b"user-agent"]
        assert agents == [expected]
        assert received.header(b"authorization") == b"Bearer " + KEY.encode()
    assert KEY not in repr(channel)


async def test_a_header_of_the_adapter_names_the_agent_before(serve: Any, make: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer()

    server = await serve(handler)
    channel = Channel(
        await make(), server.url(), [(b"User-Agent", b"vendor-client/1")], connect_seconds=5.0
    )
    await ask(channel)
    (received,) = server.requests
    assert [value for name, value in received.headers if name.lower() == b"user-agent"] == [
        b"vendor-client/1"
    ]


async def test_a_server_that_quotes_the_key_it_was_sent_is_not_quoted(serve: Any, make: Any):
    async def handler(connection: Any) -> None:
        received = await connection.read_request()
        token = received.header(b"authorization").removeprefix(b"Bearer ").decode()
        error = {"message": f"invalid token '{token}'", "code": f"bad_{token}"}
        body = json.dumps({"object": "error", **error}).encode()
        await connection.answer(body, status="401 Unauthorized")

    server = await serve(handler)
    adapter = build_adapter("openai", "mistral")
    channel = Channel(await make(), server.url(), adapter.authorize(KEY), connect_seconds=5.0)
    failure = redacted(adapter.failure(401, {}, await ask(channel)), channel)
    assert (failure.message, failure.code) == ("invalid token '***'", "bad_***")
