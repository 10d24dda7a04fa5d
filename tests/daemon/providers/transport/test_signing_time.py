"""What is signed as it is sent: at which time, and what becomes of a clock that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.transport import Channel, Sending

PROVIDERS_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = "AKIDEXAMPLE:a/secret+of+forty:a+token="
BODY = b'{"messages":[]}'
DATE = b"date: " + format_datetime(PROVIDERS_TIME, usegmt=True).encode() + b"\r\n"


class Provider:
    """Refuses what was not signed within five minutes of its own time."""

    def __init__(self, *, refuses_all: bool = False, date: bytes = DATE) -> None:
        self._refuses_all, self._date = refuses_all, date
        self.signed_at: list[datetime] = []

    async def __call__(self, connection: Any) -> None:
        while (received := await connection.read_request()) is not None:
            stamp = datetime.strptime(
                received.header(b"x-amz-date").decode() + "+0000", "%Y%m%dT%H%M%SZ%z"
            )
            self.signed_at.append(stamp)
            is_late = abs((stamp - PROVIDERS_TIME).total_seconds()) > 300
            status = "403 Forbidden" if is_late or self._refuses_all else "200 OK"
            await connection.answer(status=status, more=self._date)


async def statuses(
    serve: Any, make: Any, provider: Provider, seconds_off: float, calls: int = 2
) -> list[int]:
    server = await serve(provider)
    channel = Channel(
        await make(),
        server.url(),
        [],
        connect_seconds=5.0,
        signer=BedrockAdapter().signer(KEY),
        clock=lambda: PROVIDERS_TIME.timestamp() + seconds_off,
    )
    found = []
    for _ in range(calls):
        sending = Sending()
        response = await channel.send("/model/m/converse", [], BODY, sending)
        await response.aclose()
        assert sending.started
        found.append(response.status_code)
    assert [request.body for request in server.requests] == [BODY] * len(server.requests)
    tokens = {request.header(b"x-amz-security-token") for request in server.requests}
    assert tokens == {b"a+token="}
    return found


@pytest.mark.parametrize("seconds_off", [0, 120, -240])
async def test_a_clock_that_is_nearly_right_is_left_alone(
    serve: Any, make: Any, seconds_off: float
) -> None:
    provider = Provider()
    assert await statuses(serve, make, provider, seconds_off) == [200, 200]
    off = {(stamp - PROVIDERS_TIME).total_seconds() for stamp in provider.signed_at}
    assert off == {seconds_off}


@pytest.mark.parametrize("seconds_off", [3600, -86_400])
async def test_a_clock_that_is_wrong_is_set_once(serve: Any, make: Any, seconds_off: float) -> None:
    provider = Provider()
    assert await statuses(serve, make, provider, seconds_off) == [200, 200]
    off = [(stamp - PROVIDERS_TIME).total_seconds() for stamp in provider.signed_at]
    assert off == [seconds_off, 0, 0]


@pytest.mark.parametrize(
    ("seconds_off", "date", "sent"),
    [(0, DATE, 2), (3600, DATE, 3), (3600, b"", 2), (3600, b"date: soon\r\n", 2)],
)
async def test_what_is_refused_for_another_reason_stays_refused(
    serve: Any, make: Any, seconds_off: float, date: bytes, sent: int
) -> None:
    provider = Provider(refuses_all=True, date=date)
    assert await statuses(serve, make, provider, seconds_off) == [403, 403]
    assert len(provider.signed_at) == sent
