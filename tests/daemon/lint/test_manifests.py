"""Dependencies that are declared, and where."""

from __future__ import annotations

import json

import pytest

from routerd.lint.findings import Finding
from routerd.lint.manifests import check_package_json, check_pyproject, check_requirements


def told(found: list[Finding]) -> list[tuple[int, int, str | None]]:
    return [(item.line, item.column, item.vendor) for item in found]


def test_requirements() -> None:
    text = """\
# openai
openai>=1
  Langchain_OpenAI[all] == 1.0 ; python_version > "3"
llama-index-llms-anthropic
-r openai.txt
openai-tools
groq  # routerd: allow: the benchmark
"""
    assert told(check_requirements(text)) == [
        (2, 1, "openai"),
        (3, 3, "langchain"),
        (4, 1, "llama_index"),
    ]


def test_pyproject() -> None:
    text = """\
[project]
name = "openai"
dependencies = ["msgspec", "openai>=1"]
[project.optional-dependencies]
all = [
    "openai>=1",
    "groq",  # routerd: allow: the benchmark
]
[dependency-groups]
dev = ["anthropic", {include-group = "x"}]
[tool.uv]
dev-dependencies = ["cohere"]
[tool.poetry.dependencies]
python = "^3.11"
litellm = "^1"
[tool.poetry.group.dev.dependencies]
"mistralai" = {version = "1"}
"""
    assert told(check_pyproject(text)) == [
        (3, 28, "openai"),
        (6, 5, "openai"),
        (10, 8, "anthropic"),
        (12, 21, "cohere"),
        (15, 1, "litellm"),
        (17, 1, "mistral"),
    ]


def test_package_json() -> None:
    text = json.dumps(
        {
            "name": "openai",
            "dependencies": {"openai": "^4", "react": "19", "groq-sdk": "1"},
            "devDependencies": {"mine": "npm:@anthropic-ai/sdk@1"},
            "routerd": {"allow": {"groq-sdk": "the benchmark"}},
        },
        indent=2,
    )
    assert told(check_package_json(text)) == [(4, 5, "openai"), (9, 5, "anthropic")]


@pytest.mark.parametrize(
    "text", ["[", "[]", '{"dependencies": []}', '{"dependencies": {"a": 1}}', '{"routerd": 1}', "1"]
)
def test_an_odd_package_json_is_told_or_left_alone(text: str) -> None:
    assert {item.kind for item in check_package_json(text)} <= {"unreadable"}


@pytest.mark.parametrize(
    "text",
    [
        "project = 1",
        "[project]\ndependencies = 1",
        "[tool]\npoetry = []",
        "[tool.poetry]\ngroup = 1",
    ],
)
def test_an_odd_pyproject_is_left_alone(text: str) -> None:
    assert check_pyproject(text) == []


def test_what_does_not_parse_is_told_with_its_line() -> None:
    (finding,) = check_pyproject("[project]\nname = \n")
    assert (finding.kind, finding.line) == ("unreadable", 2)
    (finding,) = check_package_json('{\n"dependencies": }')
    assert (finding.kind, finding.line) == ("unreadable", 2)
