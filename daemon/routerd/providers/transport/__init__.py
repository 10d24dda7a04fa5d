"""The only HTTP client of routerd to providers, behind one narrow interface of its own.

Calls go `Request` -> `Transport.send` -> `Answer`, whose body is read with `content_chunks`; both
engines promise the same. Everything that can go wrong on the way is an httpx.TransportError;
`request_may_have_arrived` says whether sending again is safe. Never here: vendors' wire formats,
keys, retries, redirects, cookies, `.netrc`.
"""

from routerd.providers.transport import quiet_httpx  # noqa: F401 - before httpx itself

# isort: split

from routerd.providers.transport.addresses import as_address, plain_host
from routerd.providers.transport.channel import Channel, TransportError
from routerd.providers.transport.engine import AiohttpTransport
from routerd.providers.transport.factory import TransportSettings, build_transport
from routerd.providers.transport.failures import (
    ContentTooLargeError,
    TokenUnavailable,
    UnsupportedContentEncodingError,
    as_failure,
    request_may_have_arrived,
)
from routerd.providers.transport.httpx_engine import HttpxTransport
from routerd.providers.transport.interface import Answer, Request, Transport, open_answer
from routerd.providers.transport.proxies import Proxies
from routerd.providers.transport.reading import (
    content_chunks,
    headers_by_name,
    read_content,
    read_start,
)
from routerd.providers.transport.sending import Sending
from routerd.providers.transport.timeouts import Timeouts
from routerd.providers.transport.tokens import TokenKeeper
from routerd.providers.transport.warming import WarmReport, warm

__all__ = [
    "AiohttpTransport",
    "Answer",
    "Channel",
    "ContentTooLargeError",
    "HttpxTransport",
    "Proxies",
    "Request",
    "Sending",
    "Timeouts",
    "TokenKeeper",
    "TokenUnavailable",
    "Transport",
    "TransportError",
    "TransportSettings",
    "UnsupportedContentEncodingError",
    "WarmReport",
    "as_address",
    "as_failure",
    "build_transport",
    "content_chunks",
    "headers_by_name",
    "open_answer",
    "plain_host",
    "read_content",
    "read_start",
    "request_may_have_arrived",
    "warm",
]
