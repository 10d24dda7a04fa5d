"""A provider's key never comes back to the caller, whatever it looks like."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Adapter
from routerd.providers.redaction import Redactor, redacted
from routerd.providers.registry import build_adapter
from routerd.providers.transport import AiohttpTransport, Channel
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Vendor

KEY = "Ab3dEfGhJkLmNp7RsTuVwXyZ01234567"
ADAPTERS = [build_adapter("openai", "mistral"), build_adapter("anthropic")]
NOWHERE = AiohttpTransport(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
both = pytest.mark.parametrize("adapter", ADAPTERS, ids=["openai", "anthropic"])


def channel(adapter: Adapter, key: str = KEY, base_url: str = "https://example.org/v1") -> Channel:
    return Channel(NOWHERE, base_url, adapter.authorize(key), connect_seconds=1.0)


def failure_inside(adapter: Adapter, error: Any) -> Failure:
    decoder = adapter.decoder(stream=True)
    decoder.feed(b"event: error\ndata: " + json.dumps({"error": error}).encode() + b"\n\n")
    decoder.end()
    assert decoder.outcome.failure is not None
    return decoder.outcome.failure


@both
@pytest.mark.parametrize(
    "message",
    [
        f"invalid token '{KEY}'",
        f"{KEY}",
        f"no access for {KEY}: see the console",
        f"got authorization Bearer {KEY}, expected another",
        f"{KEY}{KEY}",
    ],
)
def test_a_key_of_no_known_shape_is_masked(adapter: Adapter, message: str) -> None:
    error = {"message": message, "type": "t", "code": f"no_{KEY}", "param": KEY}
    for failure in (
        adapter.failure(401, {}, json.dumps({"error": error}).encode()),
        adapter.failure(401, {}, message.encode()),
        failure_inside(adapter, error),
    ):
        # Only the channel can know that it is one, unless the provider says so.
        assert KEY in failure.message or "Bearer" in message
        masked = redacted(failure, channel(adapter))
        assert KEY not in repr(masked)
        assert "***" in masked.message
        assert masked.error_class is failure.error_class
        assert masked.status == failure.status


@both
@pytest.mark.parametrize("room", range(460, 502, 3))
def test_a_key_that_is_cut_off_with_the_message_is_masked(adapter: Adapter, room: int) -> None:
    body = json.dumps({"error": {"message": "x " * (room // 2) + KEY + " y" * 100}}).encode()
    masked = redacted(adapter.failure(401, {}, body), channel(adapter))
    assert KEY[:8] not in masked.message


@both
def test_what_is_not_secret_stays(adapter: Adapter) -> None:
    text = "2023-06-01 is no version of example.org for user-agent routerd (Bearer)"
    failure = Failure(ErrorClass.AUTH, text)
    assert redacted(failure, channel(adapter)) == failure
    without = Channel(
        NOWHERE,
        "https://example.org",
        adapter.authorize(None),
        connect_seconds=1.0,
    )
    assert without.redact(text) == text


@both
def test_a_short_key_is_masked_only_where_it_stands_alone(adapter: Adapter) -> None:
    mask = channel(adapter, "none").redact
    assert mask("invalid token 'none'") == "invalid token '***'"
    assert mask("nonetheless") == "nonetheless"
    assert channel(adapter, "k").redact("invalid token k, like") == "invalid token k, like"


def test_a_key_in_the_base_address_is_masked() -> None:
    mask = channel(ADAPTERS[0], base_url=f"https://example.org/v1?api-key={KEY[::-1]}&v=20260101")
    assert mask.redact(f"key {KEY[::-1]} of 20260101") == "key *** of 20260101"


@both
def test_nothing_shows_a_header(adapter: Adapter) -> None:
    shown = channel(adapter)
    assert KEY not in repr(shown) + str(shown)
    assert KEY not in repr(vars(shown)["_redactor"])


@given(
    st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=8),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    secret = secret.strip()
    if len(secret) >= 8:
        mask = Redactor([(b"x-api-key", secret.encode())])
        assert secret not in mask.redact(before + secret + after)
        assert "***" in mask.redact(before + secret + after)


@pytest.mark.parametrize("inside", [False, True])
async def test_an_attempt_that_fails_tells_no_key(inside: bool) -> None:
    error = {"message": f"invalid token '{KEY}'", "code": f"no_{KEY}", "param": KEY}

    async def quoting(exchange: Exchange) -> None:
        if inside:
            await exchange.begin_stream()
            await exchange.event({"error": error})
            await exchange.end_stream()
        else:
            await exchange.plain(401, {"error": error})

    async with Vendor(*[quoting] * (2 if inside else 1)) as vendor:  # such an end is tried again
        vendor.channel = Channel(
            vendor._transport,
            str(vendor.channel.url("")),
            vendor.adapter.authorize(KEY),
            connect_seconds=5.0,
        )
        run = await Run(vendor.target()).go()
    assert run.error is not None
    assert KEY not in repr(run.error)
    assert run.error.message == "invalid token '***'"
    assert KEY not in repr(run.attempts)
