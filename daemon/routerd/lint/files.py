"""Which files are looked at.

Rules of this file: what git ignores is left out, where git is there and knows the folder; else all
is walked. Links are not followed, so that nothing is looked at twice or for ever; a PATH that is
one itself is. Environments and downloaded packages are nobody's own source.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["files_under"]

SKIPPED: Final = frozenset(
    {
        ".git",
        ".hg",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "bower_components",
        "node_modules",
        "site-packages",
        "venv",
    }
)
GIT_SECONDS: Final = 60.0


def files_under(root: Path, tell: Callable[[str, str], None]) -> Iterator[str]:
    """Yield the files under a folder, in order; `tell` hears of folders that cannot be read."""
    listed = _listed_by_git(root)
    if listed is None:
        yield from _walk(root, tell)
        return
    for name in listed:
        path = str(root / name)
        if any(part in SKIPPED for part in name.split("/")):
            continue
        mode = _mode(path)
        if stat.S_ISREG(mode):
            yield path
        elif stat.S_ISDIR(mode):
            yield from _walk(Path(path), tell)  # a repository in this one


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0  # deleted, and git does not know yet


def _listed_by_git(root: Path) -> list[str] | None:
    """Ask git for what it has and would take; None where it has nothing to say.

    A folder that is ignored as a whole was named on purpose, and is walked.
    """
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others"]
    # In a hook git says by its environment where the repository is: that of another folder.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        ended = subprocess.run(  # noqa: S603 - the words are ours, no shell reads them
            [*command, "--exclude-standard"],
            cwd=root,
            env=environ,
            capture_output=True,
            check=False,
            timeout=GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ended.returncode != 0 or not ended.stdout:
        return None
    return sorted({os.fsdecode(name).rstrip("/") for name in ended.stdout.split(b"\0") if name})


def _walk(root: Path, tell: Callable[[str, str], None]) -> Iterator[str]:
    """Yield the files of a folder, then those of the folders in it, without recursion."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            tell(str(folder), f"cannot be read: {error.strerror}")
            continue
        yield from (
            str(folder / item.name) for item in found if item.is_file(follow_symlinks=False)
        )
        waiting += [
            folder / item.name
            for item in reversed(found)
            if item.is_dir(follow_symlinks=False) and not _is_skipped(item)
        ]


def _is_skipped(entry: os.DirEntry[str]) -> bool:
    # An environment may have any name; this file is in all of them.
    return entry.name in SKIPPED or Path(entry.path, "pyvenv.cfg").is_file()
