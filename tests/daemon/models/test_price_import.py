"""Public price lists as directory files: what is taken, what is refused, and what is said of it."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.models import Directory, LongContextPrice, Price, PriceChange, load_directory
from routerd.models.price_import import PriceImport, import_prices, read_price_list

FIXTURES = Path(__file__).parents[2] / "fixtures" / "prices"
DATA = FIXTURES / "directory"
DIRECTORY = load_directory(data=DATA)
TODAY = dt.date(2026, 11, 21)
DOLLAR = 1_000_000_000
LISTS = ["litellm", "genai"]


def imported(name: str, *providers: str, today: dt.date = TODAY) -> PriceImport:
    listed = read_price_list((FIXTURES / f"{name}.json").read_bytes())
    return import_prices(listed, DIRECTORY, today, providers)


def reloaded(result: PriceImport, folder: Path) -> Directory:
    """Load the directory with what was imported, as a user does."""
    path = folder / "prices.toml"
    path.write_text(result.text, encoding="utf-8")
    return load_directory([path], data=DATA)


def changes_of(result: PriceImport, deployment: str) -> list[tuple[object, ...]]:
    return [
        (row.rate, row.since, row.old, row.new, row.percent)
        for row in result.changed
        if row.deployment == deployment
    ]


@pytest.mark.parametrize("name", LISTS)
def test_every_kind_of_rate_is_taken(name: str) -> None:
    price = imported(name).prices["acme/dearer"]
    assert price == Price(
        source=price.source,
        input=1_250_000_000,
        output=2 * DOLLAR,
        cache_read=125_000_000,
        cache_write=1_500_000_000,
        reasoning=3 * DOLLAR,
        per_query=10_000_000,
    )


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("litellm", "LiteLLM model_prices, imported 2026-11-21"),
        ("genai", "genai-prices, imported 2026-11-21"),
    ],
)
def test_a_price_says_where_and_when_it_is_from(name: str, source: str) -> None:
    result = imported(name)
    assert result.source == source
    assert {price.source for price in result.prices.values()} == {source}
    assert f"# From {source}.\n" in result.text


@pytest.mark.parametrize(("name", "written_long"), [("litellm", 4 * DOLLAR), ("genai", 2 * DOLLAR)])
def test_a_long_context_tier_is_taken(name: str, written_long: int) -> None:
    price = imported(name).prices["acme/long"]
    assert (price.cache_write, price.cache_write_long) == (1_250_000_000, 2 * DOLLAR)
    assert price.long_context == LongContextPrice(
        above=200_000,
        input=2_500_000_000,
        output=3 * DOLLAR,
        cache_write=2_500_000_000,
        # genai-prices gives no tier for it: it costs the same above the threshold.
        cache_write_long=written_long,
    )


@pytest.mark.parametrize("name", LISTS)
def test_what_is_sold_by_the_query_is_taken_and_the_rest_stays_unknown(name: str) -> None:
    price = imported(name).prices["acme/unpriced"]
    assert (price.input, price.per_query, price.output) == (500_000_000, 2_000_000, None)


def test_a_query_whose_cost_depends_on_its_size_has_no_price() -> None:
    assert imported("litellm").prices["acme/long"].per_query is None


@pytest.mark.parametrize("name", LISTS)
def test_the_noise_of_floating_point_is_no_change(name: str) -> None:
    result = imported(name)
    assert result.prices["acme/same"].output == 2 * DOLLAR
    assert changes_of(result, "acme/same") == []


@pytest.mark.parametrize("name", LISTS)
def test_what_changes_is_told_in_numbers(name: str) -> None:
    assert changes_of(imported(name), "acme/dearer") == [
        ("input", None, DOLLAR, 1_250_000_000, 25.0),
        ("cache_read", None, None, 125_000_000, None),
        ("cache_write", None, None, 1_500_000_000, None),
        ("reasoning", None, None, 3 * DOLLAR, None),
        ("per_query", None, None, 10_000_000, None),
    ]


@pytest.mark.parametrize("name", LISTS)
def test_a_change_of_the_tier_is_told_in_tokens(name: str) -> None:
    rows = changes_of(imported(name), "acme/long")
    assert ("long_context.above", None, 272_000, 200_000, -26.5) in rows
    assert ("long_context.input", None, 2 * DOLLAR, 2_500_000_000, 25.0) in rows


@pytest.mark.parametrize("name", LISTS)
def test_what_the_list_does_not_say_stays(name: str, tmp_path: Path) -> None:
    result = imported(name)
    assert result.kept == {"acme/dearer": ("cache_write_long",)}
    price = reloaded(result, tmp_path).deployments["acme/dearer"].price
    assert price is not None
    assert (price.cache_write_long, price.cache_read) == (3 * DOLLAR, 125_000_000)


@pytest.mark.parametrize("name", LISTS)
def test_what_makes_no_sense_is_refused_with_the_reason_and_the_rest_goes_on(name: str) -> None:
    result = imported(name)
    expected = {
        "acme/wrong-unit": "output is 200000000000 instead of 2000000000: a hundredfold apart",
        "acme/free-now": "input is 0 instead of 1000000000: free, or not known",
        "acme/by-the-request": "each request is charged too, which a price here cannot say",
        "acme/two-tiers": "2 long-context tiers, and a price here has one",
    }
    if name == "genai":
        expected["acme/by-the-hour-of-day"] = (
            "it depends on the time of day, which a price here cannot say"
        )
    words = result.refused.pop("acme/words")
    assert "decimal" in words
    assert result.refused == expected
    assert {"acme/same", "acme/dearer", "acme/long", "acme/unpriced"} <= result.prices.keys()
    assert not result.prices.keys() & expected.keys()


def test_two_rates_of_0_are_a_price_nobody_entered() -> None:
    result = imported("litellm")
    assert result.missing == (
        "acme/nobody-entered-it",
        "acme/announced",
        "acme/by-the-hour-of-day",
        "acme/same-1-1",
        "other/same",
    )


def test_a_name_that_is_merely_similar_is_another_model() -> None:
    result = imported("genai")
    assert result.missing == ("acme/nobody-entered-it", "acme/same-1-1", "other/same")


@pytest.mark.parametrize(
    "name", ["same-1", "SAME-1", "same-1-20261001", "same-1-2026-10-01", "same-1-latest"]
)
def test_a_dated_name_is_the_same_model(name: str) -> None:
    listed = read_price_list((FIXTURES / "genai.json").read_bytes())
    found = listed.find("acme", name, TODAY)
    assert found is not None
    assert found.now.input == DOLLAR


@pytest.mark.parametrize("name", LISTS)
def test_a_server_of_your_own_is_on_no_list(name: str) -> None:
    result = imported(name)
    named = {*result.prices, *result.missing, *result.refused}
    assert named == {name for name in DIRECTORY.deployments if not name.startswith("box/")}


@pytest.mark.parametrize("name", LISTS)
def test_only_the_providers_that_are_asked_for(name: str) -> None:
    result = imported(name, "other")
    assert (result.missing, result.prices, result.refused) == (("other/same",), {}, {})


def test_what_is_announced_becomes_a_change_of_its_day(tmp_path: Path) -> None:
    result = imported("genai")
    price = result.prices["acme/announced"]
    assert (price.input, price.long_context) == (1_500_000_000, None)
    first, second = dt.date(2026, 12, 1), dt.date(2027, 1, 1)
    assert price.changes == (
        PriceChange(
            since=first,
            input=1_600_000_000,
            output=2 * DOLLAR,
            long_context=LongContextPrice(above=200_000, input=3 * DOLLAR, output=2 * DOLLAR),
        ),
        PriceChange(since=second, input=1_700_000_000, output=2_500_000_000),
    )
    assert changes_of(result, "acme/announced") == [
        ("input", None, DOLLAR, 1_500_000_000, 50.0),
        ("input", first, DOLLAR, 1_600_000_000, 60.0),
        ("long_context.input", first, None, 3 * DOLLAR, None),
        ("long_context.output", first, None, 2 * DOLLAR, None),
        ("long_context.above", first, None, 200_000, None),
        ("input", second, DOLLAR, 1_700_000_000, 70.0),
        ("output", second, 2 * DOLLAR, 2_500_000_000, 25.0),
    ]
    assert reloaded(result, tmp_path).deployments["acme/announced"].price == price


@pytest.mark.parametrize(
    ("today", "rate", "left"),
    [
        (dt.date(2026, 11, 20), 9 * DOLLAR, 3),
        (dt.date(2026, 11, 30), 1_500_000_000, 2),
        (dt.date(2027, 1, 1), 1_700_000_000, 0),
    ],
)
def test_the_price_of_the_day_is_the_last_that_holds(today: dt.date, rate: int, left: int) -> None:
    price = imported("genai", today=today).prices["acme/announced"]
    assert price.input == rate
    assert len(price.changes) == left


@pytest.mark.parametrize("name", LISTS)
def test_what_is_written_loads_and_changes_nothing_when_imported_again(
    name: str, tmp_path: Path
) -> None:
    result = imported(name)
    directory = reloaded(result, tmp_path)
    for deployment, price in result.prices.items():
        known = directory.deployments[deployment].price
        assert known is not None
        assert known.source == price.source
        assert known.changes == price.changes
    listed = read_price_list((FIXTURES / f"{name}.json").read_bytes())
    again = import_prices(listed, directory, TODAY)
    assert again.changed == ()
    assert again.text == result.text


def test_the_newer_form_of_genai_prices_is_read_too() -> None:
    providers = json.loads((FIXTURES / "genai.json").read_bytes())
    listed = read_price_list(json.dumps({"units": {}, "providers": providers}).encode())
    assert import_prices(listed, DIRECTORY, TODAY) == imported("genai")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[]x",
        b"{}",
        b'{"a": 1}',
        b'[{"id": "acme"}]',
        b"\xff",
        b"[" * 100_000,
        b'{"a": {}}',
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="is no price list that is known"):
        read_price_list(data)


def test_a_figure_that_no_price_has_is_refused_without_computing_it() -> None:
    data = (
        b'{"same-1": {"litellm_provider": "acme", "input_cost_per_token": 1e300,'
        b' "output_cost_per_token": 1e-06}}'
    )
    result = import_prices(read_price_list(data), DIRECTORY, TODAY)
    assert list(result.refused) == ["acme/same"]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["base", "tiers", "start", "price", "prices", "constraint", "or"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(match=json_values, prices=json_values, figure=json_values)
def test_garbage_in_a_list_is_refused_or_leaves_prices_that_load(
    match: object, prices: object, figure: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    models = [
        {"match": match, "prices": {"input_mtok": 7}},
        {"match": {"equals": "same-1"}, "prices": prices},
        {"match": {"equals": "dearer-1"}, "prices": {"input_mtok": figure, "output_mtok": 2}},
    ]
    genai = json.dumps([{"id": "acme", "models": models}])
    entry = {"litellm_provider": "acme", "input_cost_per_token": figure}
    litellm = json.dumps(
        {
            "same-1": entry | {"search_context_cost_per_query": prices},
            "dearer-1": entry | {"tiered_pricing": prices, "output_cost_per_token": 2e-06},
        }
    )
    for text in (genai, litellm):
        result = import_prices(read_price_list(text.encode()), DIRECTORY, TODAY)
        tomllib.loads(result.text)
        reloaded(result, tmp_path_factory.mktemp("import"))
