"""What every test gets: uvloop, a time limit that truly ends it, a loop that refuses to block."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import hypothesis
import pytest

from tests.blocking import watch_for_blocking_calls

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and every program that is started here would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What its checks compared is shown where they fail, as in a test.
pytest.register_assert_rewrite("tests.e2e.scene")


TIME_LIMIT_SECONDS = 20
# pytest-timeout's limit, beyond the one here: it ends the whole run, so it must come second.
LAST_RESORT_SECONDS = 100

INSTALL_SYSTEM_PACKAGES = "ROUTERD_INSTALL_SYSTEM_PACKAGES"


def pytest_configure() -> None:
    # How long an example takes says how busy the machine is, not whether the code is right.
    hypothesis.settings.register_profile(
        "routerd", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("routerd")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(autouse=True)
def no_blocking_calls_in_the_loop() -> Iterator[None]:
    blockbuster = watch_for_blocking_calls()
    yield
    blockbuster.deactivate()


@pytest.fixture
def require_command() -> Callable[[str, str], Path]:
    """Find a command of the system: `require_command("systemd-analyze", "systemd")`.

    Where it is missing the test is skipped with a sentence that names the Debian package, and it
    fails where system packages were asked for, so that CI skips nothing by mistake.
    """

    def require(name: str, package: str) -> Path:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
        sentence = f"{name} is not on this machine: it comes with the Debian package {package}"
        if os.environ.get(INSTALL_SYSTEM_PACKAGES):
            pytest.fail(f"{sentence}, which {INSTALL_SYSTEM_PACKAGES} asks to be installed")
        pytest.skip(sentence)

    return require


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    limited_already: set[object] = set()
    for item in items:
        if isinstance(item, pytest.Function):
            marker = item.get_closest_marker("time_limit")
            seconds = marker.args[0] if marker else TIME_LIMIT_SECONDS
            limit_the_time(item, seconds, limited_already)
            if marker:
                item.add_marker(pytest.mark.timeout(seconds + LAST_RESORT_SECONDS))


def limit_the_time(item: pytest.Function, seconds: float, limited_already: set[object]) -> None:
    """Limit a coroutine, and each example of one that hypothesis drives."""
    driven = getattr(item.obj, "hypothesis", None)
    if driven is None:
        if inspect.iscoroutinefunction(item.obj):
            item.obj = limited(item.obj, seconds)
    # The cases of a parametrized test share this one function.
    elif driven.inner_test not in limited_already and inspect.iscoroutinefunction(
        driven.inner_test
    ):
        driven.inner_test = limited(driven.inner_test, seconds)
        limited_already.add(driven.inner_test)


def limited(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    """End a waiting coroutine: pytest-timeout's signal is swallowed by uvloop."""

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        with anyio.fail_after(seconds):
            await test(*args, **kwargs)

    return run
