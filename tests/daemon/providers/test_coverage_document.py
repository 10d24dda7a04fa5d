"""docs/providers.md says what the files beside it say, and every test they name is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from routerd.app.providers import wanted
from routerd.models import load_directory
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd.settings import parse_settings
from tests.daemon.providers.drive import request
from tools.provider_tables import (
    COVERAGE,
    DOCUMENT,
    TESTS,
    Table,
    link,
    read_cells,
    read_tables,
    rewritten,
    section,
)

TEXT = DOCUMENT.read_text(encoding="utf-8")
TABLES = read_tables()
WIRES = [(name, wire) for name, table in TABLES.items() for wire in table.wires]


@cache
def functions_of(path: str) -> frozenset[str]:
    """Return the names of a file's tests as pytest finds them, those of a class behind its name."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    holders = [("", tree.body), *((f"{node.name}::", node.body) for node in classes)]
    return frozenset(
        holder + node.name
        for holder, body in holders
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_the_tables_are_those_of_the_files() -> None:
    assert rewritten(TEXT) == TEXT, "run tools/provider_tables.py"


def test_every_file_is_a_column() -> None:
    files = {(path.parent.name, path.stem) for path in COVERAGE.glob("*/*.toml")}
    assert files == set(WIRES)


@pytest.mark.parametrize(("name", "wire"), WIRES)
def test_no_cell_is_missing_and_none_is_of_no_feature(name: str, wire: str) -> None:
    assert list(read_cells(name, wire)) == list(TABLES[name].features)


@pytest.mark.parametrize(("name", "wire"), WIRES)
def test_every_cell_is_shown_by_tests_that_there_are(name: str, wire: str) -> None:
    for feature, cell in read_cells(name, wire).items():
        assert cell.how, feature
        assert cell.tests, feature
        assert len(set(cell.tests)) == len(cell.tests), feature
        assert "|" not in cell.how, feature
        for test in cell.tests:
            path, _, function = test.partition("::")
            assert function in functions_of(path), f"{wire}.{feature}: there is no {test}"
            assert link(test) in TEXT


def test_a_table_is_not_written_with_a_hole_in_it() -> None:
    with pytest.raises(KeyError):
        section("chat", Table("Chat", {"no_such_feature": "x"}, {"openai": "OpenAI"}))


def test_a_test_that_is_not_there_is_not_found() -> None:
    found = functions_of("daemon/providers/openai/test_encode.py")
    assert "test_tools" in found
    assert "test_tool" not in found


def test_the_example_of_another_address_can_be_used(tmp_path: Path) -> None:
    block = TEXT.partition("    # somewhere.toml\n")[2].partition("\n\n`base_url`")[0]
    file = tmp_path / "somewhere.toml"
    file.write_text("\n".join(line.strip() for line in block.splitlines()), encoding="utf-8")
    directory = load_directory([file])
    settings = parse_settings({"providers": {"somewhere": {}}}, "example")
    found = wanted(settings, directory, {"SOMEWHERE_API_KEY": "key"}, "example")
    assert found["somewhere"].entry.base_url == "https://llm.example.com/v1"
    assert directory.deployments["somewhere/gpt-oss-120b"].price is not None


def test_every_wire_and_every_path_is_the_adapters() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (`/.*) \| `", TEXT, re.MULTILINE))
    for name, paths in rows.items():
        adapter = build_adapter(name)
        for stream in (True, False):
            path = adapter.encode(request("MODEL", stream=stream)).path.partition("?")[0]
            known = path if path in paths else path[path.rindex(":") :]
            assert f"`{known}`" in paths, (name, path)
    assert set(rows) == set(ADAPTERS)
