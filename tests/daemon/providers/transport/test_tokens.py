"""Tokens in use: fetched once for all who wait, renewed ahead, let go when refused, never shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.tokens import HttpSource, MetadataSource, read_credentials
from routerd.providers.transport import (
    Answer,
    Channel,
    Request,
    Sending,
    TokenKeeper,
    TokenUnavailable,
    Transport,
    TransportSettings,
    as_failure,
    build_transport,
    request_may_have_arrived,
)
from routerd.providers.transport.httpx_engine import HttpxAnswer
from tests.daemon.providers.tokens.endpoint import (
    AUTHORIZED_USER,
    PRIVATE_KEY,
    TokenEndpoint,
    service_account,
    token,
)


class Clock:
    """A clock that stands still until it is set forward."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    built = await anyio.to_thread.run_sync(build_transport, TransportSettings())
    yield built
    await built.aclose()


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint() as running:
        yield running


def account(endpoint: TokenEndpoint, **fields: Any) -> HttpSource:
    source = read_credentials(service_account(endpoint.url, **fields))
    assert source is not None
    return source


def user(endpoint: TokenEndpoint) -> HttpSource:
    source = read_credentials(json.dumps(AUTHORIZED_USER | {"token_uri": endpoint.url}))
    assert source is not None
    return source


def bearer(number: int) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token(number)}".encode())]


@pytest.mark.parametrize("kind", ["account", "user", "metadata"])
async def test_every_source_gives_a_token(
    transport: Transport, endpoint: TokenEndpoint, kind: str
) -> None:
    source = {"account": account, "user": user}.get(kind, lambda at: MetadataSource(at.host))
    keeper = TokenKeeper(source(endpoint), transport)
    assert await keeper.headers() == bearer(1)
    assert await keeper.headers() == bearer(1)
    assert endpoint.asked == 1
    assert "token-number" not in repr(keeper)


async def test_all_who_wait_share_one_request(
    transport: Transport, endpoint: TokenEndpoint
) -> None:
    keeper = TokenKeeper(account(endpoint), transport)
    got: list[Any] = []

    async def ask() -> None:
        got.append(await keeper.headers())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert got == [bearer(1)] * 20
    assert endpoint.asked == 1


async def test_who_leaves_while_it_is_fetched_ends_nothing(
    transport: Transport, endpoint: TokenEndpoint
) -> None:
    keeper = TokenKeeper(account(endpoint), transport)
    got: list[Any] = []

    async def ask() -> None:
        got.append(await keeper.headers())

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as leaving:
            tasks.start_soon(ask)
            leaving.cancel()
            await keeper.headers()
    assert got == [bearer(endpoint.given)]


async def test_a_token_is_renewed_ahead_and_used_meanwhile(
    transport: Transport,
) -> None:
    clock = Clock()
    async with TokenEndpoint(seconds=600) as endpoint:
        keeper = TokenKeeper(account(endpoint), transport, clock=clock)
        assert await keeper.headers() == bearer(1)
        clock.now += 589  # good for a second more, and due for long
        assert await keeper.headers() == bearer(1)
        told: list[Failure | None] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.keep, told.append)
            while await keeper.headers() == bearer(1):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert await keeper.headers() == bearer(2)
        clock.now += 591
        assert await keeper.headers() == bearer(3)
        assert (endpoint.asked, told) == (3, [])


async def test_a_source_that_fails_is_left_alone_and_then_asked_again(
    transport: Transport,
) -> None:
    clock = Clock()
    async with TokenEndpoint(statuses=(503, 503, 400)) as endpoint:
        keeper = TokenKeeper(account(endpoint), transport, clock=clock)
        waits = []
        for asked in (1, 2, 3):
            with pytest.raises(TokenUnavailable) as raised:
                await keeper.headers()
            first = raised.value.failure
            with pytest.raises(TokenUnavailable):
                await keeper.headers()
            assert endpoint.asked == asked
            assert first.retry_after is not None
            waits.append(first.retry_after)
            clock.now += first.retry_after
        assert waits == [5, 10, 240]  # twice as long each time; a refusal needs somebody
        assert await keeper.headers() == bearer(1)
        assert keeper.failure is None


async def test_a_failure_says_whose_it_is_and_shows_no_secret(
    transport: Transport,
) -> None:
    async with TokenEndpoint(statuses=(400,)) as endpoint:
        keeper = TokenKeeper(account(endpoint), transport)
        with pytest.raises(TokenUnavailable) as raised:
            await keeper.headers()
    failure = as_failure(raised.value, "connect")
    assert failure.message == (
        "no access token for this provider: the token endpoint of 127.0.0.1 for a service account "
        "answered with status 400: invalid_grant: Invalid JWT Signature."
    )
    assert (failure.error_class, failure.code) == (ErrorClass.AUTH, "invalid_grant")
    assert (failure.phase, failure.is_evidence) == ("connect", False)
    assert not request_may_have_arrived(raised.value)
    line = PRIVATE_KEY.splitlines()[1]
    assert keeper.redact(f"it said {line}") == "it said ***"


async def test_an_endpoint_that_is_not_there(transport: Transport) -> None:
    async with TokenEndpoint() as endpoint:
        gone = account(endpoint)
    with pytest.raises(TokenUnavailable, match="cannot be reached") as raised:
        await TokenKeeper(gone, transport).headers()
    assert raised.value.failure.retry_after == 5


async def test_keeping_tells_of_a_failing_source_once_and_of_its_end(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routerd.providers.tokens.source.RETRY_SECONDS", 0.01)
    told: list[Failure | None] = []
    is_over = anyio.Event()

    def tell(failure: Failure | None) -> None:
        told.append(failure)
        if failure is None:
            is_over.set()

    async with TokenEndpoint(statuses=(503, 500, 503)) as endpoint:
        keeper = TokenKeeper(account(endpoint), transport)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.keep, tell)
            await is_over.wait()
            tasks.cancel_scope.cancel()
        assert endpoint.asked == 4
    assert [failure and failure.code for failure in told] == ["internal_failure", None]


async def test_a_keeper_of_the_same_source_goes_on_with_its_token(
    transport: Transport, endpoint: TokenEndpoint
) -> None:
    before = TokenKeeper(account(endpoint), transport)
    await before.headers()
    after = TokenKeeper(account(endpoint), transport)
    assert after.source.identity == before.source.identity
    after.adopt(before)
    assert await after.headers() == bearer(1)
    assert endpoint.asked == 1
    assert after.redact(token(1)) == "***"


class Provider:
    """A provider that takes some tokens and refuses the others; it quotes them."""

    def __init__(self, *refused: int) -> None:
        self.refused = {f"Bearer {token(number)}" for number in refused}
        self.seen: list[str] = []

    async def send(self, request: Request) -> Answer:
        told = dict(request.headers).get(b"authorization", b"").decode()
        self.seen.append(told)
        status = 401 if told in self.refused else 200
        response = httpx.Response(status, text=f"I saw {told}")
        return HttpxAnswer(response, "provider.test", Sending())

    async def aclose(self) -> None:
        """Have nothing to close."""


def channel_to(provider: Provider, keeper: TokenKeeper) -> Channel:
    return Channel(provider, "http://provider.test", [], connect_seconds=5, tokens=keeper)


async def test_a_token_that_the_provider_refuses_is_replaced_once(
    transport: Transport, endpoint: TokenEndpoint
) -> None:
    clock = Clock()
    keeper = TokenKeeper(account(endpoint), transport, clock=clock)
    provider = Provider(1)
    channel = channel_to(provider, keeper)
    await keeper.headers()
    clock.now += 60
    response = await channel.send("/x", [], b"{}", Sending())
    assert response.status_code == 200
    assert provider.seen == [f"Bearer {token(1)}", f"Bearer {token(2)}"]
    assert channel.redact(f"I saw {token(1)} and {token(2)}") == "I saw *** and ***"


async def test_a_fresh_token_that_is_refused_stays_refused(
    transport: Transport, endpoint: TokenEndpoint
) -> None:
    keeper = TokenKeeper(account(endpoint), transport)
    provider = Provider(1)
    response = await channel_to(provider, keeper).send("/x", [], b"{}", Sending())
    assert response.status_code == 401
    assert (len(provider.seen), endpoint.asked) == (1, 1)


async def test_where_no_other_token_is_given_the_refusal_stands(
    transport: Transport,
) -> None:
    clock = Clock()
    async with TokenEndpoint(statuses=(200, 503)) as endpoint:
        keeper = TokenKeeper(account(endpoint), transport, clock=clock)
        await keeper.headers()
        clock.now += 60
        provider, sending = Provider(1), Sending()
        response = await channel_to(provider, keeper).send("/x", [], b"{}", sending)
    assert (response.status_code, len(provider.seen), sending.started) == (401, 1, True)


async def test_without_a_token_nothing_is_sent_but_connections_are_warmed(
    transport: Transport,
) -> None:
    async with TokenEndpoint(statuses=(503,)) as endpoint:
        keeper = TokenKeeper(account(endpoint), transport)
        provider, sending = Provider(), Sending()
        channel = channel_to(provider, keeper)
        with pytest.raises(TokenUnavailable):
            await channel.send("/x", [], b"{}", sending)
        assert (provider.seen, sending.started) == ([], False)
        report = await channel.warm("/models", 1, 5)
    assert (report.answers, provider.seen) == (True, [""])
