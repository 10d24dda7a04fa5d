"""Every way a call can fail on its way, typed once, as httpx's exceptions.

The map from the engine's exceptions lives here, most specific first, and the one question the
caller must be able to answer before it sends a call a second time: may the provider have seen it?

An engine's own texts quote the URL with its query, the head and even pieces of the body. So a
mapped exception carries a text of ours, and is raised `from` the operating system's or TLS error
behind it, never from the engine's exception.
"""

from __future__ import annotations

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import structs

from routerd.errors import ErrorClass, Failure

# What an engine raises for a failed call; anything else is a fault of ours and passes through.
ENGINE_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)

# Raised only before the request's first byte was handed to a connection, or for a request that
# cannot be put on the wire at all; and there is TokenUnavailable.
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.LocalProtocolError,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

CAUSES_FOLLOWED = 8

Rule = tuple[type[Exception], type[httpx.TransportError], str]

# Most specific first: several of these classes are each other's bases (a socket time-out is a
# TimeoutError, which is an OSError; a certificate error is a ValueError).
RULES: tuple[Rule, ...] = (
    (aiohttp.SocketTimeoutError, httpx.ReadTimeout, "no byte came within the read time-out"),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "no connection within the time-out"),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError, "the proxy refused the tunnel"),
    (aiohttp.ClientConnectorDNSError, httpx.ConnectError, "the host name cannot be resolved"),
    (aiohttp.ClientConnectorCertificateError, httpx.ConnectError, "the certificate is refused"),
    (aiohttp.ClientConnectorSSLError, httpx.ConnectError, "the TLS handshake failed"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "no connection could be made"),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError, "hung up without an answer"),
    (aiohttp.ClientConnectionResetError, httpx.WriteError, "the connection was closed on writing"),
    (aiohttp.ClientOSError, httpx.ReadError, "the connection broke"),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError, "the body was cut or broken"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "the answer is not HTTP"),
    (HttpProcessingError, httpx.RemoteProtocolError, "the answer is not HTTP"),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol, "the URL cannot be called"),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol, "the URL is not http or https"),
    (aiohttp.ClientError, httpx.ReadError, "the connection was closed"),
    (TimeoutError, httpx.WriteTimeout, "the request was not taken within the write time-out"),
    (OSError, httpx.ReadError, "the connection broke"),
    (ValueError, httpx.LocalProtocolError, "the request cannot be put on the wire"),
)


class UnsupportedContentEncodingError(httpx.DecodingError):
    """The provider compressed its answer in a way that no installed package can undo."""


class ContentTooLargeError(httpx.DecodingError):
    """The provider's answer is larger than the reader's limit."""


class TokenUnavailable(httpx.RequestError):
    """Nothing was sent, because there is no access token to send along; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def request_may_have_arrived(error: httpx.RequestError) -> bool:
    """Say whether the provider may have seen the request that failed with this error.

    False: nothing was sent, sending it again elsewhere cannot bill or act twice. True: it may have
    been read, and the work may be done or still be running.
    """
    return not isinstance(error, (*NEVER_SENT, TokenUnavailable))


def as_failure(error: httpx.RequestError, phase: str) -> Failure:
    """Return the plain data of a transport error: its class, and whether the request left.

    `phase` says how far the attempt came: connect, headers, first_content, content.
    """
    if isinstance(error, TokenUnavailable):
        return structs.replace(error.failure, phase=phase)
    if isinstance(error, httpx.TimeoutException):
        error_class = ErrorClass.TIMEOUT
    elif isinstance(error, httpx.DecodingError):
        error_class = ErrorClass.BAD_ANSWER
    else:
        error_class = ErrorClass.CONNECTION
    return Failure(
        error_class,
        str(error),
        phase=phase,
        request_sent=request_may_have_arrived(error),
    )


def as_httpx_error(
    error: Exception, host: str, *, sent: bool | None, proxied: bool
) -> httpx.TransportError:
    """Return httpx's exception for one of `ENGINE_ERRORS`.

    `sent`: whether the request was handed to a connection; None when that is not known (a request
    without a body). What failed before that is never reported as a failure of the answer.
    """
    _, httpx_error, text = next(rule for rule in RULES if isinstance(error, rule[0]))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"{text} with status {error.status}"
    if proxied and isinstance(error, aiohttp.ClientConnectorDNSError):
        httpx_error, text = httpx.ProxyError, "the proxy's host name cannot be resolved"
    if sent is False and httpx_error not in NEVER_SENT:
        httpx_error = httpx.ProxyError if proxied else httpx.ConnectError
        text = f"{text}, before the request was sent"
    return httpx_error(described(text, host, error))


def described(text: str, host: str, error: Exception) -> str:
    """Return a text for an exception: what happened, where, and the system's word on it."""
    cause = root_cause(error)
    reason = type(error).__name__ if cause is None else f"{type(error).__name__}: {cause}"
    return f"{host}: {text} ({reason})"


def root_cause(error: BaseException) -> OSError | None:
    """Return the operating system's or TLS error behind an engine's exception, if there is one."""
    link: BaseException | None = error
    for _ in range(CAUSES_FOLLOWED):
        if link is None:
            return None
        if isinstance(link, OSError) and not isinstance(link, aiohttp.ClientError):
            return link
        link = link.__cause__
    return None
