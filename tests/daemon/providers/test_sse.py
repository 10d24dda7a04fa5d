from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.sse import Event, SseParser
from tests.daemon.providers.drive import FIXTURES, fixture

PIECES = st.sampled_from(
    [
        b"data: x",
        b"data:y",
        b"data:  two spaces",
        b"data",
        b"data:",
        b'data: {"a":"\xe2\x80\xa8\xc2\x85\x0c"}',
        b"event: delta",
        b"event:",
        b"event",
        b": comment",
        b":",
        b"id: 1",
        b"datum: z",
        b" data: not a field",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"",
    ]
)
STREAMS = st.lists(PIECES, max_size=40).map(b"".join)


def reference(stream: bytes) -> list[Event]:
    """Read a whole stream slowly, as the standard is written."""
    events: list[Event] = []
    name = b""
    data: list[bytes] = []
    # The end of the stream ends the last line and the last event.
    for line in [*reference_lines(stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        field, colon, value = line.partition(b":")
        if colon and value[:1] == b" ":
            value = value[1:]
        if line == b"":
            if (joined := b"\n".join(data)) != b"":
                events.append((name, joined))
            name, data = b"", []
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


def reference_lines(stream: bytes) -> list[bytes]:
    """Cut a stream into lines, one byte after the other."""
    lines, line, index = [], bytearray(), 0
    while index < len(stream):
        byte = stream[index : index + 1]
        if byte in (b"\r", b"\n"):
            lines.append(bytes(line))
            line.clear()
            if stream[index : index + 2] == b"\r\n":
                index += 1
        else:
            line += byte
        index += 1
    return [*lines, bytes(line)]


def parse(*chunks: bytes) -> list[Event]:
    parser = SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.end()


@given(STREAMS)
def test_reads_what_the_standard_says(stream: bytes) -> None:
    assert parse(stream) == reference(stream)


@given(STREAMS)
def test_where_the_stream_is_cut_makes_no_difference(stream: bytes) -> None:
    whole = parse(stream)
    for cut in range(len(stream) + 1):
        assert parse(stream[:cut], stream[cut:]) == whole
    assert parse(*(stream[index : index + 1] for index in range(len(stream)))) == whole


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_are_read_as_by_the_reference(chunks: list[bytes]) -> None:
    assert parse(*chunks) == reference(b"".join(chunks))


BLOCKS = st.sampled_from(
    [
        b"data: x",
        b"data: y",
        b"data: ",
        b"event: delta\ndata: z",
        b"event: delta\ndata: ",
        b"event: delta",
        b"event: a\nid: 1\ndata: b",
        b"data: one\ndata: two",
        b"data: one\nevent: late",
        b": comment",
        b"stray",
        b"\ndata: after a blank line",
        b"data: before a blank line\n",
        b"",
    ]
)


@given(st.lists(st.lists(BLOCKS, max_size=6), max_size=6))
def test_reads_of_whole_events_are_read_as_by_the_reference(reads: list[list[bytes]]) -> None:
    """What is cut at once, without looking at lines, is the same as what is looked at."""
    chunks = [b"".join(block + b"\n\n" for block in read) for read in reads]
    assert parse(b"\n\n", *chunks) == reference(b"".join(chunks))


def test_lines_that_are_none_of_an_event_are_kept_aside() -> None:
    parser = SseParser()
    lines = [b": comment", b'{"error": 1}', b"data: a", b"id: 1", b"datum: x", b"", b"last"]
    events = parser.feed(b"\n".join(lines)) + parser.end()
    assert (events, bytes(parser.stray)) == ([(b"", b"a")], b'{"error": 1}\ndatum: x\nlast\n')
    for _ in range(100):
        parser.feed(b"x" * 5000 + b"\n\n")
        parser.feed(b"data: b\n\n")
    assert 64 * 1024 <= len(parser.stray) <= 2 * 64 * 1024
    assert set(parser.stray) == set(b"x\n")


def test_an_event_is_given_out_as_soon_as_its_blank_line_is_there() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [(b"", b"a")]
    assert parser.feed(b"data: b\r\n\r") == [(b"", b"b")]
    assert parser.feed(b"\ndata: c\r\r") == [(b"", b"c")]
    assert parser.end() == []


def test_many_events_in_one_read_come_out_in_order() -> None:
    events = parse(b"".join(b"data: %d\n\n" % number for number in range(1000)))
    assert events == [(b"", b"%d" % number) for number in range(1000)]


def test_names_belong_to_their_own_event_only() -> None:
    assert parse(b"event: a\ndata: 1\n\ndata: 2\n\nevent: b\n\ndata: 3\n\n") == [
        (b"a", b"1"),
        (b"", b"2"),
        (b"", b"3"),
    ]


def test_line_separators_of_unicode_are_text() -> None:
    data = "a\u2028b\u2029c\u0085d\fe\vf".encode()
    assert parse(b"data: " + data + b"\n\n") == [(b"", data)]


def test_an_event_too_large_ends_the_reading() -> None:
    parser = SseParser(max_event_bytes=100)
    assert parser.feed(b"data: " + b"x" * 90 + b"\n\n") == [(b"", b"x" * 90)]
    assert parser.problem is None
    assert parser.feed(b"data: " + b"x" * 60) == []
    assert parser.feed(b"x" * 60) == []
    assert parser.problem is not None
    assert parser.feed(b"\n\ndata: late\n\n") == []
    assert parser.end() == []


def test_recorded_shapes_hold_no_event_the_reference_does_not_see() -> None:
    streams = sorted(FIXTURES.glob("*/*.sse"))
    assert streams
    for path in streams:
        stream = fixture(f"{path.parent.name}/{path.name}")
        assert parse(stream) == reference(stream), path.name
