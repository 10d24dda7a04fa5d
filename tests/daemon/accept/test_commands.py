"""Questions to the daemon, answered from a real ledger, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from routerd.domain import Record
from routerd.ledger import Ledger
from routerd.ledger.listing import MOST_CALLS
from routerd_proto.frames import CommandAnswered, CommandRequested
from tests.daemon.accept.app import HELLO, commands_of, serving

IDS = ("0123456789abcdef" * 2, "01234567ffffffff" * 2, "fedcba9876543210" * 2)


def record(decision_id: str) -> Record:
    return Record(decision_id=decision_id, call_id="c", received_at_ns=1, target="t", stream=True)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db", on_event=lambda _event: None)
    await made.start()
    for decision_id in IDS:
        made.write(record(decision_id))
    yield made
    await made.close()


async def reload() -> dict[str, Any]:
    return {"deployments": 3}


async def ask(folder: Path, ledger: Ledger, name: str, /, **arguments: Any) -> CommandAnswered:
    commands = commands_of(ledger, report=lambda: {"ready": True}, reload=reload)
    async with serving(folder, serve_command=commands.serve) as running:
        app = await running.connect()
        app.send(HELLO, CommandRequested(name, arguments))
        answer = (await app.receive_until(CommandAnswered))[-1]
        # The connection is good for more.
        app.send(CommandRequested("status"))
        assert await app.receive() == CommandAnswered({"ready": True})
    assert isinstance(answer, CommandAnswered)
    assert (answer.body is None) == (answer.error is not None)
    return answer


async def test_status_is_what_is_reported(tmp_path: Path, ledger: Ledger) -> None:
    assert (await ask(tmp_path, ledger, "status")).body == {"ready": True}


async def test_a_reload_answers_with_what_it_changed(tmp_path: Path, ledger: Ledger) -> None:
    assert (await ask(tmp_path, ledger, "reload")).body == {"deployments": 3}


async def test_a_call_is_found_by_its_id_and_by_the_beginning_of_it(
    tmp_path: Path, ledger: Ledger
) -> None:
    for decision_id in (IDS[2], IDS[2][:8], IDS[2].upper()):
        answer = await ask(tmp_path, ledger, "explain", decision_id=decision_id)
        assert answer.body["decision_id"] == IDS[2]


async def test_the_newest_calls_come_first(tmp_path: Path, ledger: Ledger) -> None:
    answer = await ask(tmp_path, ledger, "calls", limit=2)
    assert [item["decision_id"] for item in answer.body] == sorted(IDS, reverse=True)[:2]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("shutdown", {}, "known: budgets, calls, explain, plan, reconcile, reload, reset, spend"),
        ("status", {"x": 1}, "wrong arguments: Object contains unknown field `x`"),
        ("explain", {}, "Object missing required field `decision_id`"),
        ("explain", {"decision_id": 5}, "Expected `str`, got `int` - at `$.decision_id`"),
        ("explain", {"decision_id": "01234567"}, "give more digits"),
        ("explain", {"decision_id": "nonsense"}, "is no decision id"),
        ("explain", {"decision_id": "aaaaaaaa"}, "the ledger has no call aaaaaaaa"),
        ("calls", {}, "Object missing required field `limit`"),
        ("calls", {"limit": "5"}, "Expected `int`, got `str` - at `$.limit`"),
        ("calls", {"limit": True}, "Expected `int`, got `bool` - at `$.limit`"),
        ("calls", {"limit": 0}, "Expected `int` >= 1 - at `$.limit`"),
        ("calls", {"limit": MOST_CALLS + 1}, f"Expected `int` <= {MOST_CALLS}"),
        ("calls", {"limit": 1, "record": "x"}, "Object contains unknown field `record`"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    tmp_path: Path, ledger: Ledger, name: str, arguments: dict[str, Any], expected: str
) -> None:
    answer = await ask(tmp_path, ledger, name, **arguments)
    assert answer.error is not None
    assert answer.error.code == "invalid_request"
    assert expected in answer.error.message


async def test_calls_are_found_by_what_is_said_of_them(tmp_path: Path, ledger: Ledger) -> None:
    answer = await ask(tmp_path, ledger, "calls", limit=5, target="t", until_ms=1)
    assert {item["decision_id"] for item in answer.body} == set(IDS)
    assert (await ask(tmp_path, ledger, "calls", limit=5, error="any")).body == []


async def test_a_ledger_that_cannot_be_read_is_said_so(tmp_path: Path, ledger: Ledger) -> None:
    await ask(tmp_path, ledger, "calls", limit=1)
    await anyio.Path(ledger.path).rename(tmp_path / "away.db")
    answer = await ask(tmp_path, ledger, "calls", limit=1)
    assert answer.error is not None
    assert answer.error.code == "internal_error"
    assert "cannot be read" in answer.error.message


async def test_texts_are_shown_where_they_are_kept(tmp_path: Path, ledger: Ledger) -> None:
    ledger.keep_texts(IDS[0], b'[{"role":"user","content":"hello"}]', b'[[41,"hi"]]')
    answer = await ask(tmp_path, ledger, "texts", decision_id=IDS[0])
    assert answer.body == {
        "messages": [{"role": "user", "content": "hello"}],
        "answer": [[41, "hi"]],
    }
    answer = await ask(tmp_path, ledger, "texts", decision_id=IDS[1])
    assert answer.error is not None
    assert "ledger.texts_of" in answer.error.message


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("texts", {"decision_id": IDS[0]}),
        ("reconcile", {"invoice": {}, "correct": True}),
        ("reload", {}),
        ("trip", {"name": "openai"}),
        ("reset", {"name": "openai"}),
    ],
)
async def test_what_is_for_operators_is_refused_to_others(
    tmp_path: Path,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: dict[str, Any],
) -> None:
    monkeypatch.setattr("routerd.accept.connection._peer_uid", lambda _transport: 12345)
    answer = await ask(tmp_path, ledger, name, **arguments)
    assert answer.error is not None
    assert (answer.error.code, answer.error.blame) == ("forbidden", "caller")
