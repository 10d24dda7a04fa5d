"""A past decision made again over the socket, and the plan of a call that is not made."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from msgspec import structs

from routerd.app.policy import policy_text
from routerd.budget.budgets import Budgets
from routerd.budget.definitions import read_budgets
from routerd.budget.keys import Keys
from routerd.decide import Book, PolicyDocument
from routerd.domain import Features, Record, Snapshot
from routerd.execute.accounts import Accounts
from routerd.execute.story import Rules
from routerd.health.traffic import Seen
from routerd.ledger import Ledger
from routerd.models.pricing import Price
from routerd.models.schema import FAIL, Defaults, Shortcut
from routerd.settings import Budget, Budgeting, PolicySettings, Rule, Shadow
from routerd_proto.frames import CommandAnswered, CommandRequested
from tests.daemon.accept.app import HELLO, commands_of, serving
from tests.daemon.decide.known import deployment, directory, model, provider
from tests.daemon.decide.test_again import record_of

KNOWN = directory(
    [provider("p"), provider("q"), provider("here", "machine")],
    [model("a"), model("b")],
    [
        deployment("p", "a"),
        deployment("q", "a"),
        deployment("here", "b", price=Price(source="test", input=0, output=0)),
    ],
    shortcuts=[
        Shortcut(
            name="smart",
            description="",
            candidates=("a",),
            degraded=FAIL,
            defaults=Defaults(max_output_tokens=77),
        ),
    ],
)
DOCUMENT = PolicyDocument(
    providers=("p", "q", "here"),
    rules={"words": Rule(words=["prove"], use="b")},
    policies={"acme": PolicySettings(tenants=["acme"], without=["p"])},
    shadows={"copy": Shadow(target="smart", use="b", percent=100, daily_dollars="1")},
)
BOOK = Book(KNOWN, DOCUMENT)
WANTED = Features(10, max_output_tokens=77)
STATE = Snapshot(1_800_000_000.0)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    await made.start()
    yield made
    await made.close()


def rules_of(ledger: Ledger, book: Book = BOOK) -> Rules:
    return Rules(
        book,
        {},
        directory_hash=ledger.keep_document("directory", book.directory.document()),
        policy_hash=ledger.keep_document("policy", policy_text(book.document)),
    )


def keep(ledger: Ledger, rules: Rules, number: int = 1, **changes: Any) -> Record:
    """Write down a call that was decided by these rules, or what is said of it instead."""
    record = record_of(rules.book, "smart", WANTED, STATE)
    record.decision_id = f"{number:032x}"
    record.directory_hash, record.policy_hash = rules.directory_hash, rules.policy_hash
    for name, value in changes.items():
        setattr(record, name, value)
    ledger.write(record)
    return record


async def ask(
    folder: Path,
    ledger: Ledger,
    rules: Rules,
    *questions: tuple[str, dict[str, Any]],
    accounts: Accounts | None = None,
) -> list[CommandAnswered]:
    """Ask one daemon several questions."""
    commands = commands_of(ledger, rules=rules, accounts=accounts)
    answers = []
    async with serving(folder, serve_command=commands.serve) as running:
        app = await running.connect()
        app.send(HELLO)
        for name, arguments in questions:
            app.send(CommandRequested(name, arguments))
            answer = (await app.receive_until(CommandAnswered))[-1]
            assert isinstance(answer, CommandAnswered)
            answers.append(answer)
    return answers


async def again(folder: Path, ledger: Ledger, rules: Rules, *records: Record) -> list[Any]:
    questions = [("explain", {"decision_id": record.decision_id}) for record in records]
    return [answer.body["again"] for answer in await ask(folder, ledger, rules, *questions)]


SAME = {"possible": True, "why": "", "differences": []}


# --- explain -------------------------------------------------------------------------------------


async def test_a_call_of_now_is_decided_again_the_same(tmp_path: Path, ledger: Ledger) -> None:
    rules = rules_of(ledger)
    assert await again(tmp_path, ledger, rules, keep(ledger, rules)) == [SAME]


async def test_a_call_is_decided_again_by_the_policy_and_the_directory_of_then(
    tmp_path: Path, ledger: Ledger
) -> None:
    then, now = (
        rules_of(ledger),
        rules_of(ledger, Book(KNOWN, PolicyDocument(providers=("q",)))),
    )
    records = [keep(ledger, then, 1), keep(ledger, now, 2), keep(ledger, then, 3)]
    assert await again(tmp_path, ledger, now, *records) == [SAME] * 3


async def test_many_times_of_then_are_explained_in_turn(tmp_path: Path, ledger: Ledger) -> None:
    books = [
        Book(KNOWN, structs.replace(DOCUMENT, contracted=(f"vendor{number}",)))
        for number in range(7)
    ]
    records = [keep(ledger, rules_of(ledger, book), n + 1) for n, book in enumerate(books)]
    told = await again(tmp_path, ledger, rules_of(ledger), *records, *reversed(records))
    assert told == [SAME] * 14


async def test_a_record_altered_by_hand_is_reported(tmp_path: Path, ledger: Ledger) -> None:
    rules = rules_of(ledger)
    record = keep(ledger, rules)
    plan = record.plan
    assert plan is not None
    altered = keep(ledger, rules, 2, plan=structs.replace(plan, routes=plan.routes[::-1]))
    tenant = keep(ledger, rules, 3, tenant="acme")
    first, second = await again(tmp_path, ledger, rules, altered, tenant)
    assert first["possible"]
    assert first["differences"] == ["routes were q/a, p/a, are p/a, q/a"]
    assert "policy was 'default', is 'acme'" in second["differences"]
    assert "routes were p/a, q/a, are q/a" in second["differences"]


async def test_a_call_without_a_plan_says_so(tmp_path: Path, ledger: Ledger) -> None:
    rules = rules_of(ledger)
    nothing = {"plan": None, "snapshot": None}
    refused = keep(ledger, rules, 1, directory_hash=None, policy_hash=None, **nothing)
    kept = keep(ledger, rules, 2, **nothing)
    for told in await again(tmp_path, ledger, rules, refused, kept):
        assert not told["possible"]
        assert told["differences"] == []
        assert told["why"].startswith("no plan was made")


async def test_documents_that_are_gone_are_said_to_be(tmp_path: Path, ledger: Ledger) -> None:
    rules = rules_of(ledger)
    then = rules_of(ledger, Book(KNOWN, PolicyDocument(providers=("q",))))
    record = keep(ledger, then)
    await ledger.recent(1)

    def forget() -> None:
        with sqlite3.connect(ledger.path) as database:
            database.execute("DELETE FROM documents WHERE hash = ?", (then.policy_hash,))
        database.close()

    await anyio.to_thread.run_sync(forget)
    (told,) = await again(tmp_path, ledger, rules, record)
    assert told == {
        "possible": False,
        "why": "the ledger does not have policy and directory of then any more",
        "differences": [],
    }


async def test_a_document_altered_by_hand_is_reported(tmp_path: Path, ledger: Ledger) -> None:
    """A policy that says now what would explain the call was not what it was decided by."""
    rules = rules_of(ledger)
    then = rules_of(ledger, Book(KNOWN, PolicyDocument(providers=("q",))))
    record = keep(ledger, then)
    await ledger.recent(1)

    def forge() -> None:
        with sqlite3.connect(ledger.path) as database:
            database.execute(
                "UPDATE documents SET content = (SELECT content FROM documents WHERE hash = ?1) "
                "WHERE hash = ?2",
                (rules.policy_hash, then.policy_hash),
            )
        database.close()

    await anyio.to_thread.run_sync(forge)
    (told,) = await again(tmp_path, ledger, rules, record)
    assert then.policy_hash is not None
    why = (
        f"the policy or directory {then.policy_hash[:12]} in the ledger is not the one that was "
        "written: somebody changed it"
    )
    assert told == {"possible": False, "why": why, "differences": [why]}


async def test_documents_of_another_version_are_said_to_be(tmp_path: Path, ledger: Ledger) -> None:
    rules = rules_of(ledger)
    other = structs.replace(
        rules, directory_hash=ledger.keep_document("directory", b'{"of": "another version"}')
    )
    (told,) = await again(tmp_path, ledger, rules, keep(ledger, other))
    assert not told["possible"]
    assert told["why"].startswith("policy or directory of then were written by another version")


# --- plan ----------------------------------------------------------------------------------------


async def planned(tmp_path: Path, ledger: Ledger, **arguments: Any) -> dict[str, Any]:
    (answer,) = await ask(tmp_path, ledger, rules_of(ledger), ("plan", arguments))
    assert answer.error is None
    body: dict[str, Any] = answer.body
    return body


def routes(body: dict[str, Any]) -> list[str]:
    return [route["deployment"] for route in body["plan"]["routes"]]


async def test_the_plan_of_a_call_that_is_not_made(tmp_path: Path, ledger: Ledger) -> None:
    body = await planned(tmp_path, ledger, target="smart", messages="hello")
    assert (body["target"], body["refusal"]) == ("smart", None)
    assert routes(body) == ["p/a", "q/a"]
    assert body["features"]["max_output_tokens"] == 77
    assert body["plan"]["shadows"] == ["copy"]
    rules = rules_of(ledger)
    assert (body["directory_hash"], body["policy_hash"]) == (
        rules.directory_hash,
        rules.policy_hash,
    )
    # As a client sends it: messages with roles, and options.
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "Prove it."}]
    options = {"tenant": "acme", "max_output_tokens": 5}
    body = await planned(tmp_path, ledger, target="smart", messages=messages, options=options)
    assert routes(body) == ["here/b"]
    assert (body["plan"]["policy"], body["features"]["max_output_tokens"]) == ("acme", 5)
    assert body["features"]["text_rules"] == {"words": True}
    assert "Prove" not in repr(body)


async def test_a_plan_that_refuses_says_what_the_call_would_hear(
    tmp_path: Path, ledger: Ledger
) -> None:
    options = {"sensitivity": "private"}
    body = await planned(tmp_path, ledger, target="smart", messages="x", options=options)
    assert routes(body) == []
    assert body["refusal"].startswith("no_candidates: nothing may serve 'smart': boundary: ")


async def test_a_plan_leaves_no_record_and_no_hold(tmp_path: Path, ledger: Ledger) -> None:
    caps = read_budgets({"all": Budget(dollars=1, calls=1)}, Budgeting())
    accounts = Accounts(Budgets(caps), Keys({}, ()), ledger, lambda _event: None)
    questions = [("plan", {"target": "here/b", "messages": "hello"})] * 3
    answers = await ask(tmp_path, ledger, rules_of(ledger), *questions, accounts=accounts)
    # Only one call fits, and each time it would.
    assert [routes(answer.body) for answer in answers] == [["here/b"]] * 3
    assert [room["spent"] for room in answers[2].body["snapshot"]["rooms"]] == [0, 0]
    assert len(accounts.budgets.holds) == 0
    assert accounts.traffic.seen(["here/b"], None, 0.0) == Seen()
    assert await ledger.recent(10) == []


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ({}, "invalid_request", "missing required field `target`"),
        ({"target": "smart"}, "invalid_request", "missing `messages`, `inputs` or `documents`"),
        ({"target": "smart", "messages": 5}, "invalid_request", "`$.messages`"),
        ({"target": "smart", "messages": []}, "invalid_request", "messages: is empty"),
        ({"target": "smart", "messages": ""}, "invalid_request", "messages[0].content: is empty"),
        ({"target": "smart", "messages": "x", "stream": True}, "invalid_request", "`stream`"),
        (
            {"target": "smart", "messages": "x", "options": {"temprature": 1}},
            "invalid_request",
            "`temprature`",
        ),
        (
            {"target": "smart", "messages": "x", "options": {"temperature": 9}},
            "invalid_request",
            "options.temperature: is 9",
        ),
        (
            {"target": "smart", "messages": "x", "options": {"feature": "shadow:copy"}},
            "invalid_request",
            "options.feature: begins with shadow:",
        ),
        ({"target": "smrt", "messages": "x"}, "unknown_target", "did you mean smart?"),
    ],
)
async def test_what_cannot_be_planned_is_refused_as_a_call_is(
    tmp_path: Path, ledger: Ledger, arguments: dict[str, Any], code: str, expected: str
) -> None:
    (answer,) = await ask(tmp_path, ledger, rules_of(ledger), ("plan", arguments))
    assert answer.error is not None
    assert answer.error.code == code
    assert expected in answer.error.message
