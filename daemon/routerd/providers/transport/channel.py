"""One provider's address, ready to be called: its base URL, its key and its connections.

The key is in the prebuilt headers and in what masks it, and nowhere else. Joining is done by hand,
because users give base addresses with and without a path and with a query string.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx

from routerd.providers.base import Signer
from routerd.providers.redaction import Redactor
from routerd.providers.transport.failures import TokenUnavailable
from routerd.providers.transport.interface import Answer, Request, Transport
from routerd.providers.transport.sending import Sending
from routerd.providers.transport.timeouts import Timeouts
from routerd.providers.transport.tokens import TokenKeeper
from routerd.providers.transport.warming import WarmReport, warm

Headers = list[tuple[bytes, bytes]]
# httpx's name for what the rooms above handle; they do not import httpx themselves.
TransportError = httpx.RequestError
# A signature is refused for its time when that is five minutes off; half of it is worth mending.
CLOCK_SECONDS = 150.0
SIGNATURE_REFUSED = (400, 403)
TOKEN_REFUSED = 401


class Channel:
    """Send requests to one provider.

    `server` is host and port, for records and spans. `headers` go with every request, and so does
    `user_agent`, unless they name one. A `signer` adds its own to each request as it is sent, by
    the time of `clock` in seconds since the epoch: a clock that is wrong is set by the provider's.
    `tokens` has the access token for each request; one that the provider refuses is replaced once.
    """

    def __init__(
        self,
        transport: Transport,
        base_url: str,
        headers: Headers,
        *,
        connect_seconds: float,
        user_agent: str = "routerd",
        signer: Signer | None = None,
        tokens: TokenKeeper | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._base = httpx.URL(base_url)
        self._headers = [(b"host", self._base.netloc), *headers]
        if not any(name.lower() == b"user-agent" for name, _ in headers):
            self._headers.append((b"user-agent", user_agent.encode()))
        queries = [(name.encode(), value.encode()) for name, value in self._base.params.items()]
        self._signer = signer
        self._tokens = tokens
        self._proves = signer is not None or tokens is not None
        self._clock = clock
        self._clock_is_behind = 0.0
        secrets = signer.secrets if signer is not None else []
        self._redactor = Redactor([*headers, *queries, *secrets])
        self._urls: dict[str, str] = {}
        self._connect_seconds = connect_seconds
        # By how long connecting may take; the phases after it are watched by who sends.
        self._timeouts: dict[float | None, Timeouts] = {}
        port = self._base.port or (443 if self._base.scheme == "https" else 80)
        self.server = f"{self._base.host}:{port}"

    def __repr__(self) -> str:
        return f"<Channel {self.server}>"

    def redact(self, text: str) -> str:
        """Return a text of the provider's with every secret that is sent to it masked."""
        text = self._redactor.redact(text)
        return text if self._tokens is None else self._tokens.redact(text)

    def url(self, path: str) -> str:
        """Join the base address and a path; the base's query stays."""
        if path not in self._urls:
            self._urls[path] = str(self._base.copy_with(raw_path=self._raw_path(path)))
        return self._urls[path]

    def _raw_path(self, path: str) -> bytes:
        base_path, _, query = self._base.raw_path.partition(b"?")
        suffix, _, own_query = path.encode().partition(b"?")
        raw = base_path.rstrip(b"/") + b"/" + suffix.lstrip(b"/")
        queries = b"&".join(part for part in (query, own_query) if part)
        return raw + (b"?" + queries if queries else b"")

    async def send(
        self,
        path: str,
        headers: Headers,
        body: bytes,
        sending: Sending,
        connect_seconds: float | None = None,
    ) -> Answer:
        """Post a body and return the answer once its headers are here; the caller closes it.

        `sending` tells how far it came, also when this is cancelled; `connect_seconds` is how long
        a connection may take, None for the channel's own limit. Raises httpx.RequestError.
        """
        timeouts = self._timeouts.get(connect_seconds) or self._limited(connect_seconds)
        if not self._proves:
            request = self._post(path, headers, body, timeouts, sending)
            answer = await self._transport.send(request)
            sending.started = True
            return answer
        sending.awaits_token = True
        added = await self._proof_for(sending, path, headers, body)
        sending.awaits_token = False
        request = self._post(path, [*headers, *added], body, timeouts, sending)
        answer = await self._transport.send(request)
        sending.started = True
        if self._may_prove_better(answer, added):
            try:
                added = await self._proof_for(sending, path, headers, body)
            except TokenUnavailable:
                return answer  # the refusal stands
            await answer.aclose()
            request = self._post(path, [*headers, *added], body, timeouts, sending)
            answer = await self._transport.send(request)
        return answer

    def _post(
        self, path: str, headers: Headers, body: bytes, timeouts: Timeouts, sending: Sending
    ) -> Request:
        url = self._urls.get(path) or self.url(path)
        return Request("POST", url, [*self._headers, *headers], body, timeouts, sending)

    def _limited(self, connect_seconds: float | None) -> Timeouts:
        """Return the limits that the transport watches: the phases after it who sends does."""
        timeouts = self._timeouts.get(connect_seconds)
        if timeouts is None:
            seconds = self._connect_seconds if connect_seconds is None else connect_seconds
            timeouts = Timeouts(connect=seconds, read=None, write=60.0)
            self._timeouts[connect_seconds] = timeouts
        return timeouts

    async def get(self, path: str) -> Answer:
        """Fetch a path that costs nothing, such as the list of models; the caller closes it."""
        headers = [*self._headers, *await self._proof("GET", path, [], b"")]
        request = Request("GET", self.url(path), headers, timeouts=self._limited(None))
        return await self._transport.send(request)

    async def warm(self, path: str, connections: int, timeout_seconds: float) -> WarmReport:
        """Open connections by requests that cost nothing.

        Without a token they are refused, which opens connections too, and shows who is there.
        """
        headers = self._headers
        with contextlib.suppress(TokenUnavailable):
            headers = [*headers, *await self._proof("GET", path, [], b"")]
        return await warm(self._transport, self.url(path), headers, connections, timeout_seconds)

    async def _proof_for(
        self, sending: Sending, path: str, headers: Headers, body: bytes
    ) -> Headers:
        """Return the proof for a post; who gives out tokens is waited for, a signature is not."""
        if self._tokens is not None:
            sending.wait()
        added = await self._proof("POST", path, headers, body)
        sending.go_on()
        return added

    async def _proof(self, method: str, path: str, headers: Headers, body: bytes) -> Headers:
        """Return what shows now who asks, beside the prebuilt headers; may raise TokenUnavailable.

        It is a token, or a signature of the request.
        """
        if self._tokens is not None:
            return await self._tokens.headers()
        return self._signed(method, path, headers, body)

    def _may_prove_better(self, answer: Answer, added: Headers) -> bool:
        """Say whether the same request, shown anew who asks, may not be refused."""
        if self._tokens is not None:
            return answer.status_code == TOKEN_REFUSED and self._tokens.refused(added)
        return self._sets_the_clock(answer)

    def _signed(self, method: str, path: str, headers: Headers, body: bytes) -> Headers:
        """Return the headers that sign a request which is sent now; none without a signer."""
        if self._signer is None:
            return []
        host, sent = self._base.netloc.decode("ascii"), self._raw_path(path).decode("ascii")
        seconds = self._clock() + self._clock_is_behind
        return self._signer.sign(method, host, sent, headers, body, seconds)

    def _sets_the_clock(self, answer: Answer) -> bool:
        """Go by the provider's clock from now on, if it refuses what was signed by another."""
        if answer.status_code not in SIGNATURE_REFUSED:
            return False
        try:
            told = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            return False
        behind = told - self._clock()
        if abs(behind - self._clock_is_behind) < CLOCK_SECONDS:
            return False
        self._clock_is_behind = behind
        return True
