"""Access tokens in use: fetched before they are needed, kept until they are over, then let go.

Rules of this file: one fetch at a time for one source, whoever waits for it, and each bounded in
time. A token is replaced well before it is over, by `keep`, so that no call waits; without that
(outside of the daemon, or before the first one is there) the call that needs it fetches it. A
source that failed is left alone for a while, longer each time, and whoever asks meanwhile is told
why at once. No token is ever shown: what knows them masks them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import anyio
import httpx
from msgspec import structs

from routerd.errors import Failure
from routerd.providers.base import Headers
from routerd.providers.redaction import Redactor, redacted
from routerd.providers.tokens import CommandSource, HttpSource, Token, TokenSource
from routerd.providers.tokens.source import read_answer, unavailable
from routerd.providers.transport.failures import TokenUnavailable
from routerd.providers.transport.interface import Request, Transport, open_answer
from routerd.providers.transport.reading import read_start

__all__ = ["TokenKeeper"]

FETCH_SECONDS: Final = 12.0
ANSWER_BYTES: Final = 262_144
# A token is not used in its last moments: it must still be good when the provider looks at it.
LAST_SECONDS: Final = 10.0
LAST_SHARE: Final = 0.1
# The metadata server gives out a new one from five minutes before the end on.
AHEAD_SECONDS: Final = 240.0
AHEAD_SHARE: Final = 0.5
# However short-lived tokens are, their source is asked no more often.
LEAST_SECONDS: Final = 1.0
# After a refusal nothing passes by itself; still, somebody may mend it there.
REFUSED_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 300.0
# A provider that refuses a token as young as this will refuse the next one too.
YOUNG_SECONDS: Final = 30.0


class TokenKeeper:
    """Keep the access token of one source; `clock` is monotonic, `wall` since the epoch."""

    def __init__(
        self,
        source: TokenSource,
        transport: Transport,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self._transport = transport
        self._clock, self._wall = clock, wall
        self._lock = anyio.Lock()
        self._headers: Headers = []
        self._fetched_at = self._usable_until = self._renew_at = 0.0
        self._failure: Failure | None = None
        self._failures = 0
        self._redactor = Redactor(source.secrets)

    def __repr__(self) -> str:
        return f"<TokenKeeper of {self.source.name}>"

    @property
    def failure(self) -> Failure | None:
        """Why the last fetch failed; None where it did not."""
        return self._failure

    def redact(self, text: str) -> str:
        """Return a text with the token, the one before it and the source's secrets masked."""
        return self._redactor.redact(text)

    async def headers(self) -> Headers:
        """Return the header with a token that is good now; TokenUnavailable says why not."""
        if self._clock() >= self._usable_until:
            await self._renew()
        return self._headers

    async def keep(self, tell: Callable[[Failure | None], None]) -> None:
        """Have a good token at hand for ever; `tell` hears when that fails, and when it ends."""
        has_failed = False
        while True:
            await anyio.sleep(max(0.0, self._renew_at - self._clock()))
            try:
                await self._renew(early=True)
            except TokenUnavailable as error:
                if not has_failed:
                    tell(error.failure)
                has_failed = True
            else:
                if has_failed:
                    tell(None)
                has_failed = False

    def refused(self, headers: Headers) -> bool:
        """Hear that the provider refused these headers; return whether others may do better."""
        if headers != self._headers:
            return True
        if self._clock() - self._fetched_at < YOUNG_SECONDS:
            return False
        self._usable_until = self._renew_at = 0.0
        return True

    def adopt(self, other: TokenKeeper) -> None:
        """Go on with what another keeper of the same source has."""
        self._headers, self._redactor = other._headers, other._redactor
        self._fetched_at, self._usable_until = other._fetched_at, other._usable_until
        self._renew_at = other._renew_at
        self._failure, self._failures = other._failure, other._failures

    async def _renew(self, *, early: bool = False) -> None:
        async with self._lock:
            now = self._clock()
            if not early and now < self._usable_until:
                return  # somebody else did, meanwhile
            if now < self._renew_at:
                if self._failure is None:
                    return
                wait = self._renew_at - now
                raise TokenUnavailable(structs.replace(self._failure, retry_after=wait))
            answer = await self._fetch()
            now = self._clock()
            if isinstance(answer, Failure):
                self._fail(answer, now)
                wait = self._renew_at - now
                raise TokenUnavailable(structs.replace(redacted(answer, self), retry_after=wait))
            self._take(answer, now)

    def _take(self, token: Token, now: float) -> None:
        headers = [(b"authorization", b"Bearer " + token.text.encode("ascii"))]
        self._redactor = Redactor([*self.source.secrets, *self._headers, *headers])
        self._headers = headers
        self._failure, self._failures = None, 0
        self._fetched_at = now
        self._usable_until = now + token.seconds - min(LAST_SECONDS, token.seconds * LAST_SHARE)
        ahead = min(AHEAD_SECONDS, token.seconds * AHEAD_SHARE)
        self._renew_at = now + max(token.seconds - ahead, LEAST_SECONDS)

    def _fail(self, failure: Failure, now: float) -> None:
        self._failure = redacted(failure, self)
        first = REFUSED_SECONDS if failure.retry_after is None else failure.retry_after
        self._renew_at = now + min(first * 2**self._failures, LONGEST_PAUSE_SECONDS)
        self._failures = min(self._failures + 1, 16)

    async def _fetch(self) -> Token | Failure:
        source = self.source
        answer: Token | Failure | None = None
        with anyio.move_on_after(FETCH_SECONDS):
            if isinstance(source, CommandSource):
                answer = await source.run()
            elif isinstance(source, HttpSource):
                answer = await self._ask(source)
        if answer is None:
            return unavailable(source.name, f"gave none in {FETCH_SECONDS:g} s", passes=True)
        return answer

    async def _ask(self, source: HttpSource) -> Token | Failure:
        asked = source.ask(self._wall())
        url = httpx.URL(asked.url)
        headers = [(b"host", url.netloc), (b"accept", b"application/json"), *asked.headers]
        method = "GET" if asked.body is None else "POST"
        request = Request(method, asked.url, headers, asked.body)
        try:
            async with open_answer(self._transport, request) as answer:
                body = await read_start(answer, ANSWER_BYTES, FETCH_SECONDS)
        except httpx.RequestError as error:
            return unavailable(source.name, f"cannot be reached ({error})", passes=True)
        return read_answer(source.name, answer.status_code, body)
