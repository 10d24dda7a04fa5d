"""The plan: where a call may go, in what order, and why not elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from routerd.decide import refusal, resolve
from routerd.decide.plan import plan_call
from routerd.domain import Boundary, BudgetRoom, Caller, Capabilities, Features, Plan, Snapshot
from routerd.errors import CallRefused
from routerd.models.directory import Directory
from routerd.models.schema import (
    FAIL,
    Documents,
    ModelClass,
    Shortcut,
)
from tests.daemon.decide.known import (
    ABLE,
    NOW,
    PLAIN,
    TODAY,
    book,
    deployment,
    directory,
    model,
    plan_for,
    provider,
    reasons,
    route_ids,
    small,
)


@pytest.mark.parametrize(
    ("more", "wanted", "code", "detail"),
    [
        ({"retires_on": TODAY}, PLAIN, "retired", "ended on 2026-11-20"),
        ({}, Features(1, images=2), "no_vision", "2 images"),
        ({}, Features(1, tools=3), "no_tools", "3 tools"),
        ({}, Features(1, forced_tool=True), "no_forced_tool", "forces a tool"),
        ({}, Features(1, output_schema=True), "no_json_schema", "JSON schema"),
        ({}, Features(1, prefill=True), "no_prefill", "assistant's"),
        ({}, Features(1, logprobs=True), "no_logprobs", "asks for log probabilities"),
        ({}, Features(1, document_files=2), "no_documents", "2 documents in the call"),
        (
            {"max_input_tokens": 10},
            Features(14),
            "window",
            "about 14 tokens in by estimate, takes 10",
        ),
        (
            {"context_window": 100},
            Features(60, max_output_tokens=53),
            "window",
            "about 60 tokens in by estimate and 53 out, window 100",
        ),
        ({}, Features(1, sensitivity="internal"), "boundary", "at most to own-network"),
        ({}, Features(1, sensitivity="private"), "boundary", "at most to machine"),
    ],
)
def test_a_candidate_is_dropped_with_a_code_and_the_numbers(
    more: dict[str, Any], wanted: Features, code: str, detail: str
) -> None:
    plan = plan_for(small(**more), features=wanted)
    assert plan.routes == ()
    assert reasons(plan) == [("p/m", code)]
    assert detail in plan.dropped[0].detail


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"retires_on": TODAY + timedelta(1)}, PLAIN),
        ({"capabilities": ABLE}, Features(1, images=1, tools=1, output_schema=True)),
        ({"max_input_tokens": 10}, Features(10)),
        ({"context_window": 100}, Features(60, max_output_tokens=40)),
        ({}, Features(10**9)),
    ],
)
def test_what_just_fits_may_serve(more: dict[str, Any], wanted: Features) -> None:
    assert route_ids(plan_for(small(**more), features=wanted)) == ["p/m"]


@pytest.mark.parametrize(
    ("boundary", "sensitivity", "served"),
    [
        ("machine", "private", True),
        ("machine", "public", True),
        ("own-network", "internal", True),
        ("own-network", "private", False),
        ("vendor", "public", True),
        ("vendor", "internal", False),
    ],
)
def test_how_far_a_call_may_go(boundary: Boundary, sensitivity: Any, *, served: bool) -> None:
    plan = plan_for(small(boundary), features=Features(1, sensitivity=sensitivity))
    assert bool(plan.routes) is served


def test_a_provider_that_cannot_be_called_is_named() -> None:
    plan = plan_for(small(), providers=())
    assert reasons(plan) == [("p/m", "provider_not_configured")]
    assert "p" in plan.dropped[0].detail


def test_a_retirement_counts_from_the_day_of_the_decision() -> None:
    known = small(retires_on=TODAY + timedelta(1))
    midnight = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    assert plan_for(known, snapshot=Snapshot(now=midnight - 1)).routes
    assert reasons(plan_for(known, snapshot=Snapshot(now=midnight))) == [("p/m", "retired")]


def test_at_most_three_routes_and_the_rest_is_named() -> None:
    names = ("a", "b", "c", "d")
    known = directory(
        [provider(name) for name in names], [model("m")], [deployment(name, "m") for name in names]
    )
    plan = plan_for(known)
    assert route_ids(plan) == ["a/m", "b/m", "c/m"]
    assert reasons(plan) == [("d/m", "beyond_three")]


def test_a_backup_is_degraded_and_says_of_what() -> None:
    known = directory(
        [provider("a"), provider("b")],
        [model("m", backup="n"), model("n")],
        [deployment("a", "m"), deployment("b", "n")],
    )
    plan = plan_for(known)
    assert [(r.deployment, r.degraded) for r in plan.routes] == [
        ("a/m", None),
        ("b/n", "backup of m"),
    ]
    assert plan.rule == "model m"


def classes_and_shortcut() -> Directory:
    return directory(
        [provider("a"), provider("b")],
        [model("m"), model("n"), model("o")],
        [deployment("a", "m"), deployment("a", "n"), deployment("b", "n"), deployment("b", "o")],
        [
            ModelClass(name="flagship", description="", candidates=("m", "n"), degraded="fast"),
            ModelClass(name="fast", description="", candidates=("n", "o"), degraded=FAIL),
        ],
        [Shortcut(name="smart", description="", model_class="flagship")],
    )


def test_a_class_goes_to_its_degraded_path_when_its_own_candidates_are_used_up() -> None:
    plan = plan_for(classes_and_shortcut(), "smart")
    assert [(r.deployment, r.degraded) for r in plan.routes] == [
        ("a/m", None),
        ("b/n", None),
        ("a/n", None),
    ]
    assert reasons(plan) == []
    assert (plan.rule, plan.model_class) == ("shortcut smart", "flagship")
    only_b = plan_for(classes_and_shortcut(), "smart", providers={"b"})
    assert [(r.deployment, r.degraded) for r in only_b.routes] == [
        ("b/n", None),
        ("b/o", "class fast in place of smart"),
    ]


def test_a_candidate_of_two_classes_is_judged_once() -> None:
    wanted = Features(1, sensitivity="private")
    plan = plan_for(classes_and_shortcut(), "smart", wanted)
    assert sorted(item.deployment for item in plan.dropped) == ["a/m", "a/n", "b/n", "b/o"]


def test_a_shortcut_can_keep_text_nearer_than_the_call_asks() -> None:
    known = directory(
        [provider("far"), provider("near", "machine")],
        [model("m")],
        [deployment("far", "m"), deployment("near", "m")],
        shortcuts=[Shortcut(name="kept", description="", candidates=("m",), boundary="machine")],
    )
    assert route_ids(plan_for(known, "kept")) == ["near/m"]
    assert reasons(plan_for(known, "kept")) == [("far/m", "boundary")]


def test_an_unknown_target_lists_what_resembles_it() -> None:
    known = classes_and_shortcut()
    with pytest.raises(CallRefused) as caught:
        resolve(known, "smrt")
    info = caught.value.info
    assert info.code == "unknown_target"
    assert info.details == {"near_matches": ["smart"]}
    assert "'smrt'; did you mean smart?" in info.message


def test_nothing_resembles_a_stranger_and_long_names_are_cut() -> None:
    with pytest.raises(CallRefused) as caught:
        resolve(classes_and_shortcut(), "?" * 1_000_000)
    info = caught.value.info
    assert info.details == {"near_matches": []}
    assert "did you mean" not in info.message
    assert len(info.message) < 300


def test_a_refusal_names_the_codes_most_frequent_first() -> None:
    known = directory(
        [provider("a"), provider("b"), provider("c")],
        [model("m"), model("old", retires_on=TODAY)],
        [deployment(name, "m") for name in "abc"] + [deployment("a", "old")],
        shortcuts=[Shortcut(name="job", description="", candidates=("old", "m"), degraded=FAIL)],
    )
    plan = plan_for(known, "job", Features(5, tools=2))
    info = refusal(plan, NOW)
    assert (info.code, info.blame) == ("invalid_request", "caller")
    assert info.details == {"codes": {"no_tools": 3, "retired": 1}}
    assert list(info.details["codes"]) == ["no_tools", "retired"]
    assert "'job'" in info.message
    for name in ("a/m", "b/m", "c/m", "a/old"):
        assert name in info.message


def test_a_named_model_that_cannot_see_leaves_pictures_to_nobody() -> None:
    known = directory(
        [provider("a"), provider("b")],
        [model("blind", backup="seeing"), model("seeing", capabilities=Capabilities(vision=True))],
        [deployment("a", "blind"), deployment("b", "seeing")],
    )
    plan = plan_for(known, "blind", Features(5, images=1))
    assert plan.routes == ()
    assert [item.code for item in plan.dropped] == ["no_vision"]
    assert refusal(plan, NOW).blame == "caller"
    away = plan_for(known, "blind", Features(5, images=1), providers={"b"})
    assert route_ids(away) == ["b/seeing"]


def test_a_refusal_lists_few_of_many() -> None:
    names = [f"p{number}" for number in range(9)]
    known = directory(
        [provider(name) for name in names], [model("m")], [deployment(name, "m") for name in names]
    )
    info = refusal(plan_for(known, features=Features(1, tools=1)), NOW)
    assert info.details == {"codes": {"no_tools": 9}}
    assert "p2/m" in info.message
    assert "p3/m" not in info.message
    assert info.message.endswith("...")


def test_a_model_that_nobody_serves_says_so() -> None:
    known = directory([provider("p")], [model("m")], [])
    info = refusal(plan_for(known), NOW)
    assert info.message.endswith("it has no deployments here")


# --- where all are unhealthy ---------------------------------------------------------------------

SHARED = directory(
    [provider("a"), provider("b"), provider("c")],
    [model("m")],
    [deployment("a", "m"), deployment("b", "m"), deployment("c", "m")],
)


def plan_with(unhealthy: dict[str, str], seconds: dict[str, float], known: Directory) -> Plan:
    state = structs.replace(NOW, unhealthy=unhealthy, unhealthy_seconds=seconds)
    return plan_call(book(known), "m", PLAIN, Caller(), state)


def test_where_all_are_unhealthy_the_one_that_is_well_again_first_is_tried() -> None:
    made = plan_with(
        dict.fromkeys("abc", "3 failures in a row"), {"a": 9.0, "b": 2.5, "c": 2.5}, SHARED
    )
    (route,) = made.routes
    assert (route.deployment, route.code, route.detail) == (
        "b/m",
        "least_bad",
        "b: 3 failures in a row",
    )
    assert [(item.deployment, item.code) for item in made.dropped] == [
        ("a/m", "unhealthy"),
        ("c/m", "unhealthy"),
    ]


def test_what_was_tripped_by_hand_is_not_the_last_resort() -> None:
    unhealthy = {"a": "tripped by hand", "b/m": "tripped by hand", "b": "down", "c": "down"}
    made = plan_with(unhealthy, {"b": 1.0, "c": 5.0}, SHARED)
    assert route_ids(made) == ["c/m"]
    made = plan_with(unhealthy, {"b": 1.0}, SHARED)
    assert route_ids(made) == []
    assert {item.code for item in made.dropped} == {"unhealthy"}


def test_the_last_resort_needs_money_too() -> None:
    state = structs.replace(
        NOW, unhealthy={"a": "down", "b": "down", "c": "down"}, unhealthy_seconds={"a": 1.0}
    )
    wanted = structs.replace(PLAIN, max_nanodollars=0)
    made = plan_call(book(SHARED), "m", wanted, Caller(), state)
    assert route_ids(made) == []
    assert {item.code for item in made.dropped} == {"unhealthy", "unknown_price"}


# --- where the estimate says that no window is wide enough ----------------------------------------


def test_a_prompt_that_an_estimate_may_count_too_high_is_tried_where_it_may_fit() -> None:
    known = directory(
        [provider("p"), provider("q")],
        [
            model("narrow", context_window=90),
            model("wide", context_window=100),
            model("x", context_window=79),
        ],
        [deployment("p", "narrow"), deployment("q", "wide"), deployment("p", "x")],
        classes=[
            ModelClass(
                name="c",
                description="",
                candidates=("narrow", "wide", "x"),
                degraded=FAIL,
            )
        ],
    )
    made = plan_for(known, "c", Features(100, max_output_tokens=0))
    assert [(route.deployment, route.code) for route in made.routes] == [("q/wide", "order")]
    made = plan_for(known, "c", Features(101))
    (route,) = made.routes
    assert (route.deployment, route.code, route.detail) == (
        "q/wide",
        "tight_window",
        "about 101 tokens in by estimate and 0 out, window 100",
    )
    assert {item.code for item in made.dropped} == {"window"}
    assert route_ids(plan_for(known, "c", Features(126))) == ["q/wide"]
    assert route_ids(plan_for(known, "c", Features(127))) == []
    # Nor where something else speaks against it as well.
    unwell = structs.replace(NOW, unhealthy={"q": "tripped by hand"})
    assert route_ids(plan_for(known, "c", Features(110), unwell)) == ["p/narrow"]


def test_texts_to_embed_are_not_tried_where_they_may_be_cut_without_a_word() -> None:
    known = small(context_window=100, kind="embedding")
    wanted = Features(1_000, longest_text=100, texts=9, kind="embedding", max_output_tokens=0)
    assert route_ids(plan_for(known, features=wanted)) == ["p/m"]
    longer = structs.replace(wanted, longest_text=101)
    assert route_ids(plan_for(known, features=longer)) == []


def test_an_answer_beside_a_tight_prompt_is_not_limited_to_one_token() -> None:
    known = small(context_window=10_000, max_output_tokens=9_000)
    room = BudgetRoom("b", "all", "tokens", 10**9, 0, 0, 10**9, 86_400.0)
    state = structs.replace(NOW, rooms=(room,))
    wanted = Features(11_000, input_tokens_bound=40_000)
    (route,) = plan_for(known, features=wanted, snapshot=state).routes
    assert route.code == "tight_window"
    assert route.max_output_tokens == 10_000 - 8_800


# --- where some only rest by our own reckoning ---------------------------------------------------


def resting(unhealthy: dict[str, float], *last_resorts: str) -> Snapshot:
    """Return a state in which these rest for so many seconds."""
    return structs.replace(
        NOW,
        unhealthy=dict.fromkeys(unhealthy, "it backs off"),
        unhealthy_seconds=unhealthy,
        last_resorts=last_resorts,
    )


def test_who_rests_by_our_own_reckoning_stays_the_last_route() -> None:
    made = plan_call(book(SHARED), "m", PLAIN, Caller(), resting({"a": 8.0}, "a"))
    assert [(route.deployment, route.code) for route in made.routes][-1] == ("a/m", "last_resort")
    assert route_ids(made) == ["b/m", "c/m", "a/m"]
    assert made.dropped == ()
    # Two of them: the one first that is well again first.
    made = plan_call(book(SHARED), "m", PLAIN, Caller(), resting({"a": 8.0, "b": 2.0}, "a", "b"))
    assert route_ids(made) == ["c/m", "b/m", "a/m"]


def test_who_named_a_time_is_left_alone_until_then() -> None:
    made = plan_call(book(SHARED), "m", PLAIN, Caller(), resting({"a": 8.0, "b": 2.0}, "b"))
    assert route_ids(made) == ["c/m", "b/m"]
    assert [(item.deployment, item.code) for item in made.dropped] == [("a/m", "unhealthy")]
    # Its provider rests by a guess, and itself because it was told to.
    made = plan_call(book(SHARED), "m", PLAIN, Caller(), resting({"a": 8.0, "a/m": 2.0}, "a"))
    assert route_ids(made) == ["b/m", "c/m"]


def test_the_third_route_at_one_provider_makes_room_for_one_that_rests_elsewhere() -> None:
    known = directory(
        [provider("a"), provider("b")],
        [model("m")],
        [
            *(structs.replace(deployment("a", "m"), id=f"a/m{number}") for number in range(3)),
            deployment("b", "m"),
        ],
    )
    made = plan_call(book(known), "m", PLAIN, Caller(), resting({"b": 1.0}, "b"))
    assert route_ids(made) == ["a/m0", "a/m1", "b/m"]
    assert [(item.deployment, item.code) for item in made.dropped] == [("a/m2", "one_provider")]


# --- three routes at one provider ----------------------------------------------------------------

ONE_SIDED = directory(
    [provider("a"), provider("b")],
    [model(name) for name in ("one", "two", "three", "four", "small", "tiny")],
    [
        *(deployment("a", name) for name in ("one", "two", "three", "four", "small")),
        deployment("b", "tiny"),
    ],
    [
        ModelClass(
            name="best",
            description="",
            candidates=("one", "two", "three", "four"),
            degraded="modest",
        ),
        ModelClass(name="modest", description="", candidates=("small", "tiny"), degraded=FAIL),
    ],
    [Shortcut(name="smart", description="", model_class="best")],
)


def test_the_last_of_three_routes_is_kept_for_another_provider() -> None:
    made = plan_call(book(ONE_SIDED), "smart", PLAIN, Caller(), NOW)
    assert route_ids(made) == ["a/one", "a/two", "b/tiny"]
    last = made.routes[-1]
    assert (last.code, last.degraded) == ("other_provider", "class modest in place of smart")
    assert {item.deployment: item.code for item in made.dropped} == {
        "a/three": "one_provider",
        "a/four": "beyond_three",
        "a/small": "beyond_three",
    }


def test_where_nobody_else_stands_in_all_routes_stay() -> None:
    without = structs.replace(NOW, unhealthy={"b": "down"})
    made = plan_call(book(ONE_SIDED), "smart", PLAIN, Caller(), without)
    assert route_ids(made) == ["a/one", "a/two", "a/three"]
    assert "b/tiny" in {item.deployment for item in made.dropped if item.code == "unhealthy"}


SEES = Capabilities(vision=True)
PDF = Features(1, documents=1, document_files=1)
LINKED = Features(1, documents=2, document_files=2, document_urls=1)


@pytest.mark.parametrize(
    ("carried", "able", "wanted", "detail"),
    [
        (None, SEES, PDF, "1 documents in the call that are not plain text"),
        ("url", Capabilities(), PDF, "1 documents in the call that are not plain text"),
        ("data", SEES, LINKED, "1 documents by URL; it takes those that are sent along"),
        ("data", SEES, PDF, None),
        ("url", SEES, LINKED, None),
        (None, Capabilities(), Features(1, documents=1), None),
    ],
)
def test_a_document_goes_where_wire_and_model_take_it(
    carried: Documents | None, able: Capabilities, wanted: Features, detail: str | None
) -> None:
    host = structs.replace(provider("p"), documents=carried)
    known = directory([host], [model("m", capabilities=able)], [deployment("p", "m")])
    plan = plan_for(known, features=wanted)
    if detail is None:
        assert route_ids(plan) == ["p/m"]
    else:
        assert [(item.code, item.detail) for item in plan.dropped] == [("no_documents", detail)]


@pytest.mark.parametrize(("rate", "fits"), [(None, True), (1100, True), (1377, False), (900, True)])
def test_a_prompt_is_compared_with_a_window_as_its_model_counts(
    rate: int | None, *, fits: bool
) -> None:
    rates = {} if rate is None else {"m": rate}
    seen = structs.replace(NOW, token_rates=rates)
    plan = plan_for(small(max_input_tokens=1_100), "m", Features(1_000), seen)
    assert route_ids(plan) == (["p/m"] if fits else [])
    assert reasons(plan) == ([] if fits else [("p/m", "window")])
