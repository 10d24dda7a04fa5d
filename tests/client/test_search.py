"""Vectors and rankings as apps ask for them, against the scripted fake: every way and every end."""

from __future__ import annotations

import pickle
import struct
from array import array
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest

import routerd_client
from routerd_client import (
    Client,
    ConnectionLost,
    Embeddings,
    ProviderError,
    Ranked,
    RouterdError,
    Usage,
)
from routerd_client.testing import FakeRouter
from routerd_proto.frames import CallOptions
from routerd_proto.search import EmbedRequested, RankingAdded, RerankRequested, VectorsAdded

VECTORS = [[0.5, -1.0], [0.25, 2.0], [0.0, 1.0]]
TEXTS = ["a", "b", "c"]
Answer = TypeVar("Answer")


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter() as running:
        yield running


async def both(
    blocking: Callable[[Client], Answer],
    awaited: Callable[[Client], Awaitable[Answer]],
    router: FakeRouter,
) -> list[Answer]:
    """Ask once in a thread and once on the loop."""
    async with router.client() as client:
        return [await anyio.to_thread.run_sync(blocking, client), await awaited(client)]


async def test_vectors_come_in_the_order_of_the_inputs(router: FakeRouter) -> None:
    router.embed(VECTORS, usage=Usage(input_tokens=3))
    for answer in await both(
        lambda client: client.embed("embed", TEXTS, dimensions=2, purpose="query", tenant="acme"),
        lambda client: client.aembed("embed", TEXTS, dimensions=2, purpose="query", tenant="acme"),
        router,
    ):
        assert [list(vector) for vector in answer.vectors] == VECTORS
        assert (answer.dimensions, answer.missing, answer.model) == (2, [], "fake")
        assert answer.usage == Usage(input_tokens=3)
        assert bytes(memoryview(answer.vectors[0])) == struct.pack("=2f", *VECTORS[0])
    assert len({search.call_id for search in router.searches}) == 2
    for search in router.searches:
        assert search == EmbedRequested(
            search.call_id, "embed", TEXTS, CallOptions(tenant="acme"), 2, "query"
        )


async def test_one_text_is_one_input(router: FakeRouter) -> None:
    router.embed(VECTORS[:1])
    async with router.client() as client:
        answer = await client.aembed("embed", "a")
    assert answer.vectors == [array("f", VECTORS[0])]


async def test_a_ranking_says_which_documents_are_best(router: FakeRouter) -> None:
    router.rerank([(2, 0.75), (0, -1.5)])
    for answer in await both(
        lambda client: client.rerank("rerank", "q", TEXTS, top=2, truncate=True, timeout=5),
        lambda client: client.arerank("rerank", "q", TEXTS, top=2, truncate=True, timeout=5),
        router,
    ):
        assert answer.results == [Ranked(2, 0.75), Ranked(0, -1.5)]
        assert answer.of(TEXTS) == ["c", "a"]
    for search in router.searches:
        options = CallOptions(timeout=5)
        assert search == RerankRequested(
            search.call_id, "rerank", "q", TEXTS, options, 2, truncate=True
        )


async def test_the_functions_of_the_module_are_the_same(
    router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTERD_SOCKET", router.socket_path)
    router.embed(VECTORS, target="embed")
    router.rerank([(1, 0.5)], target="rerank")
    first = await anyio.to_thread.run_sync(routerd_client.embed, "embed", TEXTS)
    second = await routerd_client.aembed("embed", TEXTS)
    assert first.vectors == second.vectors
    third = await anyio.to_thread.run_sync(
        lambda: routerd_client.rerank("rerank", "q", TEXTS, top=1)
    )
    fourth = await routerd_client.arerank("rerank", "q", TEXTS, top=1)
    assert third.results == fourth.results == [Ranked(1, 0.5)]
    await routerd_client.default_client().aclose()


async def test_what_came_before_an_error_is_not_lost(router: FakeRouter) -> None:
    script(router, [VectorsAdded(1, 2, struct.pack("<2f", 0.25, 2.0))], error="same_model_only")
    async with router.client() as client:
        with pytest.raises(ProviderError) as caught:
            await client.aembed("embed", TEXTS)
    error = caught.value
    assert error.code == "same_model_only"
    assert isinstance(error.found, Embeddings)
    assert [list(vector) for vector in error.found.vectors] == [[], [0.25, 2.0], []]
    assert error.found.missing == [0, 2]
    assert error.reply is None
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.code, copied.found) == (error.code, error.found)


async def test_an_error_without_vectors_has_none(router: FakeRouter) -> None:
    router.fail("rate_limit", retry_after=2.0)
    async with router.client() as client:
        with pytest.raises(ProviderError) as caught:
            await client.arerank("rerank", "q", TEXTS)
    assert (caught.value.found, caught.value.retry_after) == (None, 2.0)
    assert caught.value.decision_id


@pytest.mark.parametrize(
    "parts",
    [
        [VectorsAdded(0, 2, bytes(8))],  # of three
        [VectorsAdded(0, 2, bytes(24)), VectorsAdded(0, 2, bytes(8))],
        [VectorsAdded(2, 2, bytes(16))],
        [VectorsAdded(-1, 2, bytes(24))],
        [VectorsAdded(0, 0, b"")],
        [VectorsAdded(0, 2, bytes(23))],
        [],
        [RankingAdded([])],
    ],
)
async def test_an_answer_with_a_hole_is_no_answer(router: FakeRouter, parts: list[Any]) -> None:
    script(router, parts)
    async with router.client() as client:
        with pytest.raises(RouterdError) as caught:
            await client.aembed("embed", TEXTS)
    assert caught.value.code == "protocol_error"


async def test_a_lost_call_is_sent_again_and_one_that_had_begun_to_answer_is_not(
    router: FakeRouter,
) -> None:
    router.hang_up(target="embed")
    router.embed(VECTORS, target="embed")
    async with router.client() as client:
        answer = await client.aembed("embed", TEXTS)
        assert [list(vector) for vector in answer.vectors] == VECTORS
        first, second = router.searches
        assert (first.call_id, first.sends, second.sends) == (second.call_id, 0, 1)
        script(router, [VectorsAdded(0, 2, bytes(8))], ending="hang_up", target="late")
        with pytest.raises(ConnectionLost) as caught:
            await client.aembed("late", TEXTS)
    assert isinstance(caught.value.found, Embeddings)
    assert caught.value.found.missing == [1, 2]
    assert len(router.searches) == 3


def test_an_option_for_chat_is_refused_before_anything_is_sent(router: FakeRouter) -> None:
    with router.client() as client:
        with pytest.raises(TypeError, match="has no option 'temperature'"):
            client.embed("embed", TEXTS, temperature=1.0)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="did you mean tenant"):
            client.rerank("rerank", "q", TEXTS, tennant="acme")  # type: ignore[call-arg]
    assert router.searches == []


def script(router: FakeRouter, parts: list[Any], **more: Any) -> None:
    """Have the fake send just these frames."""
    from routerd_client.testing import _Script  # noqa: PLC0415 - what the fake cannot say
    from routerd_proto import error_info  # noqa: PLC0415 - only here

    error = more.pop("error", None)
    if error is not None:
        more |= {"error": error_info(error, "scripted"), "finish": "error"}
    target = more.pop("target", None)
    router._add(_Script(target=target, parts=parts, **more))
