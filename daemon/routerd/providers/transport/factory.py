"""Making a transport from settings.

Call it before the loop runs, or in a thread: reading the certificate authorities blocks.
"""

from __future__ import annotations

import importlib.util
import socket
import ssl
from typing import Annotated, Literal

import msgspec

from routerd.errors import SettingsError
from routerd.providers.transport.engine import AiohttpTransport
from routerd.providers.transport.httpx_engine import HttpxTransport
from routerd.providers.transport.interface import Transport
from routerd.providers.transport.proxies import Proxies
from routerd.providers.transport.timeouts import Timeouts

SocketOption = tuple[int, int, int]

# Lost probes before the system gives a connection up.
TCP_KEEPALIVE_PROBES = 5


class TransportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How providers are reached.

    - `engine`: "aiohttp", or "httpx" where HTTP/2 or a SOCKS proxy is wanted.
    - `http2`: offer HTTP/2; only with the engine "httpx".
    - `ca_file`: PEM file of the authorities to trust instead of the system's; None: the system's.
    - `proxies`: None of them unless given; `Proxies.from_environ` reads the usual variables.
    - `timeouts`: for calls that name none.
    - `keepalive_seconds`: how long an idle connection is kept. Five minutes; a server that closes
      earlier is noticed.
    - `tcp_keepalive_seconds`: how often the system probes a silent connection, so that no router in
      between forgets it while a model thinks; None: never.
    """

    engine: Literal["aiohttp", "httpx"] = "aiohttp"
    http2: bool = False
    ca_file: str | None = None
    proxies: Proxies = Proxies()
    timeouts: Timeouts = Timeouts()
    keepalive_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    tcp_keepalive_seconds: Annotated[int, msgspec.Meta(ge=1, le=32_767)] | None = 60


def build_transport(settings: TransportSettings) -> Transport:
    """Return a transport; SettingsError where the settings ask for what cannot be had."""
    check_packages(settings)
    ssl_context = trusting_context(settings.ca_file)
    socket_options = keepalive_options(settings.tcp_keepalive_seconds)
    if settings.engine == "httpx":
        return HttpxTransport(
            ssl_context=ssl_context,
            http2=settings.http2,
            proxies=settings.proxies,
            timeouts=settings.timeouts,
            keepalive_seconds=settings.keepalive_seconds,
            socket_options=socket_options,
        )
    # httpx's engine sets this by itself; some servers refuse a handshake without it.
    ssl_context.set_alpn_protocols(["http/1.1"])
    return AiohttpTransport(
        ssl_context=ssl_context,
        proxies=settings.proxies,
        timeouts=settings.timeouts,
        keepalive_seconds=settings.keepalive_seconds,
        socket_options=socket_options,
    )


def check_packages(settings: TransportSettings) -> None:
    """Raise SettingsError for an engine that cannot do what is asked, or lacks a package for it."""
    socks = any(
        proxy is not None and proxy.startswith("socks")
        for proxy in (settings.proxies.http, settings.proxies.https)
    )
    if settings.engine == "aiohttp":
        if settings.http2:
            raise SettingsError('expected engine = "httpx" for HTTP/2', key="http2")
        if socks:
            raise SettingsError('expected engine = "httpx" for a SOCKS proxy', key="engine")
        return
    if settings.http2 and importlib.util.find_spec("h2") is None:
        raise SettingsError(
            "the package h2 for HTTP/2, which is not installed: pip install 'httpx[http2]'",
            key="http2",
        )
    if socks and importlib.util.find_spec("socksio") is None:
        raise SettingsError(
            "the package socksio for a SOCKS proxy, which is not installed: "
            "pip install 'httpx[socks]'",
            key="proxies",
        )


def trusting_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a TLS context that checks certificates and names; reads files, so it blocks."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"a readable PEM file of certificate authorities ({error})", key="ca_file"
        ) from error


def keepalive_options(seconds: int | None) -> tuple[SocketOption, ...]:
    """Return the socket options that make the system probe a silent connection."""
    if seconds is None:
        return ()
    return (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, TCP_KEEPALIVE_PROBES),
    )
