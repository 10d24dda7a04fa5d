"""docs/providers.md says what the files beside it say, and every test they name is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from routerd.app.providers import wanted
from routerd.models import load_directory
from routerd.providers.registry import KNOWN, WITHOUT_CHAT, build_adapter, search_wires
from routerd.providers.search import EmbedRequest, RankRequest
from routerd.settings import parse_settings
from tests.daemon.providers.coverage_cases import cases_in, names_in, wires_in
from tests.daemon.providers.drive import request
from tools.provider_tables import (
    COVERAGE,
    DOCUMENT,
    FAMILY_TESTS,
    TESTS,
    Column,
    Difference,
    Table,
    link,
    parted,
    read_cells,
    read_family,
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
            path, function, _ = parted(test)
            assert function in functions_of(path), f"{wire}.{feature}: there is no {test}"
            assert link(test) in TEXT


def why_not_shown(test: str, wire: str, table: Table, cases: dict[str, list[str]]) -> str | None:
    """Say why a test shows nothing of a wire; None where it does."""
    path, function, meant = parted(test)
    known = cases.get(f"{path}::{function}")
    if known is None:
        is_left_out = not any(name.startswith(f"{path}::") for name in cases)
        return None if is_left_out and "importorskip" in (TESTS / path).read_text() else "not there"
    every = {name for column in table.wires.values() for name in column.names}
    named = {name for case in known for name in names_in(case, every)}
    if not set(meant) <= named:
        return f"has no cases of {', '.join(sorted(set(meant) - named))}"
    if len(wires_in(path, known, table.wires)) > 1 and not meant:
        return "is of several wires: name the cases"
    return None if set(meant) <= set(table.wires[wire].names) else "names cases of another wire"


def test_every_cell_is_shown_by_cases_of_its_own_wire() -> None:
    cells = {(name, wire): read_cells(name, wire) for name, wire in WIRES}
    tests = {test for row in cells.values() for cell in row.values() for test in cell.tests}
    cases = cases_in(tuple(sorted({parted(test)[0] for test in tests})))
    wrong = [
        f"{name}/{wire}.{feature}: {test} {why}"
        for (name, wire), row in cells.items()
        for feature, cell in row.items()
        for test in cell.tests
        if (why := why_not_shown(test, wire, TABLES[name], cases)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("test", "wire", "why"),
    [
        ("daemon/test_x.py::test_of_all[gemini]", "gemini", None),
        ("daemon/test_x.py::test_of_all[gemini]", "vertex", None),
        ("daemon/test_x.py::test_of_all[openai-responses]", "responses", None),
        ("daemon/test_x.py::test_of_all[vllm, groq]", "compatible", None),
        ("daemon/test_x.py::test_of_all", "gemini", "name the cases"),
        ("daemon/test_x.py::test_of_all[gemini]", "openai", "cases of another wire"),
        ("daemon/test_x.py::test_of_all[cohere]", "cohere", "no cases of cohere"),
        ("daemon/test_x.py::test_of_all[openai]", "openai", "no cases of openai"),
        ("daemon/test_x.py::test_of_one", "gemini", None),
        ("daemon/providers/bedrock/test_x.py::test_of_all", "bedrock", None),
    ],
)
def test_what_a_case_shows(test: str, wire: str, why: str | None) -> None:
    cases = {
        "daemon/test_x.py::test_of_all": [
            "1-gemini-True", "openai-responses", "vllm/tools.json", "groq"
        ],
        "daemon/test_x.py::test_of_one": ["gemini-4-argon", "none"],
        "daemon/providers/bedrock/test_x.py::test_of_all": ["us.anthropic.claude", "openai.gpt"],
    }  # fmt: skip
    found = why_not_shown(test, wire, TABLES["chat"], cases)
    assert found == why or (why is not None and why in (found or ""))


FAMILY = read_family()


def test_every_server_of_the_family_is_a_column() -> None:
    # TEI has no chat.
    assert sorted(FAMILY.servers) == sorted(set(KNOWN["openai"]) - {"tei"})


@pytest.mark.parametrize("feature", FAMILY.features)
def test_every_server_has_one_value_of_every_feature(feature: str) -> None:
    values = FAMILY.features[feature].values.values()
    assert sorted(server for servers in values for server in servers) == sorted(FAMILY.servers)


def test_every_feature_of_the_family_is_shown_for_every_server() -> None:
    cases = cases_in((FAMILY_TESTS,))
    for feature in FAMILY.features.values():
        assert cases[f"{FAMILY_TESTS}::{feature.test}"] == list(FAMILY.servers), feature.title


def test_a_server_with_two_values_or_none_has_no_cell() -> None:
    feature = Difference("x", "test_x", {"a": ("groq", "xai"), "b": ("xai",)})
    assert feature.of("groq") == "a"
    for server in ("xai", "zai"):
        with pytest.raises(ValueError, match="values to unpack"):
            feature.of(server)


def test_a_table_is_not_written_with_a_hole_in_it() -> None:
    with pytest.raises(KeyError):
        section(
            "chat", Table("Chat", {"no_such_feature": "x"}, {"openai": Column("OpenAI", (), "")})
        )


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
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (`[/:].*) \| `", TEXT, re.MULTILINE))
    assert set(rows) == set(KNOWN)
    for name, listed in rows.items():
        for path in paths_of(name):
            known = path if path in listed else path[path.rindex(":") :]
            assert f"`{known}`" in listed, (name, path)


def paths_of(name: str) -> list[str]:
    """Return every path that requests of a wire go to, without a query."""
    adapter, wires = build_adapter(name), search_wires(name)
    sent = (
        []
        if name in WITHOUT_CHAT
        else [adapter.encode(request("MODEL", stream=stream)) for stream in (True, False)]
    )
    if "embedding" in wires:
        sent.append(wires["embedding"].encode(EmbedRequest("MODEL", ["a"])))
    if "rerank" in wires:
        sent.append(wires["rerank"].encode(RankRequest("MODEL", "a", ["b"])))
    return [encoded.path.partition("?")[0] for encoded in sent]
