"""JavaScript and TypeScript: what is source, and what is comment, string or template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.lint.script import check_script, scripts_of


def told(source: str) -> list[tuple[int, int, str | None, str]]:
    return [(item.line, item.column, item.vendor, item.kind) for item in check_script(source)]


@pytest.mark.parametrize(
    ("source", "vendor", "kind"),
    [
        ("import OpenAI from 'openai'", "openai", "import"),
        ('import OpenAI from "openai";', "openai", "import"),
        ("import'openai'", "openai", "import"),
        ("import { OpenAI as O } from 'openai/index'", "openai", "import"),
        ("import * as o from 'openai'", "openai", "import"),
        ("import O, {\n  a,\n  type B,\n} from 'openai'", "openai", "import"),
        ("import type { A } from 'openai'", "openai", "types"),
        ("export * from 'openai'", "openai", "import"),
        ("export { A } from 'openai'", "openai", "import"),
        ("const o = require('openai')", "openai", "import"),
        ("import o = require('openai')", "openai", "import"),
        ("const o = await import('openai')", "openai", "import"),
        ("import(/* webpackChunkName: 'x' */ 'openai')", "openai", "import"),
        ("import(`openai`)", "openai", "import"),
        ("import Anthropic from '@anthropic-ai/sdk'", "anthropic", "import"),
        ("import { openai } from '@ai-sdk/openai'", "ai-sdk", "import"),
        ("import { ChatOpenAI } from '@langchain/openai'", "langchain", "import"),
        ("import { GoogleGenAI } from '@google/genai'", "google", "import"),
        (
            "import { BedrockRuntimeClient } from '@aws-sdk/client-bedrock-runtime'",
            "bedrock",
            "import",
        ),
        ("import OpenAI from 'npm:openai@4.2/resources'", "openai", "import"),
        ("import OpenAI from 'https://esm.sh/openai@4'", "openai", "import"),
        ("fetch('https://api.openai.com/v1/responses')", "openai", "host"),
        ("fetch(`https://api.openai.com/v1/${path}`)", "openai", "host"),
        ("fetch(`https://${name}.openai.azure.com/x`)", "openai", "host"),
    ],
)
def test_it_is_found(source: str, vendor: str, kind: str) -> None:
    assert [item[2:] for item in told(source)] == [(vendor, kind)]
    # Whatever stands before it.
    for before in (
        "// it's\n",
        "/* ' */",
        "const r = /['\"`]/g;\n",
        "const r = /[/'`]/;\n",
        "x = a / b / c;\n",
        "const s = 'it\\'s';\n",
        "const t = `a ${b ? `'${c}` : {d: '}'}} '`;\n",
        "<p>Don't</p>;\n",
        "<b>x</b>\n",
    ):
        assert [item[2:] for item in told(before + source)] == [(vendor, kind)], before


@pytest.mark.parametrize(
    "source",
    [
        "// import OpenAI from 'openai'",
        "/* import OpenAI from 'openai'\n require('openai') */",
        "const s = \"import OpenAI from 'openai'\"",
        "const s = `require('openai')`",
        "const s = `${a} require('openai')`",
        "const s = 'it\\'s // ' + \"require('openai')\"",
        "const r = /require('openai')/",
        "import x from './openai'",
        "import x from 'openai-edge-tools'",
        "import x from '@my/openai'",
        "openai.import.from('openai')",
        "const from = 'openai'",
        "Promise.resolve('openai')",
        "require(openai)",
        "// see https://api.openai.com/v1",
        "const s = 'api.openai.com is down'",
    ],
)
def test_it_is_left_alone(source: str) -> None:
    assert told(source) == []


def test_what_stands_in_a_template_is_source() -> None:
    assert told("const s = `a ${require('openai')} b`") == [(1, 24, "openai", "import")]
    assert told("`${ {a: `}${1}`} }` + require('openai')")[0][2] == "openai"


def test_a_place_is_that_of_the_name() -> None:
    source = "import fs from 'fs'\r\nimport {\n  A,\n} from 'openai' // x\n"
    assert told(source) == [(4, 8, "openai", "import")]


def test_a_comment_with_a_reason_allows_it() -> None:
    assert told("import 'openai' // routerd: allow: to compare") == []
    assert told("import 'openai' /* routerd: allow: to compare */") == []
    (finding,) = check_script("import 'openai' /* routerd: allow */")
    assert "gives no reason" in finding.message
    assert "docs/protocol.md" in finding.message


def test_a_quote_that_nothing_closes_costs_its_line() -> None:
    assert told("const a = 'oops\nrequire('openai')")[0][0] == 2
    assert told("const a = `oops\nrequire('openai')")[0][0] == 2


def test_only_the_scripts_of_a_page_are_source() -> None:
    page = (
        "<template><p>Don't import 'openai' from 'openai'</p></template>\n"
        "<script setup lang='ts'>\nimport O from 'openai'\n</script>\n"
        "<style>a{}</style>"
    )
    assert told(scripts_of(page)) == [(3, 15, "openai", "import")]


@given(st.text() | st.lists(st.sampled_from("`'\"/\\*${}[]\n <a")).map("".join))
def test_any_text_can_be_scanned(source: str) -> None:
    check_script(source)
    check_script(scripts_of(source))


@pytest.mark.parametrize("piece", ["`", "\\`", "/[", "/*", "'\"", '\\"', "\\", "${", "}`${"])
def test_a_hostile_file_takes_no_long_time(piece: str) -> None:
    # Time that grows with the square would not end within the limit of a test.
    check_script(piece * 20_000)
