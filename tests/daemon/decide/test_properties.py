"""What holds of every plan, whatever directory, policies, rules, experiments and state are."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import Book, Policy, filled
from routerd.decide.money import Funds, _route
from routerd.decide.reasons import shorter
from routerd.domain import MAX_ROUTES, Caller, Dropped, Features, Plan, Snapshot
from routerd.models.directory import Resolution
from routerd.models.schema import Deployment
from tests.daemon.decide.known import TODAY
from tests.daemon.decide.worlds import World, asked, raised, worlds

# Reasons that say that money lacks. `near_cap` is none: it says that three cheaper ones come first,
# and raising a cap that stays nearly spent may let those in. Nor is `beyond_three`.
MONEY = frozenset({"budget", "unknown_price", "max_cost", "free_tier"})
MANY = settings(max_examples=150)


def policy_of(world: World, plan: Plan) -> Policy:
    return world.book().policies.by_name[plan.policy]


def resolution_of(world: World) -> Resolution:
    return world.book().choose(world.target, world.features, world.caller).resolution


@MANY
@given(worlds())
def test_a_call_stays_inside_its_boundary(world: World) -> None:
    plan = world.plan()
    policy = policy_of(world, plan)
    limit = resolution_of(world).boundary
    for route in plan.routes:
        boundary = world.directory.providers[route.provider].boundary
        if world.features.sensitivity == "private":
            assert boundary == "machine" or (
                boundary == "own-network" and route.provider in policy.private_reaches
            )
        elif world.features.sensitivity == "internal":
            assert boundary != "vendor" or route.provider in world.document.contracted
        if limit == "machine":
            assert boundary == "machine"
        elif limit == "own-network":
            assert boundary != "vendor"


@MANY
@given(worlds())
def test_a_route_can_do_what_is_needed_and_may_serve(world: World) -> None:
    plan, wanted, now = world.plan(), world.features, world.snapshot
    policy = policy_of(world, plan)
    names = [route.deployment for route in plan.routes]
    assert len(names) <= MAX_ROUTES
    assert len(set(names)) == len(names)
    region = wanted.region or policy.region
    tight = {route.deployment for route in plan.routes if route.code == "tight_window"}
    assert not tight or names == list(tight)
    for name in names:
        item = world.directory.deployments[name]
        can = item.capabilities
        assert can.vision or not wanted.images
        assert can.tools or not wanted.tools
        assert can.forced_tool_choice or not wanted.forced_tool
        assert can.json_schema or not wanted.output_schema
        assert can.prefill or not wanted.prefill
        carried = world.directory.providers[item.provider].documents
        assert not wanted.document_files or (carried is not None and can.vision)
        assert not wanted.document_urls or (carried == "url" and can.vision)
        assert item.kind == wanted.kind
        tokens = shorter(wanted.input_tokens) if name in tight else wanted.input_tokens
        assert item.max_input_tokens is None or item.max_input_tokens >= tokens
        out = wanted.max_output_tokens or 0
        assert item.context_window is None or item.context_window >= tokens + out
        assert item.retires_on is None or item.retires_on > TODAY
        assert item.provider in world.document.providers
        assert item.pinned != "moving" or policy.moving_aliases
        assert policy.without.isdisjoint((item.id, item.model, item.provider))
        assert region is None or f"{item.region}-".startswith(f"{region}-")
        assert name not in now.gone


@MANY
@given(worlds())
def test_what_is_unhealthy_is_tried_last_or_where_nothing_else_serves(world: World) -> None:
    plan, now = world.plan(), world.snapshot
    codes = [route.code for route in plan.routes]
    for route in plan.routes:
        against = now.unhealthy.keys() & {route.deployment, route.provider}
        if route.code == "least_bad":
            assert len(codes) == 1
            assert against
            assert against <= now.unhealthy_seconds.keys()
        elif route.code == "last_resort":
            assert against
            assert against <= set(now.last_resorts) & now.unhealthy_seconds.keys()
        else:
            assert not against
    assert sorted(codes, key=lambda code: code == "last_resort") == codes
    assert codes[:1] != ["last_resort"]


@MANY
@given(worlds(), st.lists(asked(), max_size=3))
def test_the_same_inputs_give_the_same_plan(
    world: World, before: list[tuple[str, Features, Caller, Snapshot]]
) -> None:
    plan = world.plan()
    assert world.plan(Book(world.directory, world.document)) == plan
    book = world.book()
    for call in before:
        World(world.directory, world.document, *call).plan(book)
    assert world.plan(book) == plan
    assert world.plan(book) == plan


def members(world: World, resolution: Resolution) -> tuple[Deployment, ...]:
    """Return all that a name may stand for, what a rule for choosing leaves out included."""
    shortcut = world.directory.shortcuts.get(resolution.name)
    if resolution.kind != "shortcut" or shortcut is None or shortcut.choose is None:
        return resolution.candidates
    found = {item.id: item for item in resolution.candidates}
    for name in shortcut.choose.classes:
        for model in world.directory.classes[name].candidates:
            found |= {item.id: item for item in world.directory.deployments_of(model)}
    return tuple(found.values())


def leads_to(world: World, deployments: tuple[Deployment, ...]) -> set[str]:
    """Return deployments, and those of whatever replaces their models."""
    found = {item.id for item in deployments}
    waiting, seen = [item.model for item in deployments], set()
    while waiting:
        name = world.directory.models[waiting.pop()].replacement
        if name is not None and name not in seen:
            seen.add(name)
            waiting.append(name)
            found |= {item.id for item in world.directory.deployments_of(name)}
    return found


@MANY
@given(worlds())
def test_every_candidate_is_a_route_or_dropped_with_a_reason(world: World) -> None:
    plan, resolution = world.plan(), resolution_of(world)
    listed = [item.deployment for item in plan.routes]
    listed += [item.deployment for item in plan.dropped]
    assert len(set(listed)) == len(listed)
    for item in plan.dropped:
        assert item.code
        assert item.detail
    for route in plan.routes:
        assert route.code
    asked_for = members(world, resolution)
    steps = [asked_for, resolution.backups]
    steps += [step.candidates for step in resolution.degraded]
    # What was asked for is always looked at, and a step all or not at all.
    earlier: set[str] = set()
    for number, step in enumerate(steps):
        own = {item.id for item in step} - earlier
        if number == 0 or own & set(listed):
            assert own <= set(listed)
        earlier |= leads_to(world, step)
    assert set(listed) <= earlier
    may_stop = len(plan.routes) == MAX_ROUTES or resolution.kind in ("model", "deployment")
    assert may_stop or {item.id for step in steps for item in step} <= set(listed)


@MANY
@given(worlds(), st.sampled_from([1, 1_000, 10_000_000, 10**12]))
def test_more_budget_never_adds_a_money_reason(world: World, by: int) -> None:
    assume(world.snapshot.rooms)
    poor = world.plan()
    rich = world._replace(snapshot=raised(world.snapshot, by)).plan()
    assert lacking(rich) <= lacking(poor)


@MANY
@given(worlds(), st.integers(0, 2), st.sampled_from([1, 1_000, 10_000_000, 10**12]))
def test_more_of_one_budget_never_adds_a_money_reason(world: World, index: int, by: int) -> None:
    rooms = world.snapshot.rooms
    assume(index < len(rooms))
    more = structs.replace(rooms[index], limit=rooms[index].limit + by)
    snapshot = structs.replace(world.snapshot, rooms=(*rooms[:index], more, *rooms[index + 1 :]))
    assert lacking(world._replace(snapshot=snapshot).plan()) <= lacking(world.plan())


def lacking(plan: Plan) -> set[str]:
    """Return the candidates that money keeps from serving."""
    return {item.deployment for item in plan.dropped if item.code in MONEY}


@MANY
@given(worlds())
def test_the_plain_way_to_the_terms_of_a_candidate_is_the_careful_one(world: World) -> None:
    """One takes a fifth of the time of the other, and must say the same where it says anything."""
    book = world.book()
    choice = book.choose(world.target, world.features, world.caller)
    features = filled(world.features, choice.defaults)
    snapshot = structs.replace(world.snapshot, free=(), surcharges={})
    rooms = tuple(room for room in snapshot.rooms if not (room.provider or room.model))
    funds = Funds(features, structs.replace(snapshot, rooms=rooms), book.budgeting)
    for group in book.prepared(choice, features, snapshot).groups:
        for item in group.candidates:
            if item.candidate.rates is not None:
                plain = funds.plain_routes([item])
                careful = funds._careful_terms(item.candidate)
                if plain:
                    assert not isinstance(careful, Dropped)
                    assert plain == [_route(item, careful, "")]
                elif not rooms and features.max_nanodollars is None:
                    assert features.input_tokens_bound is None or item.candidate.rates_until < 2**62
