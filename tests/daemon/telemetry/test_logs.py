"""The lines on stderr: what is in them, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import Record
from routerd.telemetry.events import (
    BugSeen,
    CallFinished,
    ConnectionRejected,
    DaemonStarted,
    Event,
    LedgerDegraded,
    ProviderUnreachable,
    ProviderWarmed,
    RecordsLost,
)
from routerd.telemetry.logs import Logs, configure_logs
from routerd_proto.frames import TraceContext
from tests.daemon.ledger.records import decision_id, full_record

SECRET = "sk-live-0123 the words of a prompt"


@contextmanager
def logging_to(stream: io.StringIO, level: str = "info", **arguments: Any) -> Iterator[Logs]:
    logs = configure_logs(level, stream, environ={}, **arguments)
    try:
        yield logs
    finally:
        logs.close()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def logged(*events: Event, level: str = "info", calls: bool = True) -> list[dict[str, Any]]:
    stream = io.StringIO()
    with logging_to(stream, level, calls=calls) as logs:
        for event in events:
            logs(event)
    return lines_of(stream)


def test_a_call_is_one_flat_line() -> None:
    (line,) = logged(CallFinished(record=full_record(1, trace_id="ab" * 16)))
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "level": "info",
        "event": "call_finished",
        "decision_id": decision_id(1),
        "target": "smart",
        "model": "large",
        "deployment": "mistral/large",
        "provider": "mistral",
        "attempts": 2,
        "finish": "stop",
        "cost_cents": 0.1234567,
        "cost_basis": "measured",
        "first_content_ms": 350.1,
        "total_ms": 1400.2,
        "upstream_ms": 1399.6,
        "tenant": "acme",
        "team": "search",
        "agent": "tagger",
        "feature": "tags",
        "task": "extract",
        "arm": "control",
        "input_tokens": 127,
        "cached_tokens": 20,
        "output_tokens": 50,
        "skipped": 1,
        "trace_id": "ab" * 16,
    }


@pytest.mark.parametrize(
    ("error_code", "level"),
    [
        (None, "info"),
        ("invalid_request", "info"),
        ("cancelled", "info"),
        ("overloaded", "warning"),
        ("internal_error", "warning"),
    ],
)
def test_a_call_that_failed_warns_the_operator_unless_the_caller_is_to_blame(
    error_code: str | None, level: str
) -> None:
    (line,) = logged(CallFinished(record=full_record(1, error_code=error_code)))
    assert line["level"] == level
    assert line.get("error_code") == error_code


def test_lines_of_calls_can_be_switched_off_but_not_those_of_failures() -> None:
    good = CallFinished(record=full_record(1))
    bad = CallFinished(record=full_record(2, error_code="overloaded"))
    assert [line["decision_id"] for line in logged(good, bad, calls=False)] == [decision_id(2)]


def test_the_level_decides_what_is_written() -> None:
    events = (
        ProviderWarmed(provider="openai", connections=2, duration_us=10),
        ProviderUnreachable(provider="openai", error_class="connection"),
        LedgerDegraded(reason="disk full"),
    )
    names = ["provider_warmed", "provider_unreachable", "ledger_degraded"]
    for level, expected in (("info", names), ("warning", names[1:]), ("error", names[2:])):
        assert [line["event"] for line in logged(*events, level=level)] == expected


def test_the_level_may_change() -> None:
    stream = io.StringIO()
    warmed = ProviderWarmed(provider="openai", connections=2, duration_us=10)
    with logging_to(stream, "warning") as logs:
        logs(warmed)
        logs.change("info", calls=False)
        logs(warmed)
        logs(CallFinished(record=full_record(1)))
        logs.change("error", calls=True)
        logs(warmed)
    assert [line["event"] for line in lines_of(stream)] == ["provider_warmed"]


def test_every_other_event_shows_its_fields() -> None:
    started = DaemonStarted(
        version="0.1.0", socket="/run/r.sock", providers=("openai",), deployments=3, ready_us=7
    )
    lines = logged(started, ConnectionRejected(code="protocol_error", peer_uid=1000))
    for line in lines:
        del line["timestamp"]
    assert lines == [
        {
            "level": "info",
            "event": "daemon_started",
            "version": "0.1.0",
            "socket": "/run/r.sock",
            "providers": ["openai"],
            "deployments": 3,
            "ready_us": 7,
        },
        {
            "level": "warning",
            "event": "connection_rejected",
            "code": "protocol_error",
            "peer_uid": 1000,
        },
    ]


def bug(text: str) -> BaseException:
    with pytest.raises(KeyError) as caught:
        raise KeyError(text)
    return caught.value


def test_a_bug_is_shown_by_its_kind_and_its_place() -> None:
    (line,) = logged(BugSeen(decision_id="d", error=bug(SECRET)))
    assert line["error"] == "KeyError"
    assert re.search(r"test_logs\.bug:\d+", line["where"])


# --- what libraries log ----------------------------------------------------------------------


def library_lines(log: Callable[[logging.Logger], None], times: int = 1) -> list[dict[str, Any]]:
    stream = io.StringIO()
    with logging_to(stream):
        for _ in range(times):
            log(logging.getLogger("opentelemetry.exporter"))
    return lines_of(stream)


def test_a_library_is_quoted_with_numbers_but_without_texts() -> None:
    def log(logger: logging.Logger) -> None:
        logger.warning("Transient error %s, %s, retrying in %.2fs.", bug("x"), SECRET, 1.5)

    (line,) = library_lines(log)
    assert line["text"] == "Transient error KeyError, ..., retrying in 1.50s."
    assert (line["level"], line["logger"]) == ("warning", "opentelemetry.exporter")


def test_a_library_below_a_warning_is_not_heard() -> None:
    assert library_lines(lambda logger: logger.info("chatter")) == []


def test_a_library_that_repeats_itself_is_cut_short_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(logging.time, "time", lambda: now)  # type: ignore[attr-defined]
    stream = io.StringIO()
    with logging_to(stream):
        for _ in range(50):
            logging.getLogger("noisy").warning("again")
        logging.getLogger("other").warning("once")
        now += 61
        logging.getLogger("noisy").warning("again")
    lines = lines_of(stream)
    assert [line["logger"] for line in lines] == ["noisy"] * 5 + ["other", "noisy"]
    assert lines[-1]["suppressed"] == 45


def test_after_the_end_libraries_log_as_before() -> None:
    before = list(logging.getLogger().handlers)
    stream = io.StringIO()
    with logging_to(stream):
        assert logging.getLogger().handlers != before
    assert logging.getLogger().handlers == before


def test_an_exception_nobody_caught_in_a_task_shows_no_text() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def fail() -> None:
        raise ValueError(SECRET)

    stream = io.StringIO()
    with logging_to(stream):
        asyncio.run(main())
    (line,) = lines_of(stream)
    assert (line["logger"], line["error"]) == ("asyncio", "ValueError")
    assert SECRET not in stream.getvalue()


# --- what is never shown ---------------------------------------------------------------------


def poisoned(record: Record, text: str) -> Record:
    """Put a text wherever a provider, a library or a careless caller may have put one."""
    for attempt in record.attempts:
        attempt.error_code = attempt.response_id = attempt.answered_model = text
        attempt.notes = [text]
    plan = record.plan
    if plan is not None:
        dropped = tuple(structs.replace(item, detail=text) for item in plan.dropped)
        plan = structs.replace(plan, dropped=dropped, rule=text)
    return structs.replace(record, notes=[text], user=text, plan=plan)


@given(text=st.text(max_size=30), level=st.sampled_from(["debug", "info"]))
def test_no_text_of_a_call_reaches_a_line(text: str, level: str) -> None:
    secret = f"{SECRET} {text}"
    stream = io.StringIO()
    with logging_to(stream, level) as logs:
        logs(CallFinished(record=poisoned(full_record(1), secret), trace=TraceContext(secret)))
        logs(BugSeen(decision_id="d", error=bug(secret)))
        logs(RecordsLost(count=1))
        logger = logging.getLogger("aiohttp.client")
        logger.error("cannot send %s to %r", secret, {"key": secret}, exc_info=bug(secret))
        logger.error("cannot send\n%s", secret)
        logger.error("%(body)s", {"body": secret})
    assert len(lines_of(stream)) == 6
    assert "sk-live" not in stream.getvalue()


@given(text=st.text())
def test_whatever_a_caller_is_called_a_line_is_one_line(text: str) -> None:
    (line,) = logged(CallFinished(record=full_record(1, tenant=text, target=text)))
    assert text.startswith(line["tenant"])
    assert len(line["tenant"]) <= 128


# --- a terminal ------------------------------------------------------------------------------


@pytest.mark.parametrize(("environ", "colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_columns_and_colours_unless_told_not_to(
    environ: dict[str, str], colours: bool
) -> None:
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        logs = configure_logs("info", stream, environ=environ)
        logs(CallFinished(record=full_record(1, tenant="a\x1b[2Jb\nc")))
        logs.close()
        shown = os.read(controller, 65536).decode()
    os.close(controller)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "call_finished" in plain
    assert "deployment=mistral/large" in plain
    assert r"a\x1b[2Jb\nc" in plain
    assert len(shown.splitlines()) == 1
    assert ("\x1b[" in shown) == colours
    assert "{" not in plain


def test_what_is_no_terminal_gets_no_colours() -> None:
    assert "\x1b" not in json.dumps(logged(RecordsLost(count=1)))
