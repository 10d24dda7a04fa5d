"""Errors as the vendors write them, a line for each in tests/fixtures/errors, through the adapters.

A line says where its words are from, `status`, `headers` and `body` (text, or JSON that is written
out), and what is made of it: `class`, `retry_after` in seconds, and where they are given `code`,
`param` and `retryable_here`. What came inside a 200 is read by a decoder: of a `stream`, of a plain
answer, or in a frame for an `exception`. `dialect` is whose habits count.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct, field
from msgspec.json import Decoder

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import AnswerDecoder
from routerd.providers.registry import KNOWN, WITHOUT_CHAT, build_adapter, search_wires
from routerd.providers.search import EmbedRequest, RankRequest
from tests.daemon.providers.bedrock.wire import exception
from tests.daemon.providers.drive import FIXTURES, decode

LEAST_ROWS = 15
# Servers of one's own for vectors and orders: their errors are those of searches alone.
LOCAL = "local-search"
# What stands in answers of chat alone.
OF_CHAT = frozenset({"candidates", "promptFeedback"})


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """One error, and what is made of it."""

    source: str
    status: int
    body: Any
    error_class: ErrorClass = field(name="class")
    dialect: str | None = None
    headers: dict[str, str] = {}
    stream: bool = False
    exception: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    retryable_here: bool | None = None

    def written(self) -> bytes:
        """Return the body as it comes."""
        if self.exception is not None:
            return exception(self.exception, **self.body)
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


READER = Decoder(Row)
ROWS = {
    path.stem: list(map(READER.decode, path.read_bytes().splitlines()))
    for path in sorted((FIXTURES / "errors").glob("*.jsonl"))
}


every_row = pytest.mark.parametrize(
    ("name", "row"),
    [
        pytest.param(name, row, id=f"{row.dialect or name}-{number}-{row.status}-{row.error_class}")
        for name, rows in ROWS.items()
        for number, row in enumerate(rows, 1)
    ],
)


def search_failure(name: str, row: Row, kind: str) -> Failure | None:
    adapter = "openai" if name == LOCAL else name
    wires: Any = search_wires(adapter, row.dialect)
    if kind not in wires:
        return None
    if row.status != 200:
        found: Failure | None = wires[kind].failure(row.status, row.headers, row.written())
        return found
    asked = EmbedRequest("m", ["a"]) if kind == "embedding" else RankRequest("m", "a", ["a"])
    decoder = wires[kind].decoder(asked)
    assert [*decoder.feed(row.written()), *decoder.end()] == []
    return failed(decoder)


def failed(decoder: AnswerDecoder) -> Failure | None:
    return decoder.outcome.failure


def chat_failure(name: str, row: Row) -> Failure | None:
    adapter = build_adapter(name, row.dialect)
    if row.status != 200:
        return adapter.failure(row.status, row.headers, row.written())
    stream = row.stream or row.exception is not None
    body = row.written()
    whole = decode(adapter, [body], stream=stream)
    assert decode(adapter, [body[at : at + 1] for at in range(len(body))], stream=stream) == whole
    parts, outcome = whole
    assert (parts, outcome.complete, outcome.finish) == ([], False, "error")
    return outcome.failure


def check(row: Row, failure: Failure | None) -> None:
    assert failure is not None
    assert failure.error_class is row.error_class
    assert failure.message
    assert failure.retry_after == row.retry_after
    assert row.status in (failure.status, 200)
    for name in ("code", "param", "retryable_here"):
        expected = getattr(row, name)
        assert expected is None or getattr(failure, name) == expected, name


@every_row
def test_an_error_is_what_its_vendor_means(name: str, row: Row) -> None:
    if name != LOCAL and name not in WITHOUT_CHAT:
        check(row, chat_failure(name, row))
    if row.stream or row.exception is not None or any(word in row.body for word in OF_CHAT):
        return
    for kind in ("embedding", "rerank"):
        if (found := search_failure(name, row, kind)) is not None:
            check(row, found)


@every_row
def test_an_error_with_the_wrong_status_is_no_answer(name: str, row: Row) -> None:
    """Gateways are known to answer 200 with the body of an error."""
    if name == LOCAL or name in WITHOUT_CHAT or row.status == 200:
        return
    for stream in (True, False):
        parts, outcome = decode(build_adapter(name, row.dialect), [row.written()], stream=stream)
        assert (parts, outcome.complete) == ([], False)
        assert outcome.failure is not None or stream


def test_every_wire_is_here_with_every_class_that_it_has() -> None:
    assert set(ROWS) == {*KNOWN, LOCAL}
    common = {
        ErrorClass.AUTH,
        ErrorClass.BAD_REQUEST,
        ErrorClass.CONTEXT_LENGTH,
        ErrorClass.NOT_FOUND,
        ErrorClass.OVERLOADED,
        ErrorClass.QUOTA,
        ErrorClass.RATE_LIMIT,
        ErrorClass.SERVER_ERROR,
        ErrorClass.TIMEOUT,
    }
    for name, rows in ROWS.items():
        assert len(rows) >= LEAST_ROWS, name
        assert common <= {row.error_class for row in rows}, name
        assert all(row.source for row in rows), name
        assert any(isinstance(row.body, str) and "<html" in row.body.lower() for row in rows), name
        assert any(row.status == 200 for row in rows), name
        assert any(row.body == "" for row in rows), name
        assert any(row.status == 413 for row in rows), name
