"""What single entries of the lists say: tiers, long writes, prices that cannot be told here."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from routerd.models import LongContextPrice, load_directory
from routerd.models.price_import import PriceImport, import_prices, read_price_list

DIRECTORY = load_directory(data=Path(__file__).parents[2] / "fixtures" / "prices" / "directory")
TODAY = dt.date(2026, 11, 21)
DOLLAR = 1_000_000_000


def of_litellm(**figures: object) -> PriceImport:
    """Import one model whose entry says these."""
    entry = {
        "litellm_provider": "acme",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
        **figures,
    }
    listed = read_price_list(json.dumps({"same-1": entry}).encode())
    return import_prices(listed, DIRECTORY, TODAY)


def test_what_is_written_for_twelve_hours_is_the_long_write() -> None:
    price = of_litellm(
        cache_creation_input_token_cost=1.25e-06,
        cache_creation_input_token_cost_above_12hr=2.5e-06,
        cache_creation_input_token_cost_above_12hr_above_272k_tokens=5e-06,
        input_cost_per_token_above_272k_tokens=2e-06,
        output_cost_per_token_above_272k_tokens=3e-06,
    ).prices["acme/same"]
    assert (price.cache_write, price.cache_write_long) == (1_250_000_000, 2_500_000_000)
    assert price.long_context == LongContextPrice(
        above=272_000, input=2 * DOLLAR, output=3 * DOLLAR, cache_write_long=5 * DOLLAR
    )


def test_what_nobody_will_know_is_named_with_its_place() -> None:
    """Such a call is charged at its bound: whoever imports should hear of that."""
    result = of_litellm(
        cache_read_input_token_cost=1e-07,
        output_cost_per_reasoning_token=3e-06,
        input_cost_per_token_above_200k_tokens=2e-06,
        output_cost_per_token_above_200k_tokens=4e-06,
    )
    assert result.unknown == {"acme/same": ("cache_read above 200000 tokens",)}
    assert of_litellm().unknown == {}
    providers = [
        {
            "id": "acme",
            "models": [
                {
                    "match": {"equals": "dearer-1"},
                    "prices": [
                        {"prices": {"input_mtok": 1, "output_mtok": 2, "cache_read_mtok": 0.5}},
                        {
                            "constraint": {"start_date": "2026-12-01"},
                            "prices": {"input_mtok": 2, "output_mtok": 4},
                        },
                    ],
                }
            ],
        }
    ]
    listed = read_price_list(json.dumps(providers).encode())
    announced = import_prices(listed, DIRECTORY, TODAY)
    assert announced.unknown == {
        "acme/dearer": ("cache_write_long from 2026-12-01", "cache_read from 2026-12-01")
    }


def tier(start: object, rate: float) -> dict[str, object]:
    return {"range": [start, 1e6], "input_cost_per_token": rate, "output_cost_per_token": 2e-06}


def test_tiers_that_are_listed_one_by_one_are_taken() -> None:
    listed = [tier(0, 1.5e-06), tier(256000.0, 2.5e-06)]
    price = of_litellm(tiered_pricing=listed).prices["acme/same"]
    assert (price.input, price.output) == (1_500_000_000, 2 * DOLLAR)
    assert price.long_context == LongContextPrice(
        above=256_000, input=2_500_000_000, output=2 * DOLLAR
    )


def test_a_list_of_something_else_is_no_tier() -> None:
    listed = [{"max_results_range": [0, 10], "input_cost_per_query": 0.001}]
    price = of_litellm(tiered_pricing=listed).prices["acme/same"]
    assert (price.input, price.long_context) == (DOLLAR, None)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"off_peak_pricing": {"windows": []}}, "it depends on the time of day"),
        (
            {"tiered_pricing": [tier(0, 1e-06), tier(32_000, 2e-06), tier(128_000, 3e-06)]},
            "2 long-context tiers",
        ),
        ({"tiered_pricing": [tier(5, 1e-06)]}, "a tier begins at 5 tokens"),
        ({"tiered_pricing": [tier(0, 1e-06), tier(0, 2e-06)]}, "a tier begins at 0 tokens"),
        ({"tiered_pricing": [tier(0, 1e-06), tier(0.5, 2e-06)]}, "a tier begins at 0.5 tokens"),
        ({"tiered_pricing": [tier("NaN", 1e-06)]}, "a tier begins at NaN tokens"),
        ({"tiered_pricing": [tier("Infinity", 1e-06)]}, "a tier begins at Infinity tokens"),
        ({"tiered_pricing": "by the moon"}, "array"),
    ],
)
def test_what_a_price_here_cannot_say_is_refused_and_not_imported_wrong(
    figures: dict[str, object], reason: str
) -> None:
    result = of_litellm(**figures)
    assert reason in result.refused["acme/same"]
    assert "acme/same" not in result.prices
