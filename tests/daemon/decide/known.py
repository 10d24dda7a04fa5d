"""Directories to decide by: small ones by hand, and arbitrary ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from routerd.decide import Book, PolicyDocument, plan_call
from routerd.decide.reasons import INCAPABLE
from routerd.domain import MAX_ROUTES, Boundary, Caller, Capabilities, Features, Plan, Snapshot
from routerd.models.directory import BOUNDARIES, Directory, Resolution
from routerd.models.entries import Entries
from routerd.models.pricing import Price
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
# Nanodollars for a million tokens.
DOLLAR = 1_000_000_000
DEAR = Price(source="test", input=10 * DOLLAR, output=50 * DOLLAR)
CHEAP = Price(source="test", input=DOLLAR, output=2 * DOLLAR)
FREE = Price(source="test", input=0, output=0)


def provider(name: str, boundary: Boundary = "vendor") -> Provider:
    return Provider(id=name, adapter="openai", base_url="https://host/v1", boundary=boundary)


def model(name: str, **more: Any) -> Model:
    known: dict[str, Any] = {"vendor": "v", "model_class": "fast", "pinned": "dated"}
    return Model(id=name, source="test", **known | more)


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


NOBODY = Caller()


def book(known: Directory, providers: Iterable[str] | None = None, **more: Any) -> Book:
    """Policies for a directory whose providers, or those named, can be called."""
    callable_ones = known.providers if providers is None else providers
    return Book(known, PolicyDocument(providers=tuple(callable_ones), **more))


def plan_for(
    known: Directory,
    target: str = "m",
    features: Features = PLAIN,
    snapshot: Snapshot = NOW,
    providers: Iterable[str] | None = None,
    **more: Any,
) -> Plan:
    return plan_call(book(known, providers, **more), target, features, NOBODY, snapshot)


def route_ids(plan: Plan) -> list[str]:
    return [route.deployment for route in plan.routes]


def reasons(plan: Plan) -> list[tuple[str, str]]:
    return [(item.deployment, item.code) for item in plan.dropped]


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
    return known, known.resolve(target), draw(configured), draw(features)


def candidates_of(resolution: Resolution, plan: Plan) -> dict[str, str | None]:
    """Return every candidate the plan had to look at with why it would be degraded, in order.

    Once three routes are found, nobody looks at what stands in for them; nor where a model asked
    for by name cannot do what the call asks.
    """
    found: dict[str, str | None] = {}
    refused = {item.deployment: item.code for item in plan.dropped}
    steps = [(resolution.candidates, None), (resolution.backups, f"backup of {resolution.name}")]
    steps += [
        (step.candidates, f"class {step.model_class} in place of {resolution.name}")
        for step in resolution.degraded
    ]
    for candidates, degraded in steps:
        cannot = bool(found) and all(refused.get(name) in INCAPABLE for name in found)
        if cannot and resolution.kind in ("model", "deployment"):
            break
        if len(found.keys() & set(route_ids(plan))) < MAX_ROUTES:
            for item in candidates:
                found.setdefault(item.id, degraded)
    return found
