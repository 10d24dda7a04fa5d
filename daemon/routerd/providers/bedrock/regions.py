"""Which address serves a deployment, by its region.

Rules of this file: pure. Only AWS's own addresses are changed: a proxy, a private endpoint and a
simulator are where they are. A geography (`eu`) is that of an inference profile, which is called
from any region in it; `global` is called from anywhere.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["address_in"]

HOST: Final = re.compile(
    r"(?P<start>https?://bedrock-runtime(?:-fips)?\.)(?P<region>[a-z0-9-]+)(?P<end>\.amazonaws\.com)"
)
REGION: Final = re.compile(r"[a-z]{2,3}(?:-[a-z]+)+-\d")
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
