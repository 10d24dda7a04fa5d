"""What the client's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from routerd_client.testing import FakeRouter
from tests.client.ways import WAYS, Way


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter() as fake:
        yield fake


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    chosen = WAYS[request.param]()
    yield chosen
    chosen.close()
