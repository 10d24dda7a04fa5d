"""Counting a call: more text never counts less, and nothing large counts for little."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.tokens import tokens_in, vocabulary
from routerd.classify.features import (
    BYTES_PER_PAGE,
    MOST_FOR_DOCUMENTS,
    MOST_PER_DOCUMENT,
    TOKENS_PER_IMAGE,
    TOKENS_PER_PAGE,
    measure,
)
from routerd.domain import MOST_PER_IMAGE, Features, Script
from routerd.models import load_directory
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolName,
    ToolResult,
)
from routerd_proto.frames import CallOptions

NOTHING = CallOptions()
PICTURE = Image(data=b"x" * 100, media_type="image/png")


def features(*content: Content, role: str = "user", options: CallOptions = NOTHING) -> Features:
    return measure([Message(role, list(content))], options)  # type: ignore[arg-type]


def tokens(*content: Content) -> int:
    return features(*content).input_tokens


@given(st.text(), st.text())
def test_more_text_never_counts_less(text: str, more: str) -> None:
    assert tokens(Text(text + more)) >= tokens(Text(text))
    assert (
        measure([Message("user", text + more)], NOTHING).input_tokens
        >= measure([Message("user", text)], NOTHING).input_tokens
    )


@given(st.text())
def test_text_counts_the_same_as_a_string_and_as_a_part(text: str) -> None:
    assert measure([Message("user", text)], NOTHING) == features(Text(text))


@given(st.text(max_size=300))
def test_no_carrier_of_text_counts_less_than_the_text(text: str) -> None:
    least = int(tokens_in(text.encode()))
    carriers: list[Content] = [
        Text(text),
        Document(data=text.encode(), media_type="text/plain"),
        Reasoning(text),
        ToolCall("1", "f", text),
        ToolResult("1", text),
        ToolResult("1", [Text(text)]),
    ]
    for part in carriers:
        assert tokens(part) >= least
    described = CallOptions(tools=[Tool("f", text)])
    required = CallOptions(tools=[Tool("f", parameters={"type": "object", "title": text})])
    schema = CallOptions(output_schema={"type": "object", "description": text})
    for options in (described, required, schema):
        assert measure([Message("user", "")], options).input_tokens >= least


def test_a_schema_counts_by_its_bytes_as_json() -> None:
    schema = {"type": "object", "title": "Gr\u00fc\u00dfe", "x": [None, True, 1.5]}
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    for options in (
        CallOptions(output_schema=schema),
        CallOptions(tools=[Tool("", parameters=schema)]),
    ):
        plain = measure([Message("user", text)], NOTHING).input_tokens
        assert measure([Message("user", "")], options).input_tokens == plain


def test_a_lone_surrogate_is_counted_like_any_character() -> None:
    assert tokens(Text("\ud800" * 100)) == tokens(Text("\uac00" * 100))


@given(st.lists(st.text(max_size=50), min_size=1, max_size=10))
def test_every_message_adds_to_the_count(texts: list[str]) -> None:
    counts = [
        measure([Message("user", text) for text in texts[: number + 1]], NOTHING).input_tokens
        for number in range(len(texts))
    ]
    assert counts == sorted(set(counts))


def test_pictures_are_counted_wherever_they_are() -> None:
    found = features(
        PICTURE, ToolResult("1", [Text("a"), PICTURE, PICTURE]), ToolResult("2", "text")
    )
    assert found.images == 3
    assert found.input_tokens >= 3 * TOKENS_PER_IMAGE


def test_documents_are_counted_by_their_size() -> None:
    small = features(Document(data=b"x", media_type="application/pdf"))
    large = features(Document(data=b"x" * 5_000_000, media_type="application/pdf"))
    named = features(Document(url="https://example.org/a.pdf"))
    assert (small.documents, large.documents, named.documents) == (1, 1, 1)
    assert small.images == 0
    assert large.input_tokens > 50 * small.input_tokens
    assert named.input_tokens == small.input_tokens
    encoded = base64.b64encode(b"x" * 5_000_000).decode()
    sent_along = features(Document(url=f"data:application/pdf;base64,{encoded}"))
    assert sent_along.input_tokens == large.input_tokens
    broken = features(Document(url="data:application/pdf;base64,a"))
    assert broken.input_tokens == small.input_tokens


PAGES = b"1 0 obj <</Type /Pages /Kids [2 0 R 3 0 R] /Count 2>> endobj " + b"".join(
    [
        b"2 0 obj <</Type /Page /Parent 1 0 R>> endobj ",
        b"3 0 obj <</Type/Page/Parent 1 0 R>> endobj ",
        b"4 0 obj <</Type /PageLabel>> endobj ",
    ]
)


def test_pages_that_a_pdf_packs_are_counted_by_its_size() -> None:
    some = PAGES + b"3 0 obj <</Type /ObjStm>> stream" + b"x" * 1_000_000
    for data in (some, b"x" * 10_000_000):
        pages = 1 + len(data) // BYTES_PER_PAGE
        assert tokens(Document(data=data)) - tokens(Text("")) == pages * TOKENS_PER_PAGE
    url = "data:application/pdf;base64," + "A" * 4_000_000
    assert tokens(Document(url=url)) - tokens(Text("")) == 61 * TOKENS_PER_PAGE
    # Nobody has more pages than a file has room for.
    assert tokens(Document(data=b"/Type\n/Page\n" * 1_000)) < 200 * TOKENS_PER_PAGE


def test_pages_are_counted_where_a_pdf_shows_them() -> None:
    for data in (PAGES, PAGES + b"x" * 5_000_000):
        pdf = Document(data=data, media_type="application/pdf")
        assert tokens(pdf) - tokens(Text("")) == 2 * TOKENS_PER_PAGE


def text_document_of(text: str, media_type: str = "text/plain") -> Document:
    return Document(data=text.encode(), media_type=media_type)


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown", "text/csv", "text/html"])
@pytest.mark.parametrize("size", [100, 49_000, 700_000])
def test_a_document_of_text_counts_as_the_text(media_type: str, size: int) -> None:
    text = ("The quick brown fox jumps over the lazy dog. " * (size // 45 + 1))[:size]
    found, plain = features(text_document_of(text, media_type)), features(Text(text))
    assert found.input_tokens == plain.input_tokens
    assert found.input_tokens == pytest.approx(vocabulary("o200k_base")(text), rel=0.25, abs=5)
    assert found.input_tokens_bound is not None
    assert plain.input_tokens_bound is not None
    more = found.input_tokens_bound - plain.input_tokens_bound
    assert 0 < more <= MOST_FOR_DOCUMENTS + 2 * MOST_PER_DOCUMENT


@pytest.mark.parametrize(
    "document",
    [
        Document(data=b'{"a": 1}' * 1000, media_type="application/json"),
        Document(url="data:text/plain;base64," + base64.b64encode(b'{"a": 1}' * 1000).decode()),
    ],
)
def test_text_that_is_sent_as_a_file_is_estimated_as_text(document: Document) -> None:
    found = features(document)
    assert found.input_tokens == tokens(Text('{"a": 1}' * 1000))
    assert (found.document_files, found.document_urls) == (1, 0)
    assert found.input_tokens_bound is None


# How vendors write a document of text into a prompt: in tags, behind its title, or as JSON.
FRAMES: list[Callable[[str, str], str]] = [
    lambda title, text: f"{title}\n\n{text}",
    lambda title, text: (
        f'<documents>\n<document index="1">\n<source>{title}</source>\n'
        f"<document_content>\n{text}\n</document_content>\n</document>\n</documents>"
    ),
    lambda title, text: json.dumps(
        [
            {
                "tool_call_id": "0",
                "results": {"0": {"title": title, "text": text}},
                "is_error": None,
            }
        ],
        ensure_ascii=False,
    ),
]


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
@pytest.mark.parametrize("write", FRAMES)
@given(st.lists(st.tuples(st.text(max_size=30), st.binary() | st.text().map(str.encode))))
@example([("\x01" * 200, b'\x01\n"\\' * 200)])
@example([("a", b"\xff" * 400)])
def test_no_document_of_text_has_more_tokens_than_its_bound(
    write: Callable[[str, str], str], encoding: str, documents: list[tuple[str, bytes]]
) -> None:
    count = vocabulary(encoding)
    parts = [Document(data=data, media_type="text/plain", title=t) for t, data in documents]
    sent = [write(title, data.decode("utf-8", "replace")) for title, data in documents]
    bound = features(Text("a"), *parts).input_tokens_bound
    assert bound is not None
    assert sum(map(count, sent)) <= bound


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (CallOptions(), Features(0)),
        (CallOptions(tools=[Tool("a"), Tool("b")]), Features(0, tools=2)),
        (CallOptions(tool_choice="auto"), Features(0)),
        (CallOptions(tool_choice="none"), Features(0)),
        (CallOptions(tool_choice="required"), Features(0, forced_tool=True)),
        (CallOptions(tool_choice=ToolName("a")), Features(0, forced_tool=True)),
        (CallOptions(output_schema={"type": "object"}), Features(0, output_schema=True)),
        (CallOptions(max_output_tokens=7), Features(0, max_output_tokens=7)),
        (CallOptions(sensitivity="private"), Features(0, sensitivity="private")),
    ],
)
def test_what_the_options_ask_for(options: CallOptions, expected: Features) -> None:
    found = measure([Message("user", "")], options)
    counted = ("input_tokens", "input_tokens_bound")
    names = [name for name in Features.__struct_fields__ if name not in counted]
    assert [getattr(found, name) for name in names] == [getattr(expected, name) for name in names]


@pytest.mark.parametrize(("last", "prefill"), [("assistant", True), ("user", False)])
def test_a_last_message_of_the_assistant_is_a_prefill(last: str, prefill: bool) -> None:
    messages = [Message("assistant", "a"), Message(last, "b")]  # type: ignore[arg-type]
    assert measure(messages, NOTHING).prefill is prefill


@pytest.mark.parametrize(
    ("left", "prefill"),
    [
        (Reasoning("", "anthropic", {"on": "pause"}), False),
        (Reasoning("", "gemini", {"on": "pause", "token": "t"}), False),
        (Reasoning("", "gemini", {"on": "text", "signature": "s"}), True),
        (Reasoning("", "", {"on": "pause"}), True),  # nobody's
    ],
)
def test_an_answer_that_its_vendor_paused_is_no_prefill(left: Reasoning, *, prefill: bool) -> None:
    messages = [Message("user", "a"), Message("assistant", [Text("b"), left])]
    assert measure(messages, NOTHING).prefill is prefill
    assert measure([*messages, Message("user", "c")], NOTHING).prefill is False


@given(st.text(min_size=10))
def test_no_word_of_the_text_goes_on(text: str) -> None:
    found = measure([Message("user", text)], NOTHING)
    assert all(not isinstance(getattr(found, name), bytes) for name in Features.__struct_fields__)
    texts = [
        value
        for name in Features.__struct_fields__
        if isinstance(value := getattr(found, name), str)
    ]
    assert texts == ["public", "chat", found.script]
    assert found.script in get_args(Script)


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5), st.integers(0, 3))
def test_the_bound_is_above_every_byte_and_grows_with_all_that_is_sent(
    texts: list[str], images: int
) -> None:
    messages = [Message("user", [Text(text), *[PICTURE] * images]) for text in texts]
    found = measure(messages, NOTHING)
    size = sum(len(text.encode()) for text in texts)
    assert found.input_tokens_bound is not None
    assert found.input_tokens_bound >= size + 10_000 * images * len(texts)
    assert found.input_tokens_bound >= found.input_tokens
    tools = CallOptions(tools=[Tool("f", "what it does", {"type": "object"})])
    with_tools = measure(messages, tools).input_tokens_bound
    assert with_tools is not None
    assert with_tools > found.input_tokens_bound + 1000


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (Document(data=b"text", media_type="text/markdown"), (1, 0, 0)),
        (Document(data=b"%PDF", media_type="application/pdf"), (1, 1, 0)),
        (Document(url="data:application/pdf;base64,JVBERi0="), (1, 1, 0)),
        (Document(url="https://files.example/a.pdf"), (1, 1, 1)),
        (Document(url="https://files.example/a.txt", media_type="text/plain"), (1, 1, 1)),
    ],
)
def test_what_is_a_document_to_whom(document: Document, expected: tuple[int, int, int]) -> None:
    """Plain text that is sent along goes to anybody, as text."""
    found = features(document)
    assert (found.documents, found.document_files, found.document_urls) == expected


def test_nothing_bounds_a_file_but_the_window_of_its_reader() -> None:
    document = Document(data=b"x", media_type="application/pdf")
    assert features(Text("a"), document).input_tokens_bound is None
    assert features(text_document_of("a"), document).input_tokens_bound is None


def tiles_of(width: int, height: int, base: int, each: int) -> int:
    """Count as OpenAI does for models with tiles: into 2048 squared, then 768 on the short side."""
    fit = min(1.0, 2048 / max(width, height))
    width, height = max(1, int(width * fit)), max(1, int(height * fit))
    fit = min(1.0, 768 / min(width, height))
    return base + each * math.ceil(int(width * fit) / 512) * math.ceil(int(height * fit) / 512)


def patches_of(width: int, height: int, size: int, longest: int, most: int) -> int:
    """Count patches of a picture that is made smaller where it is too long, at most so many."""
    fit = min(1.0, longest / max(width, height))
    return min(most, math.ceil(width * fit / size) * math.ceil(height * fit / size))


# How vendors count, in tokens for a picture of so many pixels: from public pages and from memory,
# as of 2026-11. No invoice was compared.
COUNTING: dict[str, Callable[[int, int], float]] = {
    "gpt-4o": lambda width, height: tiles_of(width, height, 85, 170),
    "gpt-5": lambda width, height: tiles_of(width, height, 70, 140),
    "the nano models": lambda width, height: 2.46 * patches_of(width, height, 32, 2**31, 1536),
    "claude": lambda width, height: patches_of(width, height, 28, 2576, 4784),
    "gemini-3": lambda width, height: 2240,
    # And a token at the end of each row.
    "pixtral-large": lambda width, height: patches_of(width, height, 16, 1540, 97 * 97) + 97,
}
SIZES = st.integers(1, 20_000)


@pytest.mark.parametrize("model", COUNTING)
@given(width=SIZES, height=SIZES)
@example(width=2048, height=768)
@example(width=2576, height=2576)
@example(width=20_000, height=20_000)
def test_no_vendor_counts_a_picture_for_more_than_the_bound(
    model: str, width: int, height: int
) -> None:
    picture = Message("user", [Image(url="https://example.com/a.png")])
    without = measure([Message("user", "")], CallOptions()).input_tokens_bound
    bound = measure([picture], CallOptions()).input_tokens_bound
    assert bound is not None
    assert without is not None
    assert COUNTING[model](width, height) <= bound - without


def test_one_model_bills_more_for_a_picture_and_the_directory_says_so() -> None:
    most = load_directory().models["gpt-4o-mini-2024-07-18"].image_tokens_bound
    assert most is not None
    assert MOST_PER_IMAGE < tiles_of(2048, 768, 2833, 5667) == 48_169 <= most
