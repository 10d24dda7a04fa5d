"""A past decision made once more: the same from the same, and every difference is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from routerd.app.policy import policy_text
from routerd.decide import Book, CannotReplay, book_of, decide_again, plan_call
from routerd.domain import BudgetRoom, Dropped, Features, Plan, Record, Route, Snapshot
from routerd.execute.recording import caller_of
from routerd.models.directory import Directory
from routerd.models.pricing import Price
from routerd.models.schema import FAIL, ModelClass
from routerd.settings import Experiment, PolicySettings, Rule
from tests.daemon.decide.known import (
    DOLLAR,
    NOW,
    TODAY,
    book,
    deployment,
    directory,
    model,
    provider,
)
from tests.daemon.decide.worlds import World, worlds

KNOWN = directory(
    [provider("p"), provider("q"), provider("lan", "own-network")],
    [
        model("a", replacement="d", retires_on=TODAY),
        model("b", context_window=100_000),
        model("c"),
        model("d"),
    ],
    [
        deployment("p", "a"),
        deployment("p", "b", price=Price(source="test", input=DOLLAR, output=2 * DOLLAR)),
        deployment("q", "b", price=Price(source="test", input=DOLLAR, output=2 * DOLLAR)),
        deployment("lan", "c", price=Price(source="test", input=0, output=0)),
        deployment("q", "d"),
    ],
    [ModelClass(name="fast", description="", candidates=("a", "b", "c"), degraded=FAIL)],
)
WANTED = Features(
    1_000,
    input_tokens_bound=2_000,
    max_output_tokens=500,
    sensitivity="public",
    text_rules={"odd": True},
)
ODD = Rule(words=["odd"], use="b")
ROOM = BudgetRoom("all", "all calls", "nanodollars", DOLLAR, 0, 0, DOLLAR, NOW.now + 60)
STATE = structs.replace(
    NOW, rooms=(ROOM,), latency_ms={"p/b": 100, "q/b": 900}, in_flight={"p/b": 2}
)


def record_of(made: Book, target: str, wanted: Features, state: Snapshot, **names: Any) -> Record:
    """Return a record as the ledger gives it back: written and read once."""
    record = Record(
        decision_id="0" * 31 + "1",
        call_id="c1",
        received_at_ns=1,
        target=target,
        stream=True,
        features=wanted,
        snapshot=state,
        **names,
    )
    record.plan = plan_call(made, target, wanted, caller_of(record), state)
    record.arm = record.plan.arm
    return msgspec.json.decode(msgspec.json.encode(record), type=Record)


def differences(record: Record, made: Book | None = None) -> list[str]:
    return decide_again(record, caller_of(record), made or book(KNOWN)).differences


@settings(max_examples=150)
@given(worlds())
def test_from_what_was_kept_the_same_comes_out(world: World) -> None:
    names = {name: getattr(world.caller, name) for name in ("tenant", "team", "agent", "user")}
    record = record_of(world.book(), world.target, world.features, world.snapshot, **names)
    kept = book_of(world.directory.document(), policy_text(world.document))
    again = decide_again(record, caller_of(record), kept)
    assert again.differences == []
    assert again.plan == record.plan


def test_a_decision_made_again_is_the_same() -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    assert record.plan is not None
    assert (len(record.plan.routes), len(record.plan.dropped)) == (3, 2)
    assert differences(record) == []


# --- a record altered by hand --------------------------------------------------------------------

OTHERS: dict[type, Any] = {
    str: "altered",
    int: 7,
    bool: True,
    type(None): "altered",
    tuple: ("altered",),
}


def altered(value: Any) -> Any:
    return (not value) if isinstance(value, bool) else OTHERS[type(value)]


@pytest.mark.parametrize("field", Plan.__struct_fields__)
def test_an_altered_field_of_a_plan_is_a_difference(field: str) -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    plan = record.plan
    assert plan is not None
    value = getattr(plan, field)
    other = value[1:] if field in ("routes", "dropped") else altered(value)
    record.plan = structs.replace(plan, **{field: other})
    found = differences(record)
    assert found[0].startswith(f"{field} w")
    # The arm is on the record too, which agrees with what comes out again.
    assert len(found) == (2 if field == "arm" else 1)


@pytest.mark.parametrize("field", Route.__struct_fields__)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_altered_field_of_a_route_is_a_difference(field: str, place: int) -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    plan = record.plan
    assert plan is not None
    routes = list(plan.routes)
    routes[place] = structs.replace(
        routes[place], **{field: altered(getattr(routes[place], field))}
    )
    record.plan = structs.replace(plan, routes=tuple(routes))
    (difference,) = differences(record)
    assert ("routes were" if field == "deployment" else f"{field} was") in difference


@pytest.mark.parametrize("field", Dropped.__struct_fields__)
def test_an_altered_field_of_a_dropped_one_is_a_difference(field: str) -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    plan = record.plan
    assert plan is not None
    first, *others = plan.dropped
    first = structs.replace(first, **{field: altered(getattr(first, field))})
    record.plan = structs.replace(plan, dropped=(first, *others))
    (difference,) = differences(record)
    assert ("dropped were" if field == "deployment" else f"{field} was") in difference


@pytest.mark.parametrize("field", ["routes", "dropped"])
def test_another_order_or_one_more_is_a_difference(field: str) -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    plan = record.plan
    assert plan is not None
    for other in (
        tuple(reversed(getattr(plan, field))),
        (*getattr(plan, field), getattr(plan, field)[0]),
        (),
    ):
        record.plan = structs.replace(plan, **{field: other})
        (difference,) = differences(record)
        assert difference.startswith(f"{field} were ")


@pytest.mark.parametrize(
    "changes",
    [
        {"input_tokens": 200_000},
        {"images": 1},
        {"tools": 1},
        {"forced_tool": True},
        {"output_schema": True},
        {"prefill": True},
        {"max_output_tokens": 501},
        {"sensitivity": "private"},
        {"input_tokens_bound": 2_001},
        {"kind": "rerank"},
        {"latency": 50},
        {"region": "eu"},
        {"max_nanodollars": 1},
        {"text_rules": {"odd": False}},
    ],
)
def test_an_altered_fact_that_decided_something_is_a_difference(changes: dict[str, Any]) -> None:
    made = book(KNOWN, rules={"odd": ODD})
    record = record_of(made, "fast", WANTED, STATE)
    assert differences(record, made) == []
    assert record.features is not None
    record.features = structs.replace(record.features, **changes)
    assert differences(record, made)


@pytest.mark.parametrize(
    "changes",
    [
        {"rooms": (structs.replace(ROOM, spent=DOLLAR),)},
        {"surcharges": {"p/b": 2000}},
        {"latency_ms": {}},
        {"unhealthy": {"q": "its breaker is open"}},
        {"gone": {"q/b": "404"}},
        {"session_on": "lan/c"},
        {"now": NOW.now - 86_400},
    ],
)
def test_an_altered_state_that_decided_something_is_a_difference(changes: dict[str, Any]) -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    assert record.snapshot is not None
    record.snapshot = structs.replace(record.snapshot, **changes)
    assert differences(record)


def test_another_target_or_caller_is_a_difference() -> None:
    made = book(KNOWN, policies={"acme": PolicySettings(tenants=["acme"])})
    record = record_of(made, "fast", WANTED, STATE)
    record.tenant = "acme"
    assert differences(record, made) == ["policy was 'default', is 'acme'"]
    record = record_of(made, "fast", WANTED, STATE)
    record.target = "b"
    assert "target was 'fast', is 'b'" in differences(record, made)


def test_another_policy_or_directory_is_a_difference() -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    policy = {"default": PolicySettings(without=["q"])}
    assert "routes were p/b, q/b, lan/c, are p/b, lan/c" in differences(
        record, book(KNOWN, policies=policy)
    )
    cheaper = KNOWN.with_prices({"p/b": Price(source="test", input=DOLLAR // 2, output=DOLLAR)})
    (difference,) = differences(record, book(cheaper))
    assert difference.startswith("p/b: bound_nanodollars was ")


@settings(max_examples=60)
@given(worlds(), st.data())
def test_whatever_is_altered_in_a_plan_is_said(world: World, data: st.DataObject) -> None:
    record = record_of(world.book(), world.target, world.features, world.snapshot)
    assert record.plan is not None
    if not record.plan.routes and not record.plan.dropped:
        assume(condition=False)
    listed = "routes" if record.plan.routes else "dropped"
    first, *others = getattr(record.plan, listed)
    field = data.draw(st.sampled_from(first.__struct_fields__))
    changed = structs.replace(first, **{field: altered(getattr(first, field))})
    record.plan = structs.replace(record.plan, **{listed: (changed, *others)})
    assert differences(record, world.book())


# --- what cannot be made again -------------------------------------------------------------------


def test_a_record_without_a_plan_says_so() -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    record.plan = None
    with pytest.raises(CannotReplay, match="no plan was made"):
        differences(record)


def test_a_target_the_directory_of_then_does_not_know_says_so() -> None:
    record = record_of(book(KNOWN), "fast", WANTED, STATE)
    record.target = "flagship"
    with pytest.raises(CannotReplay, match=r"of then does not know it: .*'flagship'"):
        differences(record)


DIRECTORY = KNOWN.document()
POLICY = policy_text(book(KNOWN).document)


@pytest.mark.parametrize(
    ("directory_text", "policy"),
    [
        (b"", POLICY),
        (b"{}", POLICY),
        (b"[1, 2]", POLICY),
        (b"\xff", POLICY),
        (DIRECTORY.replace(b'"provider":"lan"', b'"provider":"nobody"'), POLICY),
        (DIRECTORY.replace(b'"model":"c"', b'"model":"nothing"'), POLICY),
        (DIRECTORY.replace(b'"candidates":["a"', b'"ahead":["a"'), POLICY),
        (DIRECTORY, b""),
        (DIRECTORY, b"{}"),
        (DIRECTORY, POLICY.replace(b"{", b'{"policies":{"a":{"inherits":"b"}},', 1)),
        (DIRECTORY, POLICY.replace(b"{", b'{"policies":{"a":{"of_tomorrow":1}},', 1)),
    ],
)
def test_documents_of_another_version_say_so(directory_text: bytes, policy: bytes) -> None:
    assert book_of(DIRECTORY, POLICY).document == book(KNOWN).document
    with pytest.raises(CannotReplay, match="written by another version"):
        book_of(directory_text, policy)


def test_a_kept_directory_is_the_same_directory() -> None:
    kept = Directory.from_document(DIRECTORY)
    assert kept.document() == DIRECTORY
    assert dict(kept.deployments) == dict(KNOWN.deployments)


def test_a_kept_policy_is_the_same_policy() -> None:
    made = book(
        KNOWN,
        contracted=("p",),
        policies={"acme": PolicySettings(tenants=["acme"], soft_percent=50)},
        experiments={"trial": Experiment(target="fast")},
        rules={"odd": ODD},
    )
    assert book_of(DIRECTORY, policy_text(made.document)).document == made.document
