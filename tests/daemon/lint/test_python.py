"""What of Python source speaks to a vendor, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.lint.python import check_python


def told(source: str | bytes) -> list[tuple[int, int, str | None, str]]:
    found = check_python(source)
    return [(item.line, item.column, item.vendor, item.kind) for item in found]


@pytest.mark.parametrize(
    ("source", "vendor", "kind"),
    [
        ("import openai", "openai", "import"),
        ("import openai as o", "openai", "import"),
        ("import openai.types.chat", "openai", "import"),
        ("import os, openai", "openai", "import"),
        ("from openai import OpenAI", "openai", "import"),
        ("from openai import *", "openai", "import"),
        ("from openai.types import chat as c", "openai", "import"),
        ("from anthropic import (\n    Anthropic,\n)", "anthropic", "import"),
        ("import google.genai", "google", "import"),
        ("from google import genai", "google", "import"),
        ("from google.generativeai import types", "google", "import"),
        ("from google.cloud import aiplatform", "google", "import"),
        ("import vertexai", "google", "import"),
        ("import mistralai", "mistral", "import"),
        ("import cohere", "cohere", "import"),
        ("import groq", "groq", "import"),
        ("import together", "together", "import"),
        ("from fireworks.client import Fireworks", "fireworks", "import"),
        ("import voyageai", "voyage", "import"),
        ("import xai_sdk", "xai", "import"),
        ("import ollama", "ollama", "import"),
        ("import litellm", "litellm", "import"),
        ("from langchain_openai import ChatOpenAI", "langchain", "import"),
        ("from langchain.chat_models import init_chat_model", "langchain", "import"),
        ("from llama_index.llms.openai import OpenAI", "llama_index", "import"),
        ("from huggingface_hub import InferenceClient", "huggingface", "import"),
        ("import importlib; importlib.import_module('openai')", "openai", "import"),
        ("import_module('openai.types')", "openai", "import"),
        ("import_module(name='openai')", "openai", "import"),
        ("__import__('openai')", "openai", "import"),
        ("pytest.importorskip('openai')", "openai", "import"),
        ("pkgutil.resolve_name('openai:OpenAI')", "openai", "import"),
        ("boto3.client('bedrock-runtime')", "bedrock", "client"),
        ("boto3.client(service_name='bedrock-runtime')", "bedrock", "client"),
        ("session.create_client('bedrock-runtime')", "bedrock", "client"),
        ("x = 'https://api.openai.com/v1'", "openai", "host"),
        ("x = 'api.anthropic.com'", "anthropic", "host"),
        ("post(f'https://api.openai.com/v1/{path}')", "openai", "host"),
        ("x = f'https://{name}.openai.azure.com'", "openai", "host"),
        ("x = f'https://{region}-aiplatform.googleapis.com'", "google", "host"),
        ("x = f'https://bedrock-runtime.{region}.amazonaws.com'", "bedrock", "host"),
        ("x = 'POST https://api.openai.com/v1/responses'", "openai", "host"),
    ],
)
def test_it_is_found(source: str, vendor: str, kind: str) -> None:
    for inside in (source, f"def f():\n  if a:\n    {source}", f"try:\n    {source}\nexcept: pass"):
        found = told(inside)
        assert [item[2:] for item in found] == [(vendor, kind)], found


@pytest.mark.parametrize(
    "source",
    [
        "from . import openai",
        "from .openai import Client",
        "import my.openai",
        "import openai_tools",
        "from google.cloud import storage",
        "import langchain_core",
        "from llama_index.core import Settings",
        "from huggingface_hub import hf_hub_download",
        "# import openai",
        "'''import openai'''",
        "def f():\n  '''See https://api.openai.com/v1.'''",
        "x = 'import openai'",
        "x = 'openai'",
        "x = 'api.openai.com is down'",
        "x = 'https://api.openai.com.example.org'",
        "x = 'https://myapi.openai.computer'",
        "openai = 1",
        "client('s3'); boto3.client('bedrock')",
        "import_module(openai)",
        "import_module('.openai', package='my')",
        "from routerd_client import Client",
    ],
)
def test_it_is_left_alone(source: str) -> None:
    assert told(source) == []


def test_types_only_is_said() -> None:
    source = """\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from openai import OpenAI
    if x:
        import anthropic
else:
    import groq
if typing.TYPE_CHECKING:
    import cohere
"""
    assert told(source) == [
        (3, 5, "openai", "types"),
        (5, 9, "anthropic", "types"),
        (7, 5, "groq", "import"),
        (9, 5, "cohere", "types"),
    ]
    (finding, *_) = check_python(source)
    assert "for types only" in finding.message


def test_a_place_is_counted_in_characters() -> None:
    assert told("x = '\u20ac'; import openai") == [(1, 10, "openai", "import")]
    assert told("#\n\n  \nif a:\r\n  import openai\r\n") == [(5, 3, "openai", "import")]


def test_one_statement_is_one_finding_a_vendor() -> None:
    assert told("import openai, openai.types, groq") == [
        (1, 1, "openai", "import"),
        (1, 1, "groq", "import"),
    ]


def test_the_message_says_what_to_do() -> None:
    (finding,) = check_python("import openai")
    assert finding.message == (
        "openai: import of the vendor's SDK; ask routerd instead: from routerd_client import Client"
    )


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import openai\ndef (", 2),
        ("print 'openai'", 1),
        ("import openai\n\0", 1),
        (b"import openai\n\xff", 2),
        (b"# coding: nonsense\nimport openai", 1),
        ("openai" + "(" * 1000, 1),
    ],
)
def test_what_does_not_parse_is_told_with_its_line(source: str | bytes, line: int) -> None:
    (finding,) = check_python(source)
    assert finding.kind == "unreadable"
    assert finding.vendor is None
    assert finding.message.startswith("is no Python")
    assert finding.line in (1, line)


def test_source_that_is_deep_is_read_or_told() -> None:
    deep = "x = " + "-" * 3000 + "1\nimport openai"
    assert {item.kind for item in check_python(deep)} <= {"import", "unreadable"}
    long = "x = " + " + ".join(["1"] * 900) + "\nimport openai"
    assert [item.kind for item in check_python(long)] == ["import"]


def test_an_encoding_is_honoured() -> None:
    source = "# coding: latin-1\nx = '\u00e4'; import openai".encode("latin-1")
    assert [item[2] for item in told(source)] == ["openai"]


@given(st.text() | st.binary())
def test_no_exception_leaves(source: str | bytes) -> None:
    check_python(source)


ALLOWED = "import openai  # routerd: allow: we measure it"


@pytest.mark.parametrize(
    "source",
    [
        ALLOWED,
        "import openai  # noqa: F401  # routerd: allow the vendor's own tests need it",
        "import openai  #routerd:allow - reason",
        "from openai import (\n  A,\n)  # routerd: allow: because",
        "from openai import (  # routerd: allow: because\n  A,\n)",
    ],
)
def test_a_comment_with_a_reason_allows_it(source: str) -> None:
    assert check_python(source) == []


def test_a_comment_allows_its_own_line_only() -> None:
    assert told(f"{ALLOWED}\nimport groq") == [(2, 1, "groq", "import")]


@pytest.mark.parametrize("comment", ["# routerd: allow", "# routerd: allow:", "# routerd: allow -"])
def test_a_comment_without_a_reason_allows_nothing(comment: str) -> None:
    (finding,) = check_python(f"import openai  {comment}")
    assert "gives no reason" in finding.message


def test_a_comment_allows_no_source_that_cannot_be_read() -> None:
    (finding,) = check_python("import openai (  # routerd: allow")
    assert finding.kind == "unreadable"
    assert "reason" not in finding.message
