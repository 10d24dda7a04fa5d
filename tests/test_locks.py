"""The lock files say what pyproject.toml asks for, and nothing else. Nothing here needs a network.

What a package needs is read from the installed ones, so each test asks for the environment that
its lock makes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.bootstrap import BUILT_FROM_SOURCE
from tools.bootstrap import LOCKS as LOCKS_OF_BOOTSTRAP

ROOT = Path(__file__).resolve().parent.parent
# Lock file: the extras it holds.
LOCKS = {
    "requirements-daemon.lock": ["daemon"],
    "requirements-dev.lock": ["dev"],
    "requirements-vendors.lock": ["dev", "vendors"],
}
# Of `make bench-peers`, each for an environment of its own.
PEER_LOCKS = ("bench/peer_locks/litellm.lock", "bench/peer_locks/tensorzero.lock")
PIN = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[\w.+]+)(?: ; (?P<marker>[^\\\n]+?))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})*)\n"
)


def pins(lock: str) -> dict[str, Version]:
    """Return what a lock installs on this machine; every line must be understood."""
    text = re.sub(r"^#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    assert PIN.sub("", text) == ""
    found: dict[str, Version] = {}
    for pin in PIN.finditer(text):
        assert pin["hashes"], f"{pin['name']} has no hash in {lock}"
        if pin["marker"] is None or Marker(pin["marker"]).evaluate():
            name = canonicalize_name(pin["name"])
            assert name not in found, f"{name} is pinned twice in {lock}"
            found[name] = Version(pin["version"])
    return found


def requirements(extras: list[str]) -> list[Requirement]:
    """Return every requirement that holds here, of the project and of what it brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    for extra in extras:
        asked += project["project"]["optional-dependencies"][extra]
    waiting = [Requirement(line) for line in asked]
    seen: set[tuple[str, frozenset[str]]] = set()
    followed: list[Requirement] = []
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == "routerd":  # one extra that names another
            for extra in requirement.extras:
                lines = project["project"]["optional-dependencies"][extra]
                waiting += [Requirement(line) for line in lines]
            continue
        followed.append(requirement)
        key = (name, frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            waiting += needed_by(name, requirement.extras)
    return followed


def needed_by(name: str, extras: set[str]) -> list[Requirement]:
    """Return what an installed package needs on this machine, with some of its extras."""
    lines = importlib.metadata.requires(name) or []
    return [
        requirement
        for requirement in map(Requirement, lines)
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


def skip_where_it_is_not_installed(lock: str) -> None:
    if "vendors" in LOCKS[lock] and importlib.util.find_spec("openai") is None:
        pytest.skip("the vendors' own clients are not installed here: `make test` installs them")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_what_the_project_needs(lock: str) -> None:
    skip_where_it_is_not_installed(lock)
    pinned = pins(lock)
    needed = requirements(LOCKS[lock])
    assert set(pinned) == {canonicalize_name(requirement.name) for requirement in needed}
    for requirement in needed:
        version = pinned[canonicalize_name(requirement.name)]
        # OpenTelemetry asks for its own pre-releases.
        assert requirement.specifier.contains(version, prereleases=True), f"{lock}: {requirement}"


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_installed_is_what_is_pinned(lock: str) -> None:
    skip_where_it_is_not_installed(lock)
    installed = {name: Version(importlib.metadata.version(name)) for name in pins(lock)}
    assert installed == pins(lock)


@pytest.mark.parametrize("lock", PEER_LOCKS)
def test_what_the_bench_runs_beside_is_pinned_by_hash(lock: str) -> None:
    asked = (ROOT / lock).with_suffix(".in").read_text().splitlines()
    pinned = pins(lock)
    for line in asked:
        if not line.startswith("#"):
            assert canonicalize_name(Requirement(line).name) in pinned


def test_what_npm_installs_is_pinned_by_hash() -> None:
    text = (ROOT / "bench" / "peer_locks" / "portkey" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert "node_modules/@portkey-ai/gateway" in packages
    assert all("integrity" in package for place, package in packages.items() if place)
    assert not any("resolved" in package for package in packages.values())
    # The addresses that are there are those of who makes a package.
    assert not re.search(r"registry|file:|localhost|/(tmp|home|root|opt)/", text)


@pytest.mark.parametrize("lock", [*LOCKS, *PEER_LOCKS])
def test_a_lock_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(?!hash=)\S+)\b", text, flags=re.MULTILINE)
    assert text.startswith("# This file was autogenerated by uv via the following command:\n")
    assert text.splitlines()[1] == "#    make lock"


def test_each_lock_holds_all_of_the_smaller_one() -> None:
    assert tuple(LOCKS) == LOCKS_OF_BOOTSTRAP
    smallest, middle, largest = map(pins, LOCKS)
    assert smallest.items() < middle.items() < largest.items()


def test_the_daemon_is_installed_from_wheels_alone() -> None:
    # bootstrap.py has pip refuse to build anything but these.
    assert not set(BUILT_FROM_SOURCE) & set(pins("requirements-daemon.lock"))
    assert set(BUILT_FROM_SOURCE) <= set(pins("requirements-dev.lock"))
