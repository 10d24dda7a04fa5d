"""The row of the matrix that no script of a provider can play: it cannot be reached at all."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from routerd.simulate import Simulator
from tests.e2e.asking import ask, explain, served_by
from tests.e2e.conftest import OPENAI, Daemon
from tests.e2e.matrix.conftest import running
from tests.e2e.matrix.faults import ASKED, MODELS, Asked, way_of

SIDE: Final = MODELS[0]
NOWHERE: Final = """\
[providers.anthropic]
base_url = "{url}"
simulated = true
keyless = true
boundary = "vendor"
"""
FAULTS: Final = ("refused", "unanswered", "unknown")


@pytest.fixture(scope="module")
def mute() -> Iterator[str]:
    """Return the address of somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    """Return an address that is taken, so that nobody else gets it, and refuses everybody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module", params=FAULTS)
async def daemon(
    request: pytest.FixtureRequest,
    simulator: Simulator,
    mute: str,
    closed: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Daemon]:
    urls = {"refused": closed, "unanswered": mute, "unknown": "http://nobody.invalid"}
    providers = NOWHERE.format(url=urls[request.param]) + OPENAI.format(url=simulator.base_url)
    async with running(tmp_path_factory.mktemp("connecting"), providers) as daemon:
        yield daemon


@pytest.mark.parametrize("asked", ASKED)
async def test_who_cannot_be_reached_is_asked_once_and_left_for_the_backup(
    daemon: Daemon, simulator: Simulator, asked: Asked
) -> None:
    before = len(simulator.account.attempts)
    async with daemon.client() as client:
        heard = await ask(client, way_of(asked), SIDE.target, restart=asked == "restart")
        record = await explain(client, heard.decision_id)
    assert heard.answer.deployment == SIDE.backup
    assert heard.restarts == []
    assert served_by(simulator, after=before) == [SIDE.backup]
    failed, answered = record.attempts
    assert (failed.deployment, failed.error_phase) == (SIDE.first, "connect")
    assert failed.error_class in {"connection", "timeout"}
    assert (failed.sent, failed.status, failed.cost_nanodollars) == (False, None, 0)
    assert (answered.deployment, answered.reason, answered.error_class) == (
        SIDE.backup,
        "fallback",
        None,
    )
