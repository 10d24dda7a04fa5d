"""Which files are looked at, and that none of them stops the rest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from routerd.lint import checking
from routerd.lint.checking import Report, check_paths
from routerd.lint.files import files_under

BROKEN = "import openai (\n"
IMPORT = "import openai\n"


def write(folder: Path, *names: str, text: str = IMPORT) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found_in(report: Report, folder: Path) -> list[str]:
    return [str(Path(item.path).relative_to(folder)) for item in report.findings]


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def test_every_kind_of_file_has_its_reader(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.pyi", "c.pyw", "plain.txt", "data.json")
    write(
        tmp_path,
        *["d.js", "e.jsx", "f.mjs", "g.cjs", "h.ts", "i.tsx", "j.mts", "k.cts"],
        text="import 'openai'",
    )
    write(tmp_path, "l.vue", "m.svelte", text="<script>import 'openai'</script>")
    write(tmp_path, "n.ipynb", text='{"cells": [{"cell_type": "code", "source": "import openai"}]}')
    write(tmp_path, "o", text="#!/usr/bin/env python3\nimport openai\n")
    write(tmp_path, "p", text="#!/usr/bin/env node\nrequire('openai')\n")
    write(tmp_path, "q", "LICENSE", text="import openai\n")
    write(tmp_path, "pyproject.toml", text='[project]\ndependencies = ["openai"]\n')
    write(tmp_path, "requirements-dev.txt", "r/requirements.in", text="openai\n")
    write(tmp_path, "package.json", text='{"dependencies": {"openai": "4"}}')
    report = check_paths([tmp_path])
    sources = [*"abcdefghijklmnop"]
    assert sorted(name[0] for name in found_in(report, tmp_path)) == sorted([*sources, *"pprr"])
    assert report.files == 20
    without = check_paths([tmp_path], dependencies=False)
    assert sorted(name[0] for name in found_in(without, tmp_path)) == sources
    assert {item.kind for item in without.findings} == {"import"}


def test_a_file_that_does_not_parse_does_not_stop_the_rest(tmp_path: Path) -> None:
    write(tmp_path, "a.py", text=BROKEN)
    write(tmp_path, "b.py")
    # What names no vendor anywhere imports none: it is not judged.
    write(tmp_path, "c.py", text="print 'Python 2'")
    report = check_paths([tmp_path])
    assert found_in(report, tmp_path) == ["a.py", "b.py"]
    assert [item.kind for item in report.findings] == ["unreadable", "import"]
    assert report.findings[0].line == 1
    assert report.files == 3


def test_environments_and_packages_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".venv/a.py", "node_modules/b.py", "x/.git/c.py", "x/__pycache__/d.py")
    write(tmp_path, "own-name/lib/e.py")
    write(tmp_path, "own-name/pyvenv.cfg", text="")
    write(tmp_path, "x/f.py")
    assert found_in(check_paths([tmp_path]), tmp_path) == ["x/f.py"]
    # Named, a folder is looked at all the same.
    assert found_in(check_paths([tmp_path / ".venv"]), tmp_path) == [".venv/a.py"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "real/a.py")
    (tmp_path / "real/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "real/b.py").symlink_to(tmp_path / "real/a.py")
    (tmp_path / "real/nowhere.py").symlink_to(tmp_path / "nothing")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert found_in(check_paths([tmp_path]), tmp_path) == ["real/a.py"]
    assert found_in(check_paths([tmp_path / "link"]), tmp_path) == ["link/a.py"]


def test_what_can_be_read_only_by_waiting_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert check_paths([tmp_path]).files == 0


def test_what_git_ignores_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", text="build/\n*.gen.py\n")
    write(
        tmp_path, "kept.py", "x/new.py", "x/a.gen.py", "build/b.py", "gone.py", "node_modules/c.py"
    )
    write(tmp_path, "forced.gen.py", "nested/d.py")
    git(tmp_path, "add", "kept.py", "gone.py")
    git(tmp_path, "add", "--force", "forced.gen.py")
    (tmp_path / "gone.py").unlink()
    git(tmp_path / "nested", "init", "-q")
    (tmp_path / "link.py").symlink_to(tmp_path / "kept.py")
    # As in a hook, where git says by its environment where some repository is.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    expected = ["forced.gen.py", "kept.py", "nested/d.py", "x/new.py"]
    assert found_in(check_paths([tmp_path]), tmp_path) == expected
    assert found_in(check_paths([tmp_path / "x"]), tmp_path) == ["x/new.py"]
    # A folder that is ignored as a whole was named on purpose.
    assert found_in(check_paths([tmp_path / "build"]), tmp_path) == ["build/b.py"]


def test_without_git_all_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", text="a.py\n")
    write(tmp_path, "a.py")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found_in(check_paths([tmp_path]), tmp_path) == ["a.py"]


def test_a_file_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "x/a.py")
    monkeypatch.chdir(tmp_path)
    report = check_paths([Path("x"), tmp_path / "x/a.py", Path()])
    assert [item.path for item in report.findings] == ["x/a.py"]
    assert report.files == 1


def test_a_large_file_is_told_and_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MAX_BYTES", 20)
    write(tmp_path, "a.js", text="import 'openai'" + " " * 20)
    write(tmp_path, "b.js", text="import 'openai'")
    report = check_paths([tmp_path])
    assert found_in(report, tmp_path) == ["b.js"]
    assert report.too_large == [str(tmp_path / "a.js")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_must_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "x/b.py", "c.py")
    (tmp_path / "a.py").chmod(0)
    (tmp_path / "x").chmod(0)
    report = check_paths([tmp_path])
    (tmp_path / "x").chmod(0o700)
    assert {item.path: item.kind for item in report.findings} == {
        str(tmp_path / "a.py"): "unreadable",
        str(tmp_path / "x"): "unreadable",
        str(tmp_path / "c.py"): "import",
    }


def test_a_file_that_is_gone_by_then_is_told(tmp_path: Path) -> None:
    (finding,) = check_paths([tmp_path / "gone.py"]).findings
    assert finding.message == "cannot be read: No such file or directory"


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    gone = tmp_path / "gone"
    assert list(files_under(gone, lambda folder, why: told.append((folder, why)))) == []
    assert told == [(str(gone), "cannot be read: No such file or directory")]
