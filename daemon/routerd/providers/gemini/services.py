"""The two services of Google that speak generateContent: the Gemini API, and Vertex AI.

Rules of this file: declared data, and pure. The services differ in their addresses and in who may
ask: the base address of the Gemini API ends before `/v1beta`; that of Vertex names a version and,
but for express mode, a project and a location, and ends before `/publishers`. A region of Vertex
has a host of its own; addresses that are not Google's (a proxy, a simulator) are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from routerd.providers.gemini.finishes import NUMBERED, NUMBERED_BY_VERTEX

__all__ = ["GEMINI", "SERVICES", "VERTEX", "Service", "address_in", "is_region", "list_address"]


class Service(Struct, frozen=True, kw_only=True):
    """Where a service has its models, below the base address, and what a GET there may be.

    `takes_tokens` says that it asks for an access token, `numbered` which numbers stand for reasons
    to end where it sends them in the place of words.
    """

    name: str
    models: str
    models_path: str
    warm_path: str
    numbered: Mapping[int, str]
    takes_tokens: bool = False


GEMINI: Final = Service(
    name="gemini",
    models="/v1beta/models/",
    models_path="/v1beta/models?pageSize=1000",
    warm_path="/v1beta/models?pageSize=1",
    numbered=NUMBERED,
)
VERTEX: Final = Service(
    name="vertex",
    models="/publishers/google/models/",
    models_path="/publishers/google/models?pageSize=300",
    warm_path="/publishers/google/models?pageSize=1",
    numbered=NUMBERED_BY_VERTEX,
    takes_tokens=True,
)
SERVICES: Final = {service.name: service for service in (GEMINI, VERTEX)}
"""The services by name."""

HOST: Final = re.compile(
    r"(?P<scheme>https?://)"
    r"(?:(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com|aiplatform\.[a-z]+\.rep\.googleapis\.com)(?=/)"
)
PLACED: Final = re.compile(r"/v1(?:beta1)?(?:/projects/[^/?]+/locations/[^/?]+)?(?=$|\?)")
LOCATION: Final = re.compile(r"/locations/[^/?]+")
REGION: Final = re.compile(r"global|us|eu|[a-z]+-[a-z]+\d{1,2}")


def is_region(name: str) -> bool:
    """Return whether a location of Vertex may be called so."""
    return REGION.fullmatch(name) is not None


def address_in(base_url: str, region: str | None) -> str:
    """Return the base address that serves a region: its host, and its name in the path.

    Hosts as the vendor's own client (google-genai 3.6) chooses them.
    """
    found = HOST.match(base_url)
    if found is None or not region or not is_region(region):
        return base_url
    if region in ("us", "eu"):
        host = f"aiplatform.{region}.rep.googleapis.com"
    else:
        host = f"{'' if region == 'global' else f'{region}-'}aiplatform.googleapis.com"
    path = LOCATION.sub(f"/locations/{region}", base_url[found.end() :], count=1)
    return f"{found['scheme']}{host}{path}"


def list_address(base_url: str) -> str:
    """Return the base address that the list of Vertex's models is below: that of no project.

    Only the beta has one, as the vendor's own clients know it (google-genai 3.6, gcloud).
    """
    return PLACED.sub("/v1beta1", base_url, count=1)
