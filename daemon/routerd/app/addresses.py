"""Whose an address is, as far as its text tells.

Rules of this file: pure; no name is looked up. What cannot be told apart is not refused, what can
be is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from routerd.models.schema import Provider
from routerd.models.vendor_hosts import vendor_of_host
from routerd.providers.transport import as_address, plain_host

__all__ = [
    "internet_name",
    "is_public",
    "is_this_machine",
    "is_web_address",
    "shown_address",
    "vendor_at",
]

# What no name of the internet ends in: reserved for one's own network, or never to be given away.
OWN_SUFFIXES: Final = (
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localdomain",
    ".localhost",
    ".mail",
    ".private",
    ".svc",
    ".test",
)


def is_web_address(address: str) -> bool:
    """Say whether something can be sent to an address."""
    try:
        parts = urlsplit(address)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and named and "@" not in parts.netloc


def shown_address(address: str) -> str:
    """Return an address without what may hold a key: its query."""
    return address.partition("?")[0]


def is_this_machine(address: str) -> bool:
    """Say whether an address certainly is one of this machine."""
    host = _host(address)
    found = as_address(host)
    return host == "localhost" or (found is not None and found.is_loopback)


def is_public(address: str) -> bool:
    """Say whether an address certainly is one of the internet."""
    found = as_address(_host(address))
    return found is not None and found.is_global


def internet_name(address: str) -> str | None:
    """Return the name of an address where the internet may know it: whose it is cannot be told.

    None for addresses, for names without a dot, and under what only networks of one's own have.
    """
    host = _host(address)
    is_own = "." not in host or host.endswith(OWN_SUFFIXES)
    return None if is_own or as_address(host) is not None else host


def vendor_at(address: str, providers: Iterable[Provider]) -> str | None:
    """Return the vendor whose host an address names, or a part of whose it is.

    The vendors are those of `providers`, and those that are known by their host alone.
    """
    host = _host(address)
    for provider in providers:
        known = _host(provider.base_url)
        is_there = host == known or host.endswith(f".{known}")
        if provider.boundary == "vendor" and is_there and not is_this_machine(provider.base_url):
            return provider.id
    return vendor_of_host(host)


def _host(address: str) -> str:
    return plain_host(urlsplit(address).hostname or "")
