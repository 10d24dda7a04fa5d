"""Which id a provider gave a request, and how long it says it took; nothing else is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.answer_headers import HeadersTold, read_told


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([], HeadersTold()),
        ([("content-type", "text/event-stream")], HeadersTold()),
        ([("x-request-id", "req_1"), ("openai-processing-ms", "412")], HeadersTold("req_1", 412)),
        ([("request-id", "req_011")], HeadersTold("req_011")),
        ([("x-amzn-requestid", "8f1e-22")], HeadersTold("8f1e-22")),
        # Azure passes one through from behind, and has its own.
        ([("x-request-id", "inner"), ("apim-request-id", "outer")], HeadersTold("outer")),
        ([("apim-request-id", "outer"), ("x-request-id", "inner")], HeadersTold("outer")),
        ([("server-timing", "gfet4t7; dur=1203")], HeadersTold(None, 1203)),
        ([("server-timing", "a;dur=1.6, b;dur=9")], HeadersTold(None, 2)),
        ([("x-amzn-bedrock-invocation-latency", "99")], HeadersTold(None, 99)),
        (
            [("server-timing", "gfet4t7; dur=9"), ("openai-processing-ms", "7")],
            HeadersTold(None, 7),
        ),
        ([("server-timing", "dur=9"), ("openai-processing-ms", "soon")], HeadersTold(None, 9)),
        ([("openai-processing-ms", "soon")], HeadersTold()),
        ([("openai-processing-ms", "-4")], HeadersTold()),
        ([("openai-processing-ms", "1e300")], HeadersTold()),
        ([("x-request-id", "a sentence that quotes")], HeadersTold()),
        ([("x-request-id", "x" * 500), ("request-id", "short")], HeadersTold("short")),
    ],
)
def test_what_is_told(headers: list[tuple[str, str]], told: HeadersTold) -> None:
    assert read_told({name.encode(): value.encode() for name, value in headers}) == told


NAMES = [b"x-request-id", b"apim-request-id", b"server-timing", b"openai-processing-ms", b"other"]


@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=20)))
def test_no_header_raises(headers: dict[bytes, bytes]) -> None:
    told = read_told(headers)
    assert told.took_ms is None or told.took_ms >= 0
