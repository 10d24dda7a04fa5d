"""One client shared: by threads and tasks, by loops one after the other, across a fork."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import pytest
import uvloop

from routerd_client import Client, TextDelta
from routerd_client.testing import FakeRouter

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def block(client: Client, number: int, texts: list[str]) -> None:
    for _ in range(10):
        texts.append(client.complete(str(number), "x").text)
        texts.append("".join(client.stream(str(number), "x").text))


async def ask(client: Client, number: int, texts: list[str]) -> None:
    for _ in range(5):
        texts.append((await client.acomplete(str(number), "x")).text)
        texts.append("".join([text async for text in client.stream(str(number), "x").text]))


async def ask_at_once(client: Client, texts: list[list[str]]) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(ask(client, number, texts[number]))


@pytest.mark.parametrize("make_loop", LOOPS)
def test_threads_and_tasks_and_loops_share_a_client(
    router: FakeRouter, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    for number in range(8):
        router.stream([f"{number}-", "a", "b"], target=str(number))
    texts: list[list[str]] = [[] for _ in range(8)]
    client = router.client()

    def run_loop() -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(ask_at_once(client, texts))

    threads = [threading.Thread(target=block, args=(client, n, texts[n])) for n in range(8)]
    threads += [threading.Thread(target=run_loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert texts == [[f"{number}-ab"] * (10 * 2 + 2 * 5 * 2) for number in range(8)]


def test_connections_are_used_again_and_bounded(router: FakeRouter) -> None:
    router.answer(text="ok")
    with Client(router.socket_path, max_idle=2) as client:
        streams = [client.stream("smart", "x") for _ in range(5)]
        for stream in streams:
            next(stream)
        for stream in streams:
            assert list(stream) == []
        assert len(client._blocking_pool._idle) == 2
        for _ in range(20):
            client.complete("smart", "x")
    assert client._blocking_pool._idle == []


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_loop_that_ended_leaves_nothing_behind(
    router: FakeRouter, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    router.answer(text="ok")
    client = router.client()
    loops = []
    for _ in range(3):
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(client.acomplete("smart", "x"))
            loops.append(weakref.ref(runner.get_loop()))
        del runner
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3
    pools = client._async_pools
    assert pools is not None
    assert len(pools._pools) == 0


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_client_that_is_dropped_closes_its_connections(
    router: FakeRouter, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    router.answer(text="ok")

    async def ask_and_drop() -> None:
        await router.client().acomplete("smart", "x")

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(ask_and_drop())
        router.client().complete("smart", "x")
        gc.collect()
        while router._connections:  # the fake sees each hang-up in a thread of its own
            threading.Event().wait(0.01)


def test_nothing_is_reported_unclosed_at_exit(router: FakeRouter) -> None:
    router.answer(text="ok")
    code = """
import asyncio, sys
import routerd_client
from routerd_client import Client
client = Client()
assert client.complete("smart", "x").text == "ok"
assert routerd_client.complete("smart", "x").text == "ok"
async def ask():
    assert (await client.acomplete("smart", "x")).text == "ok"
    return client.stream("smart", "x")
stream = asyncio.run(ask())
open_stream = client.stream("smart", "x")
next(open_stream)
"""
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        env={**os.environ, "ROUTERD_SOCKET": router.socket_path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def in_a_forked_child(work: Callable[[], None]) -> int:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def test_a_forked_child_makes_its_own_connections(router: FakeRouter) -> None:
    router.answer(text="ok")
    with router.client() as client:
        client.complete("smart", "x")
        (link,) = client._blocking_pool._idle

        def work() -> None:
            assert client._blocking_pool._idle == []
            assert link._socket.fileno() == -1
            assert client.complete("smart", "child").text == "ok"
            assert asyncio.run(client.acomplete("smart", "child")).text == "ok"

        with client._blocking_pool._lock:  # as if another thread held it at the fork
            assert in_a_forked_child(work) == 0
        assert client.complete("smart", "x").text == "ok"
        assert client._blocking_pool._idle == [link]
    assert [call.messages for call in router.calls] == ["x", "child", "child", "x"]


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_forked_child_does_not_touch_the_parents_loop(
    router: FakeRouter, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    router.stream(["a", "b"])
    client = router.client()
    with asyncio.Runner(loop_factory=make_loop) as runner:

        async def begin() -> tuple[object, object]:
            await client.acomplete("smart", "x")
            stream = client.stream("smart", "x")
            return stream, await anext(stream)

        stream, part = runner.run(begin())
        assert part == TextDelta("a")

        def work() -> None:
            stream.close()  # type: ignore[attr-defined]
            client._async_pools.after_fork()  # type: ignore[union-attr]
            gc.collect()
            with asyncio.Runner(loop_factory=make_loop) as other:
                assert other.run(client.acomplete("smart", "child")).text == "ab"

        assert in_a_forked_child(work) == 0

        async def go_on() -> list[object]:
            return [part async for part in stream]  # type: ignore[attr-defined]

        assert runner.run(go_on()) == [TextDelta("b")]
        assert runner.run(client.acomplete("smart", "x")).text == "ab"


def test_a_hang_up_is_seen_though_a_forked_child_holds_the_descriptor(router: FakeRouter) -> None:
    router.stream(["a"], hold=True)
    with router.client() as client:
        stream = client.stream("smart", "x")
        next(stream)
        reading, writing = os.pipe()

        def work() -> None:
            os.close(writing)
            os.read(reading, 1)

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        os.close(reading)
        stream.close()
        assert router.wait_for_hang_up()
        os.close(writing)
        process.join()


def test_a_dropped_client_is_forgotten_by_the_fork_hook(router: FakeRouter) -> None:
    client = weakref.ref(router.client())
    gc.collect()
    assert client() is None
