"""What holds of every plan, whatever the directory, the providers and the call."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.decide.reasons import shorter
from routerd.domain import MAX_ROUTES, Boundary, Features
from routerd.models.directory import BOUNDARIES, Directory, Resolution
from tests.daemon.decide.known import (
    PROVIDER_NAMES,
    TODAY,
    candidates_of,
    decisions,
    plan_for,
    route_ids,
)


@settings(max_examples=200)
@given(decisions())
def test_the_invariants_of_every_plan(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    plan = plan_for(known, resolution.name, wanted, providers=providers)
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
        tokens = wanted.input_tokens
        if route.code == "tight_window":
            tokens = shorter(tokens)
        assert item.max_input_tokens is None or item.max_input_tokens >= tokens
        out = wanted.max_output_tokens or 0
        assert item.context_window is None or item.context_window >= tokens + out
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
    for route in plan_for(known, resolution.name, wanted, providers=providers).routes:
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
    private = replace(wanted, sensitivity="private")
    for route in plan_for(after, resolution.name, private).routes:
        assert after.providers[route.provider].boundary == "machine"
    for item in after.deployments.values():
        assert item.boundary == after.providers[item.provider].boundary


@given(decisions())
def test_the_same_inputs_give_the_same_plan(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    plans = [plan_for(known, resolution.name, wanted, providers=providers) for _ in range(2)]
    assert plans[0] == plans[1]


@given(decisions())
def test_the_first_route_is_the_first_that_may_serve(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    plan = plan_for(known, resolution.name, wanted, providers=providers)
    refused = {item.deployment for item in plan.dropped if item.code != "beyond_three"}
    may_serve = [name for name in candidates_of(resolution, plan) if name not in refused]
    assert route_ids(plan)[:1] == may_serve[:1]
    assert len(plan.routes) == min(MAX_ROUTES, len(may_serve))


@given(decisions())
def test_the_second_route_is_at_another_provider_where_one_of_them_may_serve(
    decision: tuple[Directory, Resolution, set[str], Features],
) -> None:
    known, resolution, providers, wanted = decision
    plan = plan_for(known, resolution.name, wanted, providers=providers)
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
