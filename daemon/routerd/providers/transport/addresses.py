"""Which address a host is written as, without resolving a name.

Rules of this file: pure. Whatever a connection would take for an address is one here too, with the
short, hexadecimal and octal forms of IPv4 (`http://2130706433` is 127.0.0.1).
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

__all__ = ["as_address", "is_loopback", "is_private", "plain_host"]

# Not what is_private of Python says: that has the addresses of documentation and tests too.
_PRIVATE: Final = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)
# What inet_aton takes, without what it ignores behind a space.
_NUMBERS: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}")


def plain_host(host: str) -> str:
    """Return a host as it is compared: lower case, no brackets, no final dot, in ASCII."""
    host = host.strip("[]")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:  # no name that can be called
            return host.lower()
    return host.rstrip(".").lower()


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine, without resolving it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = as_address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_private(host: str) -> bool:
    """Say whether a host is an address of a network of one's own: RFC 1918, ULA or link-local."""
    address = as_address(host)
    return address is not None and any(address in network for network in _PRIVATE)


def as_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address a plain host is written as, an IPv4-mapped one as IPv4, or None."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return _from_numbers(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _from_numbers(host: str) -> IPv4Address | None:
    if _NUMBERS.fullmatch(host) is None:
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
