"""Lines reach their stream whole and in order, and a reader that sleeps stops nobody."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from routerd.telemetry.lines import LineWriter

LINE = b"%06d " + b"x" * 93 + b"\n"


def lost_line(count: int) -> bytes:
    return b"lost %d\n" % count


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Return the descriptor to read from, and the stream to write to."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    yield reading, stream
    stream.close()
    os.close(reading)


def read_all(descriptor: int) -> list[bytes]:
    content = b""
    while piece := os.read(descriptor, 65536):
        content += piece
    return content.splitlines()


def test_a_line_is_there_at_once(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    LineWriter(stream, lost_line).write(b"hello\n")
    assert os.read(reading, 100) == b"hello\n"


def test_a_reader_that_sleeps_gets_all_lines_later_and_in_order(
    pipe: tuple[int, TextIO],
) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, lost_line, backlog_limit=5000)
    for number in range(3000):  # four times what a pipe holds; this returns or the test hangs
        writer.write(LINE % number)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(read_all(reading)))
    reader.start()
    writer.close(10.0)
    writer.write(LINE % 3000)
    writer.close(10.0)  # the reader may have fallen behind again
    stream.close()
    reader.join()
    assert found == [(LINE % number).rstrip() for number in range(3001)]
    assert writer.lost == 0


def test_beyond_the_limit_lines_are_counted_and_the_reader_is_told(
    pipe: tuple[int, TextIO],
) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, lost_line, backlog_limit=100)
    for number in range(3000):
        writer.write(LINE % number)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(read_all(reading)))
    reader.start()
    writer.close(10.0)
    stream.close()
    reader.join()
    expected = 0
    for line in found:
        if line.startswith(b"lost "):
            expected += int(line.split()[1])
        else:
            assert line == (LINE % expected).rstrip()
            expected += 1
    assert expected == 3000
    assert 0 < writer.lost < 3000


def test_a_line_longer_than_a_pipe_holds_stops_nobody(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, lost_line)
    writer.write(b"y" * 300_000 + b"\n")
    writer.write(b"after\n")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(read_all(reading)))
    reader.start()
    writer.close(10.0)
    stream.close()
    reader.join()
    assert found == [b"y" * 300_000, b"after"]


def test_closing_does_not_wait_for_a_reader_that_sleeps(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, lost_line)
    for number in range(2000):
        writer.write(LINE % number)
    writer.close(0.01)
    drain = threading.Thread(target=read_all, args=(reading,))
    drain.start()
    writer.close(10.0)
    stream.close()
    drain.join()


def test_nobody_at_the_other_end_is_no_error(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, lost_line)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reading)
    os.close(null)
    writer.write(b"hello\n")
    assert writer.lost == 1


def test_a_stream_in_memory_is_written_to() -> None:
    stream = io.StringIO()
    LineWriter(stream, lost_line).write("grüße\n".encode())
    assert stream.getvalue() == "grüße\n"
