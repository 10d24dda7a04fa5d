"""tools/bootstrap.py and tools/system_packages.py, run as a person runs them, without a network.

The bootstrap works on a small checkout of its own: a project that needs no build package, and locks
that pin one wheel made here.
"""

from __future__ import annotations

import ast
import hashlib
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bootstrap import LOCKS

ROOT = Path(__file__).resolve().parent.parent
DAEMON, DEVELOPMENT, VENDORS = LOCKS

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "small"
version = "1.0"
"""

# A build backend that needs nothing but the standard library.
BACKEND = """
import pathlib
import zipfile

FILES = {
    "METADATA": "Metadata-Version: 2.1\\nName: {}\\nVersion: {}\\n",
    "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "RECORD": "",
}


def make_wheel(folder, name, version, source=""):
    wheel = pathlib.Path(folder, f"{name}-{version}-py3-none-any.whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", source)
        for file, text in FILES.items():
            archive.writestr(f"{name}-{version}.dist-info/{file}", text.format(name, version))
    return wheel


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return make_wheel(wheel_directory, "small", "1.0").name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Lay out a small checkout whose three locks pin version 1 of one package."""
    folder = tmp_path / "checkout"
    for name in ("tools", "wheels", "home"):
        (folder / name).mkdir(parents=True)
    (folder / "tools" / "bootstrap.py").write_bytes((ROOT / "tools" / "bootstrap.py").read_bytes())
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    for lock in LOCKS:
        pin(folder, lock, version="1.0")
    return folder


def pin(checkout: Path, lock: str, *, version: str) -> None:
    """Make a wheel of this version and have the lock ask for it."""
    make_wheel = runpy.run_path(str(checkout / "backend.py"))["make_wheel"]
    wheel: Path = make_wheel(checkout / "wheels", "pinned", version, f"version = '{version}'")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (checkout / lock).write_text(f"pinned=={version} \\\n    --hash=sha256:{sha256}\n")


def start(checkout: Path, lock: str) -> subprocess.Popen[str]:
    """Start a bootstrap in an environment with nothing in it but what it must have."""
    return subprocess.Popen(
        [sys.executable, checkout / "tools" / "bootstrap.py", lock],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(checkout / "home"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(checkout / "wheels"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bootstrap(checkout: Path, lock: str) -> tuple[int, str]:
    """Run a bootstrap to its end; return its exit code and what it told the person."""
    with start(checkout, lock) as process:
        said, told = process.communicate()
    assert said == ""
    return process.returncode, told


def installed_version(checkout: Path) -> str:
    """Ask the environment which version of the pinned package it holds."""
    python = str(checkout / ".venv" / "bin" / "python")
    command = [python, "-c", "import pinned; print(pinned.version)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.timeout(300)
def test_two_at_once_from_nothing_and_a_third_that_finds_it_done(checkout: Path) -> None:
    with start(checkout, VENDORS) as one, start(checkout, DAEMON) as other:
        told = one.communicate()[1] + other.communicate()[1]
    assert (one.returncode, other.returncode) == (0, 0), told
    assert told.count("making .venv") == 1
    assert told.count("installing routerd, editable") == 1
    assert installed_version(checkout) == "1.0"

    # The largest lock is in place: each smaller one is too, and nothing is said or done.
    for lock in LOCKS:
        assert bootstrap(checkout, lock) == (0, "")


@pytest.mark.timeout(300)
def test_a_changed_lock_is_installed_into_the_same_environment(checkout: Path) -> None:
    code, told = bootstrap(checkout, DEVELOPMENT)
    assert code == 0, told
    in_use = checkout / ".venv" / "in-use"
    in_use.touch()

    pin(checkout, DEVELOPMENT, version="2.0")
    assert bootstrap(checkout, DEVELOPMENT) == (
        0,
        f"bootstrap: installing {DEVELOPMENT}\nbootstrap: ready\n",
    )
    assert installed_version(checkout) == "2.0"
    assert bootstrap(checkout, VENDORS)[0] == 0
    assert installed_version(checkout) == "1.0"
    assert in_use.exists()

    # A package that is not the one whose hash was locked is refused, and the next run tries again.
    good = (checkout / VENDORS).read_text()
    (checkout / VENDORS).write_text(f"pinned==2.0 \\\n    --hash=sha256:{'0' * 64}\n")
    code, told = bootstrap(checkout, VENDORS)
    assert code == 1
    assert "pip failed, see above" in told
    assert installed_version(checkout) == "1.0"
    assert bootstrap(checkout, VENDORS)[0] == 1
    (checkout / VENDORS).write_text(good)
    assert bootstrap(checkout, VENDORS)[0] == 0


def test_an_environment_of_another_python_is_left_alone(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho cpython-310-x86_64-linux-gnu\n")
    python.chmod(0o755)
    code, told = bootstrap(checkout, DAEMON)
    assert code == 1
    assert "was made with another Python (cpython-310-x86_64-linux-gnu" in told
    assert python.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("sys.version_info = (3, 10, 9, 'final', 0)", "routerd needs Python 3.11 or newer"),
        ("sys.modules['ensurepip'] = None", "apt-get install python3."),
        ("sys.argv[1] = 'requirements.txt'", "usage: bootstrap.py requirements-daemon.lock|"),
    ],
)
def test_a_python_or_a_word_that_will_not_do_is_told_in_a_sentence(
    change: str, sentence: str, checkout: Path
) -> None:
    script = checkout / "tools" / "bootstrap.py"
    code = f"""
import runpy, sys
sys.argv = ['bootstrap.py', '{DAEMON}']
{change}
runpy.run_path({str(script)!r}, run_name='__main__')
"""
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 1
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("script", ["bootstrap.py", "system_packages.py"])
def test_an_old_python_can_read_the_script_that_tells_it_so(script: str) -> None:
    ast.parse((ROOT / "tools" / script).read_text(), feature_version=(3, 7))


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """Lay out a PATH with nothing on it but an apt-get and a sudo that note what they are asked."""
    commands = {
        "apt-get": f'echo "$@" >> {tmp_path}/asked',
        "sudo": 'shift; exec /usr/bin/env "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, line in commands.items():
        command = tmp_path / "bin" / name
        command.write_text(f"#!/bin/sh\n{line}\n")
        command.chmod(0o755)
    return tmp_path


def install_system_packages(
    machine: Path, *, asked: str, change: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the script on a machine whose PATH is the folder `bin` there."""
    script = str(ROOT / "tools" / "system_packages.py")
    code = f"import runpy, sys\n{change}\nrunpy.run_path({script!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(machine / "bin"), "ROUTERD_INSTALL_SYSTEM_PACKAGES": asked},
        check=False,
        capture_output=True,
        text=True,
    )


def test_system_packages_are_installed_where_the_variable_asks_for_it(bare_machine: Path) -> None:
    assert install_system_packages(bare_machine, asked="1").returncode == 0
    update, install = (bare_machine / "asked").read_text().splitlines()
    assert update == "-o DPkg::Lock::Timeout=120 -q update"
    assert install.startswith(
        "-o DPkg::Lock::Timeout=120 -q install --yes --no-install-recommends "
    )
    assert "systemd" in install.split()


def test_a_python_that_makes_no_environments_gets_what_it_lacks(bare_machine: Path) -> None:
    run = install_system_packages(bare_machine, asked="1", change="sys.modules['ensurepip'] = None")
    assert run.returncode == 0, run.stderr
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert package in (bare_machine / "asked").read_text().split()


def test_no_machine_is_changed_without_being_asked(bare_machine: Path) -> None:
    assert install_system_packages(bare_machine, asked="").returncode == 0
    assert not (bare_machine / "asked").exists()


def test_nothing_is_installed_where_nothing_is_missing(bare_machine: Path) -> None:
    for name in ("systemd-analyze", "systemd-socket-activate", "systemd-sysusers"):
        (bare_machine / "bin" / name).symlink_to("apt-get")
    install_system_packages(bare_machine, asked="1")
    asked = bare_machine / "asked"
    assert not asked.exists() or "systemd" not in asked.read_text().split()


def test_a_machine_without_apt_is_told_what_is_missing(bare_machine: Path) -> None:
    (bare_machine / "bin" / "apt-get").unlink()
    run = install_system_packages(bare_machine, asked="1")
    assert run.returncode == 1
    assert "Missing, by Debian name:" in run.stderr
    assert "systemd" in run.stderr
