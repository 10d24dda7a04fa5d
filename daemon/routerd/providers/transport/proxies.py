"""Which proxy, if any, carries a call: a pure decision per scheme, host and port.

The environment is read once, on purpose, from a mapping that is passed in; nothing here looks at
`os.environ`, resolves a name or opens a connection. A proxy's password never shows in a `repr`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from routerd.errors import SettingsError
from routerd.providers.transport.addresses import (
    as_address,
    is_loopback,
    is_private,
    plain_host,
)

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proxies of this process and what goes past them.

    `http` and `https`: proxy URL for targets of that scheme; None: straight to the target.
    `bypass`: what is never proxied, as in NO_PROXY: `*`, a host (which covers its subdomains, with
    or without a leading dot), an IP address, a network as `10.0.0.0/8`, each with an optional
    `:port`. `proxy_near`: send addresses of this machine and of private networks through
    the proxy too; False, because a server of one's own is seldom reachable from a proxy, and what
    is sent there is nobody else's to read. A name is not looked up: one in a network of one's own
    belongs into NO_PROXY.
    """

    http: str | None = None
    https: str | None = None
    bypass: tuple[str, ...] = ()
    proxy_near: bool = False

    def __post_init__(self) -> None:
        for name in ("http", "https"):
            proxy = getattr(self, name)
            if proxy is not None:
                check_proxy_url(name, proxy)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, proxy_near: bool = False) -> Proxies:
        """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; the lower-case name wins.

        An empty value counts as unset; a proxy without a scheme is `http://`. Raises
        `SettingsError` for a proxy that cannot be one.
        """
        every = named_proxy(environ, "all_proxy")
        bypass = variable(environ, "no_proxy").replace(",", " ").split()
        return cls(
            http=named_proxy(environ, "http_proxy") or every,
            https=named_proxy(environ, "https_proxy") or every,
            bypass=tuple(bypass),
            proxy_near=proxy_near,
        )

    def choose(self, scheme: str, host: str, port: int | None) -> str | None:
        """Return the proxy's URL for a target, or None for a direct connection.

        `host` without brackets; `port` None: the scheme's own. Schemes other than http and https
        (a Unix socket) always go direct.
        """
        proxy = {"http": self.http, "https": self.https}.get(scheme)
        if proxy is None:
            return None
        host = plain_host(host)
        if not self.proxy_near and (is_loopback(host) or is_private(host)):
            return None
        port = port or (443 if scheme == "https" else 80)
        if any(covers(entry, host, port) for entry in self.bypass):
            return None
        return proxy

    def __repr__(self) -> str:
        return (
            f"Proxies(http={without_password(self.http)!r}, "
            f"https={without_password(self.https)!r}, bypass={self.bypass!r}, "
            f"proxy_near={self.proxy_near!r})"
        )


def variable(environ: Mapping[str, str], name: str) -> str:
    """Return an environment variable's value by its lower-case, then its upper-case name."""
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def named_proxy(environ: Mapping[str, str], name: str) -> str | None:
    """Return the proxy URL a variable names, with a scheme, or None."""
    value = variable(environ, name)
    if not value:
        return None
    proxy = value if "://" in value else f"http://{value}"
    check_proxy_url(name.upper(), proxy)
    return proxy


def check_proxy_url(name: str, proxy: str) -> None:
    """Raise `SettingsError` unless a proxy URL has a known scheme, a host and a port."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            "a proxy as scheme://[user:password@]host[:port] "
            f"with one of the schemes {', '.join(PROXY_SCHEMES)}",
            key=name,
        )


def without_password(proxy: str | None) -> str | None:
    """Return a proxy URL that is safe to show."""
    if proxy is None or "@" not in proxy:
        return proxy
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}"


def covers(entry: str, host: str, port: int) -> bool:
    """Say whether one NO_PROXY entry covers a lower-case host without brackets and its port."""
    pattern, wanted_port = split_port(entry.lower())
    if wanted_port is not None and wanted_port != port:
        return False
    if pattern == "*":
        return True
    address = as_address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    suffix = pattern.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def split_port(entry: str) -> tuple[str, int | None]:
    """Split `host:port`, `[v6]:port` or a bare host, address or network into pattern and port."""
    if entry.startswith("["):
        pattern, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        pattern, _, port = entry.partition(":")
    else:  # no port, or an IPv6 address without brackets
        return entry, None
    return pattern, int(port) if port.isdecimal() else None
