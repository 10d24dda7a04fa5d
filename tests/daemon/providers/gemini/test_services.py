"""The addresses of the two services, and of the regions of one."""

from __future__ import annotations

import pytest

from routerd.providers.gemini import SERVICES, GeminiAdapter
from tests.daemon.providers.drive import request

GLOBAL = "https://aiplatform.googleapis.com/v1/projects/p-1/locations/global"
NEAR = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4"
WIDE = "https://aiplatform.eu.rep.googleapis.com/v1/projects/p-1/locations/eu"
VERTEX = GeminiAdapter(SERVICES["vertex"])


@pytest.mark.parametrize(
    ("base", "region", "expected"),
    [
        (GLOBAL, "europe-west4", NEAR),
        (NEAR, "global", GLOBAL),
        (NEAR, "europe-west4", NEAR),
        (GLOBAL, None, GLOBAL),
        (NEAR, "eu", WIDE),
        (WIDE, "global", GLOBAL),
        (GLOBAL, "mars", GLOBAL),
        (GLOBAL, "x/../y", GLOBAL),
        ("https://aiplatform.googleapis.com/v1beta1", "global", None),
        ("http://127.0.0.1:9/vertex/v1/projects/p/locations/global", "us-central1", None),
        ("https://aiplatform.googleapis.com.example.org/v1", "us-central1", None),
    ],
)
def test_a_region_has_its_own_host_and_path(base: str, region: str, expected: str | None) -> None:
    assert VERTEX.address_in(base, region) == (expected or base)
    assert GeminiAdapter().address_in(base, region) == base


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (GLOBAL, "https://aiplatform.googleapis.com/v1beta1"),
        (NEAR, "https://europe-west4-aiplatform.googleapis.com/v1beta1"),
        ("https://aiplatform.googleapis.com/v1beta1", None),
        (
            "http://127.0.0.1:9/vertex/v1beta1/projects/p/locations/l?a=b",
            "http://127.0.0.1:9/vertex/v1beta1?a=b",
        ),
        ("https://proxy.example/vertex", None),
    ],
)
def test_the_list_of_vertex_is_that_of_no_project(base: str, expected: str | None) -> None:
    assert VERTEX.list_address(base) == (expected or base)
    assert GeminiAdapter().list_address(base) == base


def test_models_of_vertex_are_those_of_a_publisher() -> None:
    encoded = VERTEX.encode(request("gemini-4-argon", stream=True))
    path = "/publishers/google/models/gemini-4-argon:streamGenerateContent?alt=sse"
    assert encoded.path == path
    assert encoded.body == GeminiAdapter().encode(request("gemini-4-argon")).body
