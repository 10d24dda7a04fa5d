"""What an attempt costs, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder, ChatRequest, EncodedRequest, Headers, ListedModel
from routerd.providers.openai import OpenAIAdapter
from routerd_proto.frames import Usage
from tests.daemon.execute.run import INPUT_TOKENS, Run
from tests.daemon.execute.scripted import (
    Vendor,
    answer,
    cut,
)


@pytest.mark.parametrize(
    ("used", "priced", "basis", "nanodollars"),
    [
        ((10, 5), True, "measured", 20_000),
        (None, True, "estimated", INPUT_TOKENS * 1000 + 2 * 2000),
        ((10, 5), False, "unknown", None),
        (None, False, "unknown", None),
    ],
)
async def test_what_an_answer_costs_and_how_that_is_known(
    used: tuple[int, int] | None,
    priced: bool,
    basis: str,
    nanodollars: int | None,
) -> None:
    async with Vendor(answer("Hello", used=used)) as vendor:
        target = vendor.target() if priced else vendor.target(price=None)
        run = await Run(target).go()
    (attempt,) = run.attempts
    assert (attempt.cost_basis, attempt.cost_nanodollars) == (basis, nanodollars)


class EarlyDecoder:
    """A decoder that was told the input before the answer, and never its end."""

    def __init__(self, inner: AnswerDecoder) -> None:
        self._inner = inner
        self.outcome = inner.outcome
        self.outcome.early_usage = Usage(input_tokens=7, cache_read_tokens=3, output_tokens=1)

    def feed(self, data: bytes) -> list[Any]:
        return self._inner.feed(data)

    def end(self) -> list[Any]:
        return self._inner.end()


class EarlyAdapter:
    """Chat Completions with usage before the answer."""

    name = "early"
    models_path = "/models"

    def __init__(self) -> None:
        self._inner = OpenAIAdapter()

    def authorize(self, key: str | None) -> Headers:
        return self._inner.authorize(key)

    def encode(self, request: ChatRequest) -> EncodedRequest:
        return self._inner.encode(request)

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        return EarlyDecoder(self._inner.decoder(stream=stream))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return self._inner.failure(status, headers, body)

    def list_models(self, body: bytes) -> list[ListedModel]:
        return self._inner.list_models(body)


async def test_what_was_told_before_a_cut_answer_is_better_than_a_guess() -> None:
    async with Vendor(cut("Hello, you"), adapter=EarlyAdapter()) as vendor:
        run = await Run(vendor.target(price=None)).go()
    (attempt,) = run.attempts
    assert attempt.usage == Usage(input_tokens=7, cache_read_tokens=3, output_tokens=3)


async def test_usage_that_was_reported_in_the_end_is_what_counts() -> None:
    async with Vendor(answer("Hello", used=(10, 5)), adapter=EarlyAdapter()) as vendor:
        run = await Run(vendor.target()).go()
    assert run.attempts[0].usage == Usage(input_tokens=10, output_tokens=5)
    assert run.attempts[0].cost_basis == "measured"
