"""Connections between calls: which of them carries the next one, and which carries none."""

from __future__ import annotations

from typing import Any

import anyio


async def test_who_rests_longest_is_used_next_whatever_the_path(
    serve: Any, make: Any, fetch: Any
) -> None:
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.server.until(lambda: connection.server.accepted == 3)
            await connection.answer(b"%d" % connection.number)

    server = await serve(handler)
    transport = await make()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(fetch, transport, server.url())
            server.changed.set()
    used = [(await fetch(transport, server.url(f"/{n}")))[1] for n in range(6)]
    assert sorted(used[:3]) == [b"1", b"2", b"3"]
    assert used[3:] == used[:3]
    assert server.accepted == 3


async def test_one_that_was_told_to_close_carries_no_more(
    serve: Any, make: Any, fetch: Any
) -> None:
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer(more=b"connection: close\r\n")
        await connection.until_closed()

    server = await serve(handler)
    transport = await make()
    for calls in (1, 2):
        assert await fetch(transport, server.url()) == (200, b"ok")
        await server.until(lambda calls=calls: len(server.closed_by_client) == calls)
    assert server.accepted == 2
