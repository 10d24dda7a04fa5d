"""`routerd prices import` as a person and a script use it: files, output and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from routerd.cli import main
from routerd.models import load_directory
from routerd.models.price_import import HEADER

FIXTURES = Path(__file__).parents[2] / "fixtures" / "prices"


class Desk:
    """A folder with a configuration, and the command line in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.out = folder / "prices.toml"
        self._capsys = capsys
        shutil.copy(FIXTURES / "directory" / "directory.toml", folder)
        self.name_in_configuration("directory.toml")

    def name_in_configuration(self, *files: str) -> None:
        (self.folder / "routerd.toml").write_text(f"directory = {json.dumps(files)}\n")

    def imports(self, name: str, *options: str) -> tuple[int, str, str]:
        config = str(self.folder / "routerd.toml")
        arguments = ["prices", "import", str(FIXTURES / name), "--config", config]
        code = main([*arguments, "--out", str(self.out), *options])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def row(out: str, deployment: str, rate: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.split()[:2] == [deployment, rate]]
    return line.split()


@pytest.mark.parametrize("name", ["litellm.json", "genai.json"])
def test_what_changed_is_a_table_and_the_file_loads(desk: Desk, name: str) -> None:
    code, out, error = desk.imports(name)
    assert (code, error) == (0, "")
    assert row(out, "acme/dearer", "input")[2:] == ["now", "$1.00", "$1.25", "+25.0", "%"]
    assert row(out, "acme/dearer", "cache_read")[2:] == ["now", "-", "$0.125", "-"]
    assert row(out, "acme/long", "long_context.above")[2:] == (
        ["now", "272000", "200000", "-26.5", "%"]
    )
    assert "kept     acme/dearer: the list does not say cache_write_long" in out
    assert "missing  acme/nobody-entered-it: the list has no price of it" in out
    assert "refused  acme/wrong-unit: output is 200000000000 instead of 2000000000" in out
    assert f"wrote {desk.out}: " in out
    price = (
        load_directory([desk.folder / "directory.toml", desk.out]).deployments["acme/dearer"].price
    )
    assert price is not None
    assert price.input == 1_250_000_000


def test_json_has_the_numbers(desk: Desk) -> None:
    code, out, _ = desk.imports("litellm.json", "--json", "--provider", "acme")
    answer = json.loads(out)
    assert code == 0
    assert answer["file"] == str(desk.out)
    assert {
        "deployment": "acme/dearer",
        "rate": "input",
        "since": None,
        "old": 1_000_000_000,
        "new": 1_250_000_000,
        "percent": 25.0,
    } in answer["changed"]
    assert set(answer["refused"]) >= {"acme/wrong-unit", "acme/words"}
    assert "other/same" not in answer["missing"]
    assert answer["text"] == desk.out.read_text()


def test_the_same_list_again_changes_nothing(desk: Desk) -> None:
    desk.imports("litellm.json")
    before = desk.out.read_text()
    desk.name_in_configuration("directory.toml", "prices.toml")
    code, out, _ = desk.imports("litellm.json")
    assert code == 0
    assert " 0 rates changed" in out
    assert desk.out.read_text() == before


def test_a_list_without_a_price_of_ours_writes_nothing(desk: Desk) -> None:
    code, out, _ = desk.imports("litellm.json", "--provider", "other")
    assert code == 1
    assert "missing  other/same" in out
    assert "nothing to import: no file was written" in out
    assert not desk.out.exists()


def test_a_file_of_another_kind_is_never_overwritten(desk: Desk) -> None:
    desk.out.write_text("# my own notes\n")
    code, out, error = desk.imports("litellm.json")
    assert (code, out) == (2, "")
    assert "exists and is no import" in error
    assert desk.out.read_text() == "# my own notes\n"
    desk.out.write_text(f"{HEADER}\n")
    assert desk.imports("litellm.json")[0] == 0


def test_a_place_that_cannot_be_written_is_told(desk: Desk) -> None:
    desk.out = desk.folder / "nowhere" / "prices.toml"
    code, _, error = desk.imports("litellm.json")
    assert code == 2
    assert f"cannot write {desk.out}" in error


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("nowhere.json", (), "cannot read"),
        ("directory/directory.toml", (), "is no price list that is known"),
        ("litellm.json", ("--provider", "amce"), "'amce' is no known provider; known: "),
    ],
)
def test_wrong_usage_is_told(
    desk: Desk, name: str, options: tuple[str, ...], expected: str
) -> None:
    code, out, error = desk.imports(name, *options)
    assert (code, out) == (2, "")
    assert expected in error
    assert not desk.out.exists()
