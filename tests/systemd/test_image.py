"""The Dockerfile, read and played through as far as that goes without an engine or a network.

What it copies is copied here, and what it installs is built here from nothing else: a file that the
build needs and the image lacks is found.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "systemd" / "pod" / "Dockerfile"
PACKAGES = ("proto/routerd_proto", "client/routerd_client", "daemon/routerd")


class Instruction(NamedTuple):
    name: str
    words: list[str]


def instructions() -> list[Instruction]:
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    whole = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [Instruction(line.split()[0], shlex.split(line)[1:]) for line in whole]


def stages() -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for instruction in instructions():
        if instruction.name == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


BUILD, IMAGE = stages()


def words_of(stage: list[Instruction], name: str) -> list[list[str]]:
    return [instruction.words for instruction in stage if instruction.name == name]


def commands(run: list[str]) -> list[list[str]]:
    """Take the commands of one RUN apart."""
    found: list[list[str]] = [[]]
    for word in run:
        if word == "&&":
            found.append([])
        else:
            found[-1].append(word)
    return found


def copy(words: list[str], folder: Path) -> None:
    """Do one COPY from the project's root."""
    *sources, target = words
    for source in sources:
        found = ROOT / source
        assert found.exists(), f"{DOCKERFILE.name} copies {source}, which is not there"
        if found.is_dir():
            shutil.copytree(found, folder / target)
        else:
            shutil.copy(found, folder / target)


def build_wheel(folder: Path, flags: list[str]) -> Path:
    """Do `pip install` of a folder as far as the wheel, with the flags that say from what."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    kept = [flag for flag in flags if flag in ("--no-deps", "--no-build-isolation")]
    done = subprocess.run(
        [*command, *kept, "--no-index", "--wheel-dir", folder / "made", "."],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [wheel] = (folder / "made").glob("*.whl")
    return wheel


def play(folder: Path) -> tuple[list[str], Path]:
    """Play the first stage: the locks that were installed, and the wheel of the project."""
    locks: list[str] = []
    wheels: list[Path] = []
    for name, words in BUILD:
        if name == "COPY":
            copy(words, folder)
        for command in commands(words) if name == "RUN" else []:
            if command[1:2] != ["install"] or not command[0].endswith("/pip"):
                continue
            if "-r" in command:
                lock = command[command.index("-r") + 1]
                assert (folder / lock).exists(), f"{lock} is installed before it is copied"
                assert "--require-hashes" in command
                locks.append(lock)
            else:
                assert command[-1] == "."
                wheels.append(build_wheel(folder, command))
    [wheel] = wheels
    return locks, wheel


@pytest.mark.time_limit(60)
def test_the_image_is_built_from_what_it_copies(tmp_path: Path) -> None:
    locks, wheel = play(tmp_path)
    assert locks == ["requirements-daemon.lock"]
    backend = "hatchling=="
    assert backend in (ROOT / locks[0]).read_text(encoding="utf-8"), "built without isolation"
    installed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected: set[str] = set()
    for package in PACKAGES:
        copied = tmp_path / package
        assert copied.is_dir(), f"the image lacks {package}"
        files = [file for file in copied.rglob("*") if file.is_file()]
        expected |= {str(file.relative_to(copied.parent)) for file in files}
    assert installed == {name for name in expected if "__pycache__" not in name}


def test_every_stage_begins_from_the_base_that_was_given() -> None:
    name, words = instructions()[0]
    assert (name, words[0].split("=")[0]) == ("ARG", "BASE")
    assert [stage[0].words[0] for stage in (BUILD, IMAGE)] == ["${BASE}", "${BASE}"]


def test_the_image_takes_nothing_but_what_the_build_made() -> None:
    made = " ".join(word for run in words_of(BUILD, "RUN") for word in run)
    for source, path, target in words_of(IMAGE, "COPY"):
        assert source == "--from=build"
        assert path == target, "the environment holds absolute paths"
        assert path in made
    assert words_of(IMAGE, "RUN") == []


def test_the_daemon_is_started_without_a_shell_and_not_as_root() -> None:
    assert words_of(IMAGE, "ENTRYPOINT") == [["[routerd]"]]
    assert words_of(IMAGE, "STOPSIGNAL") == [["SIGTERM"]]
    [[user]] = words_of(IMAGE, "USER")
    assert all(number.isdecimal() and int(number) > 0 for number in user.split(":"))
