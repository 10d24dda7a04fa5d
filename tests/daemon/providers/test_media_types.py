"""A media type that vendors know by another name goes out by that name, whoever is asked."""

from __future__ import annotations

import pytest

from routerd.domain import Capabilities
from routerd.providers.base import ChatRequest
from routerd.providers.media_types import file_name, known_type, known_url, plain_type
from routerd.providers.registry import build_adapter
from routerd_proto.content import Document, Image, Message, Text, ToolCall, ToolResult
from routerd_proto.frames import CallOptions

BYTES = b"\xff\xd8\xff"
WIRES = [
    ("anthropic", None),
    ("bedrock", None),
    ("cohere", None),
    ("gemini", None),
    ("openai", "compatible"),
    ("openai", "mistral"),
    ("openai-responses", "openai"),
]
TYPED = [Image(data=BYTES, media_type="image/jpg"), Image(data=BYTES, media_type="Image/JPG")]
IN_THE_ADDRESS = [Image(url="data:image/jpg;base64,/9j/"), Image(url="data:IMAGE/jpg;base64,/9j/")]


def written(wire: tuple[str, str | None], *messages: Message) -> bytes:
    request = ChatRequest(
        model_id="m",
        messages=list(messages),
        options=CallOptions(),
        capabilities=Capabilities(vision=True, tools=True),
        stream=False,
    )
    return build_adapter(*wire).encode(request).body


@pytest.mark.parametrize("wire", WIRES, ids=["-".join(filter(None, wire)) for wire in WIRES])
@pytest.mark.parametrize("image", TYPED + IN_THE_ADDRESS)
def test_a_picture_goes_out_as_jpeg(wire: tuple[str, str | None], image: Image) -> None:
    registered = Image(data=BYTES, media_type="image/jpeg")
    call = ToolCall("call_1234", "look", "{}")

    def asked(shown: Image) -> bytes:
        result = ToolResult("call_1234", [Text("seen"), shown])
        seen = Message("user", [Text("What is it?"), shown])
        return written(wire, seen, Message("assistant", [call]), Message("tool", [result]))

    assert asked(image) == asked(registered)
    assert b"jpeg" in asked(image)


@pytest.mark.parametrize("wire", [("gemini", None), ("openai", "mistral")])
def test_a_document_that_is_a_picture_does_too(wire: tuple[str, str | None]) -> None:
    said = [
        written(wire, Message("user", [document, Text("What is it?")]))
        for document in (
            Document(data=BYTES, media_type="image/jpeg"),
            Document(data=BYTES, media_type="image/jpg"),
            Document(url="data:image/jpg;base64,/9j/"),
        )
    ]
    assert said == [said[0]] * 3


def test_gemini_is_told_the_type_of_what_is_elsewhere() -> None:
    image = Image(url="https://files.example/a", media_type="image/jpg")
    assert b'"mimeType":"image/jpeg"' in written(("gemini", None), Message("user", [image]))


def test_nothing_else_is_renamed() -> None:
    for told in ("image/png", "image/jpeg", "text/plain; charset=utf-8", "Audio/L16;rate=8", ""):
        assert known_type(told) == told
    assert known_type("image/jpg;q=1") == "image/jpeg;q=1"
    assert plain_type(" Image/JPG ; q=1") == "image/jpeg"
    for url in ("https://files.example/image/jpg", "data:image/png;base64,/jpg", "data:image/jpg"):
        assert known_url(url) == url


@pytest.mark.parametrize(
    ("title", "url", "name"),
    [
        (None, "data:application/pdf;base64,AA==", "document.pdf"),
        ("Report", "data:application/pdf;base64,AA==", "Report.pdf"),
        ("Report.PDF", "data:application/pdf;base64,AA==", "Report.PDF"),
        (None, "data:application/vnd.ms-excel;base64,AA==", "document.xls"),
        ("v1.2", "data:Application/MSWord;x=y;base64,AA==", "v1.2.doc"),
        ("a.docx", "data:application/msword;base64,AA==", "a.docx"),
        ("a.b", "data:application/x-unknown;base64,AA==", "a.b"),
        (None, "data:application/x-unknown;base64,AA==", "document.pdf"),
    ],
)
def test_a_document_is_named_as_its_type_wants_it(title: str | None, url: str, name: str) -> None:
    assert file_name(title, url) == name
