"""`routerd lint` as a person, a hook and a script use it: output and exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from routerd.cli import main


def test_a_finding_is_a_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text("import os\nif os:\n    from openai import OpenAI\n")
    Path("web.ts").write_text("import 'openai'\n")
    assert main(["lint", "."]) == 1
    captured = capsys.readouterr()
    told = "openai: import of the vendor's SDK; ask routerd instead"
    assert captured.out.splitlines() == [
        f"app.py:3:5: {told}: from routerd_client import Client",
        f"web.ts:1:8: {told}, over its socket: docs/protocol.md",
    ]
    assert captured.err == "2 places in 2 of 2 files\n"


def test_a_clean_tree_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.py").write_text("from routerd_client import Client\n")
    assert main(["lint", str(tmp_path), str(tmp_path / "app.py")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "no vendor is spoken to without routerd in 1 file\n"


def test_a_path_that_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.py").write_text("import openai\n")
    assert main(["lint", str(tmp_path), str(tmp_path / "nothing")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"routerd: {tmp_path}/nothing: no such file or folder.\n"


def test_json_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "app.py").write_text("import openai\n")
    assert main(["lint", "--json", str(tmp_path)]) == 1
    report = json.loads(capsys.readouterr().out)
    (finding,) = report["findings"]
    assert finding.pop("path").endswith("\ufffd/app.py")
    assert finding.pop("message").startswith("openai: import")
    assert finding == {"line": 1, "column": 1, "vendor": "openai", "kind": "import"}
    assert (report["files"], report["too_large"]) == (1, [])


def test_a_name_of_any_bytes_can_be_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (b"a\xff.py", b"b\x1b[2J\n.py"):
        (tmp_path / os.fsdecode(name)).write_text("import openai\n")
    assert main(["lint", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out


def test_dependencies_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "requirements.txt").write_text("openai\n")
    assert main(["lint", str(tmp_path)]) == 1
    assert "requirements.txt:1:1: openai: openai is the vendor's SDK" in capsys.readouterr().out
    assert main(["lint", "--no-dependencies", str(tmp_path)]) == 0


def test_the_help_teaches_how_to_allow_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["lint", "--help"])
    assert left.value.code == 0
    assert "# routerd: allow:" in capsys.readouterr().out


def test_the_router_keeps_its_own_rule_in_its_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    examples = Path(__file__).parents[3] / "examples"
    assert main(["lint", str(examples)]) == 0
    assert capsys.readouterr().out == ""
