"""Which address serves a deployment, by its region.

Rules of this file: pure. Only AWS's own addresses are changed: a proxy, a private endpoint and a
simulator are where they are. A geography (`eu`) is that of an inference profile, which is called
from any region in it; `global` is called from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["DEFAULT_REGION", "address_in", "list_address", "own_address", "region_in", "region_of"]

# Where neither an address nor the environment names one.
DEFAULT_REGION: Final = "us-east-1"

HOST: Final = re.compile(
    r"(?P<start>https?://bedrock-runtime(?:-fips)?\.)(?P<region>[a-z0-9-]+)"
    r"(?P<end>\.(?:amazonaws\.com|api\.aws))(?=[:/?]|$)"
)
# What such a host's name begins with; its control plane has no `-runtime` there.
CALLED_AT: Final = re.compile("/bedrock-runtime")
# `eu-central-1`, `us-gov-west-1`, `eusc-de-east-1`.
REGION: Final = re.compile(
    r"(?<![a-z0-9-])[a-z]{2,4}(?:-[a-z]+)?-"
    r"(?:central|east|west|north(?:east|west)?|south(?:east|west)?)-\d(?![a-z0-9-])"
)
# The regions a geography's profiles are called from, by how they begin; the first is used where
# the provider's own address lies outside.
GEOGRAPHIES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "us": ("us-east-1", ("us-east-", "us-west-")),
    "us-gov": ("us-gov-west-1", ("us-gov-",)),
    "eu": ("eu-central-1", ("eu-",)),
    "jp": ("ap-northeast-1", ("ap-northeast-1", "ap-northeast-3")),
    "au": ("ap-southeast-2", ("ap-southeast-2", "ap-southeast-4")),
    "apac": ("ap-southeast-1", ("ap-",)),
}


def region_in(environ: Mapping[str, str]) -> str | None:
    """Return the region that AWS's own clients take from the environment; None without one."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if region := environ.get(name, "").strip():
            return region
    return None


def own_address(base_url: str, environ: Mapping[str, str]) -> str | None:
    """Return the base address in the region of the environment, None if no region is called so.

    An address that is not AWS's, or in another region than the one that is there without asking,
    was chosen by somebody and stays.
    """
    match, region = HOST.match(base_url), region_in(environ)
    if match is None or region is None or match["region"] != DEFAULT_REGION:
        return base_url
    return address_in(base_url, region) if REGION.fullmatch(region) is not None else None


def region_of(host: str) -> str | None:
    """Return the region that a host's name holds, also that of a private endpoint."""
    found = REGION.search(host)
    return None if found is None else found[0]


def address_in(base_url: str, region: str | None) -> str:
    """Return the base address that serves a region or a geography."""
    match = HOST.match(base_url)
    if match is None or not region:
        return base_url
    wanted = region
    if region in GEOGRAPHIES:
        home, inside = GEOGRAPHIES[region]
        wanted = match["region"] if match["region"].startswith(inside) else home
    elif REGION.fullmatch(region) is None:
        return base_url
    return f"{match['start']}{wanted}{match['end']}{base_url[match.end() :]}"


def list_address(base_url: str) -> str:
    """Return the base address of the control plane of the same region, where the lists are."""
    return CALLED_AT.sub("/bedrock", base_url, count=1) if HOST.match(base_url) else base_url
