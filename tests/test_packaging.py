"""What somebody gets who installs routerd: files, console script, and what the client brings."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "routerd_proto": ROOT / "proto" / "routerd_proto",
    "routerd_client": ROOT / "client" / "routerd_client",
    "routerd": ROOT / "daemon" / "routerd",
}
CLIENT_SIDE = ("routerd_proto", "routerd_client")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and the source distribution, in this environment and without a network."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def wheel_names(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def client_only(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out what `pip install routerd` gives: the wheel and msgspec, and nothing else."""
    folder = tmp_path_factory.mktemp("client-only")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    msgspec = importlib.util.find_spec("msgspec")
    assert msgspec is not None
    assert msgspec.submodule_search_locations
    (folder / "msgspec").symlink_to(msgspec.submodule_search_locations[0])
    return folder


def run_client_only(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code by a Python that sees no site-packages but that folder."""
    command = [sys.executable, "-S", "-c", code, *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )


def files_of_the_packages() -> Iterator[str]:
    for name, folder in PACKAGES.items():
        for file in folder.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{name}/{file.relative_to(folder)}"


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel_names: set[str]) -> None:
    outside_metadata = {name for name in wheel_names if ".dist-info/" not in name}
    assert outside_metadata == set(files_of_the_packages())
    assert {f"{package}/py.typed" for package in PACKAGES} < outside_metadata
    assert any(name.endswith(".toml") for name in outside_metadata)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


def test_the_source_distribution_makes_the_same_wheel(
    built: Path, wheel_names: set[str], tmp_path: Path
) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert not (source / "tests").exists()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == wheel_names


def test_an_app_installs_msgspec_and_nothing_else() -> None:
    needed = importlib.metadata.requires("routerd") or []
    assert [line for line in needed if "extra ==" not in line] == ["msgspec>=0.20"]


def test_the_client_works_with_what_an_app_installs(client_only: Path) -> None:
    run = run_client_only(client_only, "import routerd_client; routerd_client.Client()")
    assert run.returncode == 0, run.stderr


def test_the_console_script_says_what_to_install(client_only: Path) -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="routerd")
    assert script.value == "routerd.__main__:main"
    code = "import sys; from routerd.__main__ import main; sys.exit(main())"
    run = run_client_only(client_only, code, "serve")
    assert run.returncode != 0
    assert "routerd[daemon]" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_importing_the_client_brings_msgspec_alone() -> None:
    # msgspec by itself takes typing_extensions where that happens to be installed.
    code = (
        "import json, sys, msgspec; before = set(sys.modules); import routerd_client;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    brought = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert brought - sys.stdlib_module_names - {"msgspec"} == {"routerd_client", "routerd_proto"}


@pytest.mark.parametrize("package", CLIENT_SIDE)
def test_every_import_of_the_client_side_is_allowed(package: str) -> None:
    allowed = sys.stdlib_module_names | {"msgspec", *CLIENT_SIDE}
    foreign = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in PACKAGES[package].rglob("*.py")
        for name in imported_names(file)
        if name.partition(".")[0] not in allowed
    }
    assert foreign == set()


def imported_names(file: Path) -> Iterator[str]:
    """Yield what every import statement names, those inside functions and conditions included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield node.module


def public_modules() -> list[str]:
    """Name the modules that declare what is public: those with an `__all__`."""
    return sorted(
        ".".join([name, *file.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
        for name, folder in PACKAGES.items()
        for file in folder.rglob("*.py")
        if any(
            isinstance(node, ast.Assign)
            and [target.id for target in node.targets if isinstance(target, ast.Name)]
            == ["__all__"]
            for node in ast.parse(file.read_text()).body
        )
    )


def test_the_client_declares_what_is_public() -> None:
    assert "routerd_client" in public_modules()


@pytest.mark.parametrize("name", public_modules())
def test_what_is_public_is_there_once_and_in_order(name: str) -> None:
    module = importlib.import_module(name)
    names = module.__all__
    assert list(names) == sorted(set(names), key=order_of_ruff)
    assert [word for word in names if not hasattr(module, word)] == []


def order_of_ruff(word: str) -> tuple[bool, bool, list[str | int]]:
    """Sort as RUF022 does: constants, then classes, then the rest, numbers by their value."""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", word)]
    return (not (word.isupper() and len(word) > 1), not word[:1].isupper(), parts)
