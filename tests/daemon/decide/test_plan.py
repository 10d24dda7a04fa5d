"""The plan: where a call may go, in what order, and why not elsewhere."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.decide import make_plan, refusal, resolve
from routerd.domain import MAX_ROUTES, Boundary, Capabilities, Features, Plan, Snapshot
from routerd.errors import CallRefused
from routerd.models.directory import BOUNDARIES, Directory, Resolution
from routerd.models.entries import Entries
from routerd.models.schema import (
    FAIL,
    DeploymentEntry,
    Model,
    ModelClass,
    Provider,
    Shortcut,
)

TODAY = date(2026, 11, 20)
NOW = Snapshot(now=datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())
ABLE = Capabilities(vision=True, tools=True, forced_tool_choice=True, json_schema=True)
PLAIN = Features(100)


def provider(name: str, boundary: Boundary = "vendor") -> Provider:
    return Provider(id=name, adapter="openai", base_url="https://host/v1", boundary=boundary)


def model(name: str, **more: Any) -> Model:
    return Model(id=name, vendor="v", model_class="fast", pinned="dated", source="test", **more)


def deployment(provider_name: str, model_name: str, **more: Any) -> DeploymentEntry:
    name = f"{provider_name}/{model_name}"
    return DeploymentEntry(
        id=name, model=model_name, provider=provider_name, provider_model=model_name, **more
    )


def directory(
    providers: list[Provider],
    models: list[Model],
    deployments: list[DeploymentEntry],
    classes: list[ModelClass] | None = None,
    shortcuts: list[Shortcut] | None = None,
) -> Directory:
    return Directory(
        Entries(
            providers={item.id: item for item in providers},
            models={item.id: item for item in models},
            deployments={item.id: item for item in deployments},
            classes={item.name: item for item in classes or []},
            shortcuts={item.name: item for item in shortcuts or []},
        )
    )


def small(boundary: Boundary = "vendor", **more: Any) -> Directory:
    """One model at one provider."""
    return directory([provider("p", boundary)], [model("m", **more)], [deployment("p", "m")])


def plan_for(
    known: Directory, target: str = "m", features: Features = PLAIN, snapshot: Snapshot = NOW
) -> Plan:
    return make_plan(resolve(known, target), set(known.providers), features, snapshot)


def route_ids(plan: Plan) -> list[str]:
    return [route.deployment for route in plan.routes]


def reasons(plan: Plan) -> list[tuple[str, str]]:
    return [(item.deployment, item.code) for item in plan.dropped]


# --- arbitrary directories -----------------------------------------------------------------------

PROVIDER_NAMES = ("north", "south", "here")
MODEL_NAMES = ("one", "two", "three", "four")
CLASS_NAMES = ("flagship", "fast")

capabilities = st.builds(
    Capabilities,
    vision=st.booleans(),
    tools=st.booleans(),
    forced_tool_choice=st.booleans(),
    json_schema=st.booleans(),
    prefill=st.booleans(),
)
windows = st.none() | st.sampled_from([50, 1_000, 100_000])
dates = st.none() | st.sampled_from([TODAY - timedelta(1), TODAY, TODAY + timedelta(1)])
some_models = st.lists(st.sampled_from(MODEL_NAMES), unique=True, max_size=5).map(tuple)


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    models = [
        model(
            name,
            capabilities=draw(capabilities),
            context_window=draw(windows),
            max_input_tokens=draw(windows),
            retires_on=draw(dates),
            backup=draw(st.none() | st.sampled_from(MODEL_NAMES)),
            secondary_backup=draw(st.none() | st.sampled_from(MODEL_NAMES)),
        )
        for name in MODEL_NAMES
    ]
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(PROVIDER_NAMES), st.sampled_from(MODEL_NAMES)), unique=True
        )
    )
    deployments = [
        deployment(
            provider_name,
            model_name,
            capabilities=draw(st.none() | capabilities),
            context_window=draw(windows),
            retires_on=draw(dates),
        )
        for provider_name, model_name in pairs
    ]
    classes = [
        ModelClass(name=name, description="", candidates=draw(some_models), degraded=following)
        for name, following in zip(CLASS_NAMES, ("fast", FAIL), strict=True)
    ]
    boundaries = st.none() | st.sampled_from(BOUNDARIES)
    shortcuts = [
        Shortcut(name="smart", description="", model_class="flagship", boundary=draw(boundaries)),
        Shortcut(
            name="mine",
            description="",
            candidates=draw(some_models),
            degraded=draw(st.sampled_from([*CLASS_NAMES, FAIL])),
            boundary=draw(boundaries),
        ),
    ]
    providers = [provider(name, draw(st.sampled_from(BOUNDARIES))) for name in PROVIDER_NAMES]
    return directory(providers, models, deployments, classes, shortcuts)


features = st.builds(
    Features,
    input_tokens=st.sampled_from([1, 49, 60, 999, 5_000]),
    images=st.integers(0, 1),
    tools=st.integers(0, 1),
    forced_tool=st.booleans(),
    output_schema=st.booleans(),
    prefill=st.booleans(),
    max_output_tokens=st.none() | st.sampled_from([1, 500]),
    sensitivity=st.sampled_from(["public", "public", "internal", "private"]),
)
configured = st.sets(st.sampled_from(PROVIDER_NAMES))


@st.composite
def decisions(draw: st.DrawFn) -> tuple[Directory, Resolution, set[str], Features]:
    known = draw(directories())
    targets = [*known.shortcuts, *known.classes, *known.models, *known.deployments]
    target = draw(st.sampled_from(targets))
    return known, resolve(known, target), draw(configured), draw(features)


def candidates_of(resolution: Resolution, plan: Plan) -> dict[str, str | None]:
    """Return every candidate the plan had to look at with why it would be degraded, in order.

    Once three routes are found, nobody looks at what stands in for them.
    """
    found: dict[str, str | None] = {}
    steps = [(resolution.candidates, None), (resolution.backups, f"backup of {resolution.name}")]
    steps += [
        (step.candidates, f"class {step.model_class} in place of {resolution.name}")
        for step in resolution.degraded
    ]
    for candidates, degraded in steps:
        if len(found.keys() & set(route_ids(plan))) < MAX_ROUTES:
            for item in candidates:
                found.setdefault(item.id, degraded)
    return found


@settings(max_examples=200)
@given(decisions())
def test_the_invariants_of_every_plan(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    plan = make_plan(resolution, providers, wanted, NOW)
    routed = route_ids(plan)
    dropped = [item.deployment for item in plan.dropped]
    expected = candidates_of(resolution, plan)
    assert len(routed) <= MAX_ROUTES
    assert len(set(routed)) == len(routed)
    # Each candidate is in exactly one of the two, once.
    assert sorted(routed + dropped) == sorted(expected)
    assert all(item.code for item in plan.dropped)
    for route in plan.routes:
        item = known.deployments[route.deployment]
        assert (route.model, route.provider) == (item.model, item.provider)
        assert route.degraded == expected[route.deployment]
        assert route.provider in providers
        assert item.retires_on is None or item.retires_on > TODAY
        can = item.capabilities
        assert can.vision or not wanted.images
        assert can.tools or not wanted.tools
        assert can.forced_tool_choice or not wanted.forced_tool
        assert can.json_schema or not wanted.output_schema
        assert can.prefill or not wanted.prefill
        assert item.max_input_tokens is None or item.max_input_tokens >= wanted.input_tokens
        out = wanted.max_output_tokens or 0
        assert item.context_window is None or item.context_window >= wanted.input_tokens + out
    if any(item.code == "beyond_three" for item in plan.dropped):
        assert len(plan.routes) == MAX_ROUTES


@given(decisions())
def test_text_never_goes_beyond_what_the_call_and_the_shortcut_allow(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    allowed = {"public": 3, "internal": 2, "private": 1}[wanted.sensitivity]
    if resolution.boundary is not None:
        allowed = min(allowed, BOUNDARIES.index(resolution.boundary) + 1)
    for route in make_plan(resolution, providers, wanted, NOW).routes:
        own = known.providers[route.provider].boundary
        assert own in BOUNDARIES[:allowed]
        assert known.deployments[route.deployment].boundary == own


@given(decisions(), st.sampled_from(PROVIDER_NAMES), st.sampled_from(BOUNDARIES))
def test_a_private_call_follows_a_provider_that_moved(
    decision: tuple[Directory, Resolution, set[str], Features], moved: str, boundary: Boundary
) -> None:
    """A provider whose boundary the configuration changes takes its deployments with it."""
    known, resolution, _, wanted = decision
    after = known.with_provider(replace(known.providers[moved], boundary=boundary))
    again = after.resolve(resolution.name)
    private = replace(wanted, sensitivity="private")
    for route in make_plan(again, set(PROVIDER_NAMES), private, NOW).routes:
        assert after.providers[route.provider].boundary == "machine"
    for item in after.deployments.values():
        assert item.boundary == after.providers[item.provider].boundary


@given(decisions())
def test_the_same_inputs_give_the_same_plan(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    _, resolution, providers, wanted = decision
    plans = [make_plan(resolution, set(providers), wanted, NOW) for _ in range(2)]
    assert plans[0] == plans[1]


@given(decisions())
def test_the_first_route_is_the_first_that_may_serve(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    _, resolution, providers, wanted = decision
    plan = make_plan(resolution, providers, wanted, NOW)
    refused = {item.deployment for item in plan.dropped if item.code != "beyond_three"}
    may_serve = [name for name in candidates_of(resolution, plan) if name not in refused]
    assert route_ids(plan)[:1] == may_serve[:1]
    assert len(plan.routes) == min(MAX_ROUTES, len(may_serve))


@given(decisions())
def test_the_second_route_is_at_another_provider_where_one_of_them_may_serve(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    plan = make_plan(resolution, providers, wanted, NOW)
    if len(plan.routes) < 2:
        return
    expected = candidates_of(resolution, plan)
    refused = {item.deployment for item in plan.dropped if item.code != "beyond_three"}
    first, second = plan.routes[:2]
    alike = [
        known.deployments[name].provider
        for name, degraded in expected.items()
        if degraded == second.degraded and name not in refused and name != first.deployment
    ]
    assert second.provider != first.provider or set(alike) == {first.provider}


# --- one by one ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "wanted", "code", "detail"),
    [
        ({"retires_on": TODAY}, PLAIN, "retired", "on 2026-11-20"),
        ({}, Features(1, images=2), "no_vision", "2 images"),
        ({}, Features(1, tools=3), "no_tools", "3 tools"),
        ({}, Features(1, forced_tool=True), "no_forced_tool", "forces a tool"),
        ({}, Features(1, output_schema=True), "no_json_schema", "JSON schema"),
        ({}, Features(1, prefill=True), "no_prefill", "assistant's"),
        ({"max_input_tokens": 9}, Features(10), "window", "about 10 tokens in, takes 9"),
        (
            {"context_window": 100},
            Features(60, max_output_tokens=41),
            "window",
            "about 60 tokens in and 41 out, window 100",
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
    plan = make_plan(resolve(small(), "m"), set(), PLAIN, NOW)
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
    only_b = make_plan(resolve(classes_and_shortcut(), "smart"), {"b"}, PLAIN, NOW)
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
    info = refusal(plan)
    assert info.code == "no_candidates"
    assert info.details == {"codes": {"no_tools": 3, "retired": 1}}
    assert list(info.details["codes"]) == ["no_tools", "retired"]
    assert "'job'" in info.message
    for name in ("a/m", "b/m", "c/m", "a/old"):
        assert name in info.message


def test_a_refusal_lists_few_of_many() -> None:
    names = [f"p{number}" for number in range(9)]
    known = directory(
        [provider(name) for name in names], [model("m")], [deployment(name, "m") for name in names]
    )
    info = refusal(plan_for(known, features=Features(1, tools=1)))
    assert info.details == {"codes": {"no_tools": 9}}
    assert "p2/m" in info.message
    assert "p3/m" not in info.message
    assert info.message.endswith("...")


def test_a_model_that_nobody_serves_says_so() -> None:
    known = directory([provider("p")], [model("m")], [])
    info = refusal(plan_for(known))
    assert info.message.endswith("it has no deployments here")
