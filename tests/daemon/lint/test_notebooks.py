"""Notebooks: the Python in their cells, and where it stands in the file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.lint.notebooks import check_notebook


def notebook(*cells: str, **more: Any) -> bytes:
    made = [
        {"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []}
        for cell in cells
    ]
    return json.dumps({"cells": made, "nbformat": 4, **more}, indent=1).encode()


def test_each_cell_is_read_and_its_line_found_in_the_file() -> None:
    source = notebook("import os\n", "x = 1\nimport openai\n", "import os\nimport groq")
    found = check_notebook(source)
    assert [item.vendor for item in found] == ["openai", "groq"]
    assert found[0].message.endswith(" (cell 2, line 2)")
    assert found[1].message.endswith(" (cell 3, line 2)")
    lines = source.decode().splitlines()
    assert "import openai" in lines[found[0].line - 1]
    assert "import groq" in lines[found[1].line - 1]


def test_what_ipython_adds_is_no_mistake() -> None:
    added = "%load_ext x\n!pip install y\nfiles = !ls\nopenai?\nif a:\n    %time f()\nawait g()\n"
    cell = added + "import openai"
    (finding,) = check_notebook(notebook("%%time\nx = 1", "%%bash\nimport openai (", cell))
    assert finding.vendor == "openai"
    assert "(cell 3, line 8)" in finding.message


def test_a_cell_that_does_not_parse_does_not_stop_the_rest() -> None:
    first, second = check_notebook(notebook("import openai (", "import groq"))
    assert first.kind == "unreadable"
    assert "(cell 1, line 1)" in first.message
    assert second.vendor == "groq"


def test_a_comment_with_a_reason_allows_it() -> None:
    assert check_notebook(notebook("import openai  # routerd: allow: to compare")) == []


def test_text_cells_and_other_languages_are_left_alone() -> None:
    text = {"cells": [{"cell_type": "markdown", "source": ["import openai"]}]}
    assert check_notebook(json.dumps(text).encode()) == []
    other = {"kernelspec": {"language": "R"}}
    assert check_notebook(notebook("import openai", metadata=other)) == []


@pytest.mark.parametrize("source", [b"{openai", b"[]", b'{"cells": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_notebook_is_told(source: bytes) -> None:
    (finding,) = check_notebook(source)
    assert finding.kind == "unreadable"
    assert finding.message.startswith("is no notebook")


def test_a_notebook_on_one_line_has_one_line() -> None:
    source = json.dumps({"cells": [{"cell_type": "code", "source": "a\nimport openai"}]})
    (finding,) = check_notebook(source.encode())
    assert finding.line == 1


values = st.recursive(
    st.none() | st.integers() | st.sampled_from(["code", "import openai", "python"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["cells", "cell_type", "source", "metadata", "kernelspec"]), inner
        )
    ),
    max_leaves=8,
)


@given(values | st.builds(lambda cells: {"cells": cells}, st.lists(values)))
def test_no_exception_leaves(value: Any) -> None:
    check_notebook(json.dumps(value).encode())
