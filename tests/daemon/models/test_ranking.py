"""Which models a rule for choosing puts first, and what it says where something is not known."""

from __future__ import annotations

import time
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.domain import Boundary, Capabilities
from routerd.models import DIMENSIONS, Directory, Price, Score, Scores, load_directory
from routerd.models.directory import BOUNDARIES, Resolution
from routerd.models.entries import Entries
from routerd.models.ranking import blended
from routerd.models.schema import (
    FAIL,
    Choice,
    DeploymentEntry,
    Dimension,
    Model,
    ModelClass,
    Provider,
    Shortcut,
)

PACKAGED = load_directory()
DOLLAR = 1_000_000_000
CODING = Choice(classes=("fast",), weights={"coding": 1})


def scored(**values: float) -> Scores:
    return Scores(
        **{
            name: Score(value=value, benchmark="b", version="1", confidence=0.9, method="direct")
            for name, value in values.items()
        }
    )


def sold(name: str, dollars: float | None, *, of: str = "fast", **more: Any) -> tuple[Any, Any]:
    """A model that somebody sells, input and output at one price."""
    model = Model(
        id=name,
        vendor="v",
        model_class=of,
        pinned="dated",
        source="test",
        scores=more.pop("scores", Scores()),
        capabilities=more.pop("capabilities", Capabilities()),
        context_window=more.pop("context_window", 1000),
    )
    rate = None if dollars is None else round(dollars * DOLLAR)
    price = None if rate is None else Price(source="test", input=rate, output=rate)
    entry = DeploymentEntry(
        id=f"{more.pop('provider', 'acme')}/{name}",
        model=name,
        provider=more.pop("at", "acme"),
        provider_model=name,
        price=price,
        **more,
    )
    return model, entry


def directory(choice: Choice, *models: tuple[Any, Any]) -> Directory:
    address = "https://acme.example/v1"
    own = "http://127.0.0.1:1/v1"
    classes = {
        name: ModelClass(
            name=name,
            description="",
            candidates=tuple(model.id for model, _ in models if model.model_class == name),
            degraded=FAIL,
        )
        for name in ("fast", "flagship")
    }
    return Directory(
        Entries(
            providers={
                "acme": Provider(id="acme", adapter="openai", base_url=address, boundary="vendor"),
                "own": Provider(id="own", adapter="openai", base_url=own, boundary="machine"),
            },
            models={model.id: model for model, _ in models},
            deployments={entry.id: entry for _, entry in models},
            classes=classes,
            shortcuts={"job": Shortcut(name="job", description="", choose=choice)},
        )
    )


def order(choice: Choice, *models: tuple[Any, Any]) -> list[str]:
    return [item.model for item in directory(choice, *models).resolve("job").candidates]


def text(model: str, choice: Choice, *models: tuple[Any, Any]) -> str:
    return directory(choice, *models).resolve("job").ranks[f"acme/{model}"]


def test_the_weighted_mean_of_the_scores_decides() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 3, "math": 1})
    models = (
        sold("a", 1, scores=scored(coding=60, math=100)),
        sold("b", 1, scores=scored(coding=80, math=50)),
    )
    assert order(choice, *models) == ["b", "a"]
    assert text("b", choice, *models) == "score 72.5: coding 80.0, math 50.0"


def test_each_doubling_of_the_price_takes_points_off() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 1}, price_weight=2)
    models = (
        sold("dear", 4, scores=scored(coding=90)),
        sold("cheap", 1, scores=scored(coding=87)),
    )
    assert order(choice, *models) == ["cheap", "dear"]
    assert "13.3 off for $1.00 a million tokens" in text("cheap", choice, *models)
    assert "17.3 off for $4.00 a million tokens" in text("dear", choice, *models)


def test_a_price_is_three_parts_of_input_to_one_of_output() -> None:
    assert blended(Price(source="", input=1 * DOLLAR, output=5 * DOLLAR)) == 2 * DOLLAR
    assert blended(Price(source="", input=1 * DOLLAR)) is None
    assert blended(None) is None


def test_a_new_model_does_not_lose_by_silence_to_an_old_one_of_its_class_and_price() -> None:
    models = (sold("old", 1, scores=scored(coding=70)), sold("new", 1))
    assert order(CODING, *models) == ["new", "old"]
    assert text("new", CODING, *models) == (
        "score 70.0: coding 70.0 expected from its class and price (like old)"
    )


def test_what_is_expected_is_that_of_the_nearest_price_as_a_ratio() -> None:
    models = (
        sold("cheap", 1, scores=scored(coding=50)),
        sold("dear", 9, scores=scored(coding=80)),
        sold("near-cheap", 2.9),
        sold("near-dear", 3.1),
    )
    assert "like cheap" in text("near-cheap", CODING, *models)
    assert "like dear" in text("near-dear", CODING, *models)


def test_at_equal_distance_the_higher_score_is_expected() -> None:
    models = (
        sold("cheap", 1, scores=scored(coding=80)),
        sold("dear", 4, scores=scored(coding=50)),
        sold("between", 2),
    )
    assert "coding 80.0 expected" in text("between", CODING, *models)
    same = (
        sold("a", 1, scores=scored(coding=50)),
        sold("b", 1, scores=scored(coding=60)),
        sold("c", 1),
    )
    assert "coding 60.0 expected" in text("c", CODING, *same)


def test_only_the_own_class_says_what_to_expect() -> None:
    choice = Choice(classes=("fast", "flagship"), weights={"coding": 1})
    models = (
        sold("flagship-1", 1, of="flagship", scores=scored(coding=90)),
        sold("fast-1", 1),
        sold("fast-2", 8, scores=scored(coding=40)),
    )
    assert order(choice, *models) == ["flagship-1", "fast-1", "fast-2"]
    assert "coding 40.0 expected" in text("fast-1", choice, *models)


def test_what_nobody_of_the_class_has_counts_as_nothing() -> None:
    choice = Choice(classes=("fast", "flagship"), weights={"coding": 1})
    models = (sold("fast-1", 1), sold("other", 1, of="flagship", scores=scored(coding=1)))
    assert order(choice, *models) == ["other", "fast-1"]
    assert text("fast-1", choice, *models) == "score 0.0: coding not known in its class"


def test_at_equal_totals_more_expected_scores_then_the_cheaper_then_the_class_decides() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 1, "math": 1})
    both = scored(coding=70, math=70)
    models = (
        sold("scored-dear", 4, scores=both),
        sold("scored-cheap", 1, scores=both),
        sold("half-known", 4, scores=scored(coding=70)),
        sold("unknown", 4),
        sold("scored-cheap-too", 1, scores=both),
    )
    assert order(choice, *models) == [
        "unknown",
        "half-known",
        "scored-cheap",
        "scored-cheap-too",
        "scored-dear",
    ]


def test_an_unknown_price_counts_as_the_dearest_of_its_class_and_says_so() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 1}, price_weight=1)
    models = (
        sold("cheap", 1, scores=scored(coding=50)),
        sold("dear", 8, scores=scored(coding=60)),
        sold("unpriced", None),
    )
    said = text("unpriced", choice, *models)
    assert "coding 60.0 expected from its class and price (like dear)" in said
    assert said.endswith(
        "for $8.00 a million tokens, not known and taken as the dearest of its class"
    )
    capped = Choice(classes=("fast",), weights={"coding": 1}, most_output_dollars=7)
    assert order(capped, *models) == ["cheap"]
    alone = Choice(classes=("fast",), weights={"coding": 1}, price_weight=1)
    assert text("unpriced", alone, sold("unpriced", None)) == (
        "score 0.0: coding not known in its class"
    )


def test_what_does_not_fit_is_left_out_with_the_numbers_compared() -> None:
    able = Capabilities(vision=True, tools=True)
    models = (
        sold("able", 1, capabilities=able, context_window=5000, scores=scored(coding=50)),
        sold("blind", 1, context_window=5000, scores=scored(coding=90)),
        sold("short", 1, capabilities=able, context_window=100, scores=scored(coding=90)),
        sold("dear", 50, capabilities=able, context_window=5000, scores=scored(coding=90)),
        sold("weak", 1, capabilities=able, context_window=5000, scores=scored(coding=10)),
    )
    choice = Choice(
        classes=("fast",),
        weights={"coding": 1},
        least={"coding": 20},
        most_output_dollars=10,
        needs=("vision", "tools"),
        least_context_tokens=1000,
    )
    resolution = directory(choice, *models).resolve("job")
    assert [item.model for item in resolution.candidates] == ["able"]
    assert [(item.deployment, item.code, item.detail) for item in resolution.left_out] == [
        (
            "acme/blind",
            "lacks_capability",
            "the choice needs vision, tools; it has no vision, tools",
        ),
        (
            "acme/short",
            "window_too_small",
            "the choice needs 1,000 tokens of context; it has 100",
        ),
        (
            "acme/dear",
            "too_dear",
            "the choice pays $10 a million tokens out; it takes $50.00",
        ),
        ("acme/weak", "score_too_low", "the choice needs coding 20; it has 10.0"),
    ]


def test_a_price_that_nobody_knows_is_too_dear_where_none_of_the_class_is_known() -> None:
    choice = Choice(classes=("fast",), most_output_dollars=10)
    (left,) = directory(choice, sold("new", None)).resolve("job").left_out
    assert (left.code, left.detail) == (
        "too_dear",
        "the choice pays $10 a million tokens out; it takes an unknown price",
    )


def test_a_least_score_leaves_out_who_was_measured_below_it_and_nobody_else() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 1}, least={"coding": 60})
    models = (sold("scored", 1, scores=scored(coding=70)), sold("new", 1))
    assert order(choice, *models) == ["new", "scored"]
    assert order(choice, sold("new", 1)) == ["new"]
    # What is expected of it is below the least; that it is new must not cost it its place.
    low = (sold("old", 1, scores=scored(coding=50)), sold("new", 1))
    assert order(choice, *low) == ["new"]
    assert "coding 50.0 expected from its class and price (like old)" in text("new", choice, *low)


def test_without_scores_to_weigh_the_class_decides() -> None:
    choice = Choice(classes=("fast",), needs=("tools",))
    able = Capabilities(tools=True)
    models = (sold("a", 4, capabilities=able), sold("b", 1, capabilities=able))
    # At equal totals the cheaper goes first.
    assert order(choice, *models) == ["b", "a"]
    assert text("a", choice, *models) == "in the order of its class"


def test_of_what_is_free_everywhere_the_cheapest_of_its_class_is_expected() -> None:
    choice = Choice(classes=("fast",), weights={"coding": 1})
    models = (
        sold("cheap", 1, scores=scored(coding=50)),
        sold("dear", 8, scores=scored(coding=80)),
        sold("mine", 0, provider="own", at="own"),
    )
    resolution = directory(choice, *models).resolve("job")
    assert [item.model for item in resolution.candidates] == ["dear", "mine", "cheap"]
    assert resolution.ranks["own/mine"] == (
        "score 50.0: coding 50.0 expected from its class and price (like cheap)"
    )


def test_what_is_expected_of_a_model_is_the_same_at_home_and_at_a_vendor() -> None:
    """A copy that costs nothing says nothing of the weights: their price is what others take."""
    choice = Choice(classes=("fast",), weights={"coding": 1})
    cheap = sold("cheap", 1, scores=scored(coding=50))
    dear = sold("dear", 8, scores=scored(coding=80))
    model, at_vendor = sold("new", 7)
    _, at_home = sold("new", 0, provider="own", at="own")
    resolution = directory(choice, cheap, dear, (model, at_vendor), (model, at_home)).resolve("job")
    said = "score 80.0: coding 80.0 expected from its class and price (like dear)"
    assert resolution.ranks["acme/new"] == resolution.ranks["own/new"] == said


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_where_a_provider_is_does_not_change_the_order(boundary: Boundary) -> None:
    """What is simulated is on this machine, and must be planned as if it were not."""
    moved = PACKAGED
    for item in PACKAGED.providers.values():
        if item.boundary == "vendor":
            moved = moved.with_provider(replace(item, boundary=boundary))
    chosen = [name for name, item in PACKAGED.shortcuts.items() if item.choose is not None]
    assert len(chosen) >= 15
    for name in chosen:
        before, after = PACKAGED.resolve(name), moved.resolve(name)
        assert ids(after) == ids(before), name
        assert after.ranks == before.ranks
        assert after.left_out == before.left_out


@pytest.mark.parametrize("provider", ["openai", "anthropic", "bedrock", "groq", "mistral"])
def test_one_provider_that_moved_does_not_change_the_order_of_models(provider: str) -> None:
    """Only of equal deployments of one model, the nearer one comes first."""
    entry = PACKAGED.providers[provider]
    moved = PACKAGED.with_provider(replace(entry, boundary="machine"))
    for name, item in PACKAGED.shortcuts.items():
        if item.choose is not None:
            before, after = PACKAGED.resolve(name), moved.resolve(name)
            assert [x.model for x in after.candidates] == [x.model for x in before.candidates]
            assert after.ranks == before.ranks


def ids(resolution: Resolution) -> list[str]:
    return [item.id for item in resolution.candidates]


def test_the_deployments_of_a_model_stay_together_the_best_of_them_first() -> None:
    candidates = PACKAGED.resolve("code").candidates
    models = [item.model for item in candidates]
    assert len(set(models)) < len(models)
    runs = [
        name for place, name in enumerate(models) if name not in models[max(0, place - 1) : place]
    ]
    assert len(runs) == len(set(runs))
    claude = [item.id for item in candidates if item.model == "claude-opus-5-5"]
    assert claude[-1].startswith("bedrock/us.")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, 0.0, 0.005, 1.0, 1.0, 3.0, 8.0]),
            st.dictionaries(st.sampled_from(DIMENSIONS), st.floats(0, 100), max_size=4),
            st.sampled_from(["fast", "flagship"]),
        ),
        max_size=12,
    ),
    st.dictionaries(st.sampled_from(DIMENSIONS), st.floats(0, 5), max_size=4),
    st.floats(0, 10),
)
def test_every_candidate_is_ranked_once_with_its_reason(
    drawn: list[tuple[float | None, dict[str, float], str]],
    weights: Any,
    price_weight: float,
) -> None:
    models = [
        sold(f"m{place}", dollars, of=of, scores=scored(**values))
        for place, (dollars, values, of) in enumerate(drawn)
    ]
    choice = Choice(classes=("fast", "flagship"), weights=weights, price_weight=price_weight)
    built = directory(choice, *models)
    resolution = built.resolve("job")
    assert sorted(item.model for item in resolution.candidates) == sorted(
        model.id for model, _ in models
    )
    assert set(resolution.ranks) == {item.id for item in resolution.candidates}
    assert all(resolution.ranks.values())
    again = Directory.from_document(built.document()).resolve("job")
    assert again == resolution


def test_every_chosen_candidate_of_the_packaged_shortcuts_has_its_reason() -> None:
    for shortcut in PACKAGED.shortcuts.values():
        resolution = PACKAGED.resolve(shortcut.name)
        if PACKAGED.shortcuts[shortcut.alias_of or shortcut.name].choose is None:
            assert resolution.ranks == {}
        else:
            assert set(resolution.ranks) == {item.id for item in resolution.candidates}
            assert len(resolution.candidates) >= 5, shortcut.name


def plan_of(name: str) -> Any:
    """What two shortcuts may not share: everything a plan is made of."""
    resolution = PACKAGED.resolve(name)
    ids = tuple(item.id for item in resolution.candidates)
    steps = tuple(step.model_class for step in resolution.degraded)
    by_complexity = tuple(resolution.by_complexity.items())
    return ids, steps, resolution.defaults, resolution.boundary, by_complexity


def test_no_two_shortcuts_are_alike_unless_one_is_an_alias() -> None:
    own = [name for name, item in PACKAGED.shortcuts.items() if item.alias_of is None]
    assert len(own) >= 25
    for place, name in enumerate(own):
        for other in own[place + 1 :]:
            assert plan_of(name) != plan_of(other), (name, other)
    aliases = {name: item.alias_of for name, item in PACKAGED.shortcuts.items() if item.alias_of}
    assert aliases
    for name, target in aliases.items():
        assert plan_of(name) == plan_of(target)


def test_most_shortcuts_differ_in_their_candidates() -> None:
    own = [name for name, item in PACKAGED.shortcuts.items() if item.alias_of is None]
    orders = {plan_of(name)[0] for name in own}
    # local and private differ in how far the text may go alone.
    assert len(orders) >= len(own) - 2


@pytest.mark.time_limit(60)
def test_a_directory_of_a_thousand_models_can_be_built() -> None:
    choice = Choice(
        classes=("fast", "flagship"),
        weights=dict.fromkeys(get_args(Dimension), 1.0),
        price_weight=1,
    )
    models = [
        sold(
            f"m{place}",
            1 + place % 97,
            of="flagship" if place % 3 else "fast",
            scores=scored(**{DIMENSIONS[place % 8]: place % 100}),
        )
        for place in range(1000)
    ]
    before = time.process_time()
    built = directory(choice, *models)
    # No figure of speed: comparing every model with every other would take minutes.
    assert time.process_time() - before < 20
    assert len(built.resolve("job").candidates) == 1000
