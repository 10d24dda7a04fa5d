"""Fills `.venv` with what one lock file lists, and with this project, editable.

    python3 tools/bootstrap.py requirements-dev.lock

Rules: the standard library only, since it runs before anything is installed, and in syntax that an
old Python can read, so that it can be told what is wrong. Every package is checked against a hash
of the lock. One bootstrap at a time works on a checkout; the others wait, then find it done. An
environment that works is added to and never emptied, since somebody may be running from it.

The caller's environment reaches pip unchanged: PIP_INDEX_URL, PIP_CERT and the like work as usual.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.version_info < (3, 11):  # noqa: UP036 - an older one may well be what `python3` means
    sys.exit(
        f"routerd needs Python 3.11 or newer and {sys.executable} is {sys.version.split()[0]}.\n"
        "Name a newer one, for example: make PYTHON=python3.11 test"
    )

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
# Which compiled packages this Python can load: "cpython-311-x86_64-linux-gnu".
KIND = str(sysconfig.get_config_var("SOABI"))
PROJECT = ROOT / "pyproject.toml"
PROJECT_STAMP = ENVIRONMENT / "project.stamp"
# Each holds everything the one before it holds, at the same versions (tests/test_locks.py).
LOCKS = ("requirements-daemon.lock", "requirements-dev.lock", "requirements-vendors.lock")
# All else must be a wheel: nothing of a stranger's is built here. This one has no wheel.
BUILT_FROM_SOURCE = ("forbiddenfruit",)


def main(arguments: list[str]) -> None:
    """Make the environment satisfy one lock; exit with a sentence where that cannot be done."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        sys.exit(f"usage: bootstrap.py {'|'.join(LOCKS)}")
    lock = arguments[0]
    with only_one_at_a_time() as turn:
        if is_satisfied(lock):
            return
        make_environment()
        # What pip installs now may replace what another lock's stamp vouches for.
        for name in LOCKS:
            stamp_of(name).unlink(missing_ok=True)
        say(f"installing {lock}")
        sources = ["--only-binary", ":all:", "--no-binary", ",".join(BUILT_FROM_SOURCE)]
        pip(turn, "--require-hashes", *sources, "-r", str(ROOT / lock))
        install_project(turn)
        stamp_of(lock).write_text(digest(ROOT / lock, PROJECT))
        say("ready")


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[IO[str]]:
    """Hold the checkout's lock; the file lies beside the environment, which may be replaced."""
    with (ROOT / ".venv.lock").open("w") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is filling .venv: waiting for it")
            fcntl.flock(turn, fcntl.LOCK_EX)
        yield turn


def is_satisfied(lock: str) -> bool:
    """Tell whether this lock, or one that holds all of it, was installed and has not changed."""
    return PYTHON.exists() and any(
        is_fresh(stamp_of(name), ROOT / name, PROJECT) for name in LOCKS[LOCKS.index(lock) :]
    )


def make_environment() -> None:
    """Make the environment, or finish one whose making was cut short."""
    found = answer_of_environment("import sysconfig; print(sysconfig.get_config_var('SOABI'))")
    if found not in ("", KIND):
        sys.exit(
            f"{ENVIRONMENT} was made with another Python ({found}, and this is {KIND}).\n"
            "Name that one, as in make PYTHON=python3.11 test, or remove the folder when nothing "
            "runs from it: make clean"
        )
    if found and answer_of_environment("import pip; print(pip.__version__)"):
        return
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        sys.exit(
            f"{sys.executable} cannot make a virtual environment: it has no ensurepip.\n"
            f"On Debian and Ubuntu it comes with: apt-get install {package}"
        )
    say(f"making .venv with Python {sys.version.split()[0]}")
    try:
        venv.create(ENVIRONMENT, clear=not found, symlinks=True, with_pip=True)
    except subprocess.CalledProcessError as failure:
        sys.exit(f"making .venv failed: {(failure.output or b'').decode().strip()}")


def answer_of_environment(question: str) -> str:
    """Return what the environment's Python prints, or "" where it does not start or fails."""
    if not PYTHON.exists():
        return ""
    asked = subprocess.run([PYTHON, "-c", question], check=False, capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def install_project(turn: IO[str]) -> None:
    """Install the project, editable, unless it is: a reinstall takes it away for a moment."""
    if is_fresh(PROJECT_STAMP, PROJECT):
        return
    PROJECT_STAMP.unlink(missing_ok=True)
    say("installing routerd, editable")
    pip(turn, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    PROJECT_STAMP.write_text(digest(PROJECT))


def pip(turn: IO[str], *arguments: str) -> None:
    """Run `pip install`. It keeps the checkout's lock even if this script is killed."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run(
        [*command, *arguments], check=False, pass_fds=[turn.fileno()], stdout=sys.stderr
    )
    if done.returncode != 0:
        sys.exit(
            "pip failed, see above. A package index must be reachable the first time; "
            "PIP_INDEX_URL names another one, PIP_CERT its certificate authority."
        )


def stamp_of(lock: str) -> Path:
    """Return the file that says in which state a lock was installed."""
    return ENVIRONMENT / f"{lock}.stamp"


def is_fresh(stamp: Path, *files: Path) -> bool:
    """Tell whether a stamp was written for these files as they are now."""
    return stamp.exists() and stamp.read_text() == digest(*files)


def digest(*files: Path) -> str:
    """Return a hash of files, of the kind of Python and of the place of this checkout."""
    contents = [file.read_bytes() for file in files]
    parts = [*contents, KIND.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def say(sentence: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"bootstrap: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
