"""Arbitrary worlds to decide in: directory, policies, rules, experiments, state and call.

Rules of this file: names are few, so that what is drawn meets; whatever a configuration file may
say can be drawn, and some that `routerd check` would refuse.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple, get_args

from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import Book, PolicyDocument, plan_call
from routerd.domain import BudgetRoom, Caller, Features, FreeQuota, Plan, Script, Snapshot
from routerd.models.directory import BOUNDARIES, Directory
from routerd.models.pricing import Price
from routerd.models.schema import (
    FAIL,
    ByComplexity,
    Choice,
    ModelClass,
    Score,
    Scores,
    Shortcut,
    Speed,
)
from routerd.settings import (
    Arm,
    Budgeting,
    Experiment,
    PolicySettings,
    Rule,
    Shadow,
)
from tests.daemon.decide.known import (
    CLASS_NAMES,
    DOLLAR,
    MODEL_NAMES,
    NOW,
    PROVIDER_NAMES,
    TODAY,
    capabilities,
    deployment,
    directory,
    model,
    provider,
    some_models,
    windows,
)

__all__ = ["World", "asked", "raised", "worlds"]

PRICES = (
    None,
    Price(source="test", input=0, output=0),
    Price(source="test", input=DOLLAR, output=2 * DOLLAR),
    Price(source="test", input=10 * DOLLAR, output=50 * DOLLAR),
    Price(source="test", input=None, output=DOLLAR),
)
TARGETS = ("auto", "smart", "mine", "chosen", "chosen", *CLASS_NAMES, *MODEL_NAMES)
DEPLOYMENTS = tuple(f"{host}/{name}" for host in PROVIDER_NAMES for name in MODEL_NAMES)
CALLERS = (Caller(), Caller("acme"), Caller("acme", "core", "bot", "ann"), Caller("beta"))

targets = st.sampled_from(TARGETS)
callers = st.sampled_from(CALLERS)
regions = st.sampled_from([None, None, None, "eu", "eu-west-1", "us"])


class World(NamedTuple):
    """All that one decision depends on."""

    directory: Directory
    document: PolicyDocument
    target: str
    features: Features
    caller: Caller
    snapshot: Snapshot

    def book(self) -> Book:
        return Book(self.directory, self.document)

    def plan(self, book: Book | None = None) -> Plan:
        made = book if book is not None else self.book()
        return plan_call(made, self.target, self.features, self.caller, self.snapshot)


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw what is usual more often than all else."""
    return st.sampled_from([usual] * (2 * len(others)) + list(others))


def score(value: float) -> Score:
    return Score(value=value, benchmark="b", version="1", confidence=0.9, method="direct")


dimensions = st.sampled_from(["reasoning", "coding"])
scores_drawn = st.dictionaries(dimensions, st.sampled_from([20.0, 55.0, 90.0]).map(score)).map(
    lambda values: Scores(**values)
)
choices = st.builds(
    Choice,
    classes=st.lists(st.sampled_from(CLASS_NAMES), unique=True, min_size=1).map(tuple),
    weights=st.dictionaries(dimensions, st.sampled_from([1.0, 3.0])),
    least=st.dictionaries(dimensions, st.sampled_from([30.0, 60.0])),
    price_weight=st.sampled_from([0.0, 2.0]),
    most_output_dollars=st.sampled_from([None, None, 1.0, 5.0]),
    needs=mostly((), ("tools",), ("vision", "json_schema")),
    least_context_tokens=st.sampled_from([None, None, 500]),
)
models_drawn = st.fixed_dictionaries(
    {
        "kind": mostly("chat", "embedding"),
        "model_class": st.sampled_from(CLASS_NAMES),
        "scores": scores_drawn,
        "pinned": mostly("dated", "moving"),
        "capabilities": capabilities,
        "context_window": windows,
        "max_input_tokens": windows,
        "max_output_tokens": windows,
        "retires_on": mostly(None, TODAY - timedelta(1), TODAY, TODAY + timedelta(1)),
        "replacement": st.sampled_from([None, *MODEL_NAMES]),
        "backup": st.sampled_from([None, *MODEL_NAMES]),
        "secondary_backup": st.sampled_from([None, None, *MODEL_NAMES]),
    }
)
deployments_drawn = st.fixed_dictionaries(
    {
        "price": st.sampled_from(PRICES),
        "region": regions,
        "weight": st.sampled_from([1, 1, 5]),
        "speed": mostly(None, Speed(first_token_seconds=0.5, source="test", confidence=1)),
    }
)
limits = mostly(None, *BOUNDARIES)
degraded_paths = st.sampled_from([*CLASS_NAMES, FAIL])
boundaries = st.sampled_from(BOUNDARIES)
carried = st.sampled_from([None, "data", "url"])
served = st.dictionaries(st.sampled_from(DEPLOYMENTS), deployments_drawn, min_size=1, max_size=8)


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    classes = [
        ModelClass(name=name, description="", candidates=draw(some_models), degraded=following)
        for name, following in zip(CLASS_NAMES, ("fast", FAIL), strict=True)
    ]
    shortcuts = [
        Shortcut(name="smart", description="", model_class="flagship", boundary=draw(limits)),
        Shortcut(
            name="mine",
            description="",
            candidates=draw(some_models),
            degraded=draw(degraded_paths),
            boundary=draw(limits),
        ),
        Shortcut(
            name="chosen",
            description="",
            choose=draw(choices),
            degraded=draw(degraded_paths),
            boundary=draw(limits),
        ),
        Shortcut(
            name="auto",
            description="",
            by_complexity=ByComplexity(simple="fast", medium="mine", complex="smart"),
        ),
    ]
    return directory(
        [
            structs.replace(provider(name, draw(boundaries)), documents=draw(carried))
            for name in PROVIDER_NAMES
        ],
        [model(name, **draw(models_drawn)) for name in MODEL_NAMES],
        [deployment(*name.split("/"), **more) for name, more in draw(served).items()],
        classes,
        shortcuts,
    )


def policies(**members: list[str]) -> st.SearchStrategy[PolicySettings]:
    hosts = st.lists(st.sampled_from(PROVIDER_NAMES), unique=True, max_size=2)
    criteria = ["headroom", "weights", "price", "latency", "in_flight"]
    return st.builds(
        PolicySettings,
        classes=st.none() | st.lists(st.sampled_from(CLASS_NAMES)),
        models=st.none() | st.lists(st.sampled_from(MODEL_NAMES)),
        without=st.none() | st.lists(st.sampled_from([*MODEL_NAMES, *DEPLOYMENTS]), max_size=2),
        shortcuts=st.none() | st.dictionaries(targets, targets, max_size=1),
        moving_aliases=st.sampled_from([None, True, False]),
        private_reaches=st.none() | hosts,
        region=regions,
        interactive_ms=st.sampled_from([None, 100]),
        prefer=st.sampled_from([None, "order", "price", "latency"]),
        balance=st.none() | st.permutations(criteria),
        soft_percent=st.sampled_from([None, None, 10.0, 100.0]),
        near_cap=st.sampled_from([None, "same"]),
        at_cap=st.sampled_from([None, "free", "refuse"]),
        **{name: st.just(value) for name, value in members.items()},
    )


arms = st.builds(Arm, weight=st.integers(0, 2), use=st.none() | targets)
rules = st.builds(
    Rule,
    targets=st.lists(targets, max_size=2),
    flags=st.sampled_from([[], ["odd"]]),
    words=st.sampled_from([[], ["prove"]]),
    tools=st.sampled_from([None, None, True]),
    complexity=st.sampled_from([None, "simple", "complex"]),
    use=st.none() | targets,
)
documents = st.builds(
    PolicyDocument,
    providers=st.sets(st.sampled_from(PROVIDER_NAMES), min_size=1).map(tuple),
    contracted=st.sets(st.sampled_from(PROVIDER_NAMES)).map(tuple),
    budgeting=st.builds(
        Budgeting,
        unknown_price=st.sampled_from(["refuse", "allow"]),
        least_output_tokens=st.sampled_from([None, 1, 300]),
        output_tokens=st.sampled_from([500, 16_384]),
    ),
    rules=st.dictionaries(st.sampled_from(["first", "second"]), rules, max_size=2),
    policies=st.fixed_dictionaries(
        {}, optional={"default": policies(), "acme": policies(tenants=["acme"])}
    ),
    experiments=st.dictionaries(
        st.just("trial"),
        st.builds(
            Experiment,
            target=targets,
            sticky=st.sampled_from(["tenant", "user", "session", "call"]),
            arms=st.dictionaries(st.sampled_from(["a", "b"]), arms, max_size=2),
        ),
    ),
    shadows=st.dictionaries(
        st.just("copy"),
        st.builds(
            Shadow, target=targets, use=targets, percent=st.just(50.0), daily_dollars=st.just("1")
        ),
    ),
)

features = st.builds(
    Features,
    input_tokens=st.sampled_from([1, 49, 60, 999, 5_000]),
    images=mostly(0, 1),
    tools=mostly(0, 1),
    forced_tool=mostly(False, True),
    output_schema=mostly(False, True),
    prefill=mostly(False, True),
    logprobs=mostly(False, True),
    script=st.sampled_from(get_args(Script)),
    max_output_tokens=st.sampled_from([None, 1, 500]),
    sensitivity=st.sampled_from(["public", "public", "internal", "private"]),
    input_tokens_bound=st.sampled_from([None, 6_000]),
    text_rules=st.dictionaries(st.sampled_from(["first", "second"]), st.booleans()),
    document_files=mostly(0, 1),
    document_urls=mostly(0, 1),
    kind=mostly("chat", "embedding"),
    critical=st.booleans(),
    latency=st.sampled_from([None, "interactive", "batch", 200]),
    region=regions,
    session=st.sampled_from([None, "s"]),
    max_nanodollars=st.sampled_from([None, None, 0, 5_000_000, DOLLAR]),
    flags=st.sampled_from([(), ("odd",)]),
    policy=mostly(None, "acme", "of yesterday"),
)


def room(unit: Any, parts: tuple[int, int], whose: tuple[str | None, str | None], **of: Any) -> Any:
    """Make one cap; `parts` are tenths of it that are spent and held."""
    limit = of["limit"] if unit != "calls" else of["limit"] % 7
    spent, held = (limit * part // 10 for part in parts)
    return BudgetRoom(
        of["budget"], "all calls", unit, limit, spent, held, limit * 8 // 10, NOW.now + 60, *whose
    )


rooms = st.builds(
    room,
    unit=mostly("nanodollars", "calls", "tokens"),
    parts=st.sampled_from([(0, 0), (5, 0), (5, 4), (9, 0), (9, 1), (10, 0), (11, 0)]),
    whose=mostly((None, None), ("north", None), (None, "one")),
    limit=st.sampled_from([0, 1_000, 9_000_000, 90_000_000, DOLLAR]),
    budget=st.sampled_from(["team", "all"]),
)
names = st.sampled_from(DEPLOYMENTS)
quotas = st.builds(
    FreeQuota,
    deployment=names,
    key=st.just("k"),
    calls_left=st.sampled_from([None, 0, 5]),
    tokens_left=st.sampled_from([None, 0, 10**6]),
    resets_at=st.just(NOW.now + 60),
    exhausted_means=st.sampled_from(["paid", "refused"]),
)
snapshots = st.builds(
    Snapshot,
    now=st.just(NOW.now),
    rooms=st.lists(rooms, max_size=3).map(tuple),
    free=st.lists(quotas, max_size=2).map(tuple),
    surcharges=st.dictionaries(names, st.sampled_from([1000, 1500]), max_size=2),
    latency_ms=st.dictionaries(names, st.sampled_from([50, 150, 5_000])),
    in_flight=st.dictionaries(names, st.integers(0, 3)),
    headroom=st.dictionaries(names, st.sampled_from([0, 99, 100, 1000]), max_size=3),
    unhealthy=st.dictionaries(
        st.sampled_from([*PROVIDER_NAMES, *DEPLOYMENTS]), st.just("its breaker is open"), max_size=3
    ),
    unhealthy_seconds=st.dictionaries(
        st.sampled_from([*PROVIDER_NAMES, *DEPLOYMENTS]), st.sampled_from([0.0, 2.5, 10.0])
    ),
    last_resorts=st.lists(
        st.sampled_from([*PROVIDER_NAMES, *DEPLOYMENTS]), max_size=4, unique=True
    ).map(tuple),
    token_rates=st.dictionaries(st.sampled_from(MODEL_NAMES), st.sampled_from([500, 1600])),
    gone=st.dictionaries(names, st.just("its provider does not have it: 404"), max_size=2),
    session_on=st.none() | names,
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    return World(draw(directories()), draw(documents), *draw(asked()))


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, Features, Caller, Snapshot]:
    """Draw one call, and the state it meets."""
    return draw(targets), draw(features), draw(callers), draw(snapshots)


def raised(snapshot: Snapshot, by: int) -> Snapshot:
    """Return a state with more budget everywhere, and nothing else different."""
    more = tuple(structs.replace(room, limit=room.limit + by) for room in snapshot.rooms)
    return structs.replace(snapshot, rooms=more)
