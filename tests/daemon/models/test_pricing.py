from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from routerd.domain import Usage
from routerd.models import (
    LongContextPrice,
    Price,
    cost,
    dollars_to_nanodollars,
    format_cents,
    format_dollars,
)

DOLLAR = 1_000_000_000
BUCKETS = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "cache_write_long_tokens": "cache_write_long",
    "output_tokens": "output",
}
INPUT_BUCKETS = tuple(BUCKETS)[:4]

known_rates = st.one_of(st.just(0), st.integers(100_000, 10_000 * DOLLAR))
rates = st.one_of(st.none(), known_rates)
tokens = st.integers(0, 5_000_000)


def rate_fields(values: st.SearchStrategy[int | None]) -> st.SearchStrategy[dict[str, int | None]]:
    return st.fixed_dictionaries(dict.fromkeys(BUCKETS.values(), values))


@st.composite
def prices(draw: st.DrawFn, values: st.SearchStrategy[int | None] = rates) -> Price:
    tier = None
    if draw(st.booleans()):
        tier = LongContextPrice(above=draw(st.integers(1, 2_000_000)), **draw(rate_fields(values)))
    return Price(source="test", long_context=tier, **draw(rate_fields(values)))


usages = st.builds(Usage, **dict.fromkeys(BUCKETS, tokens))


def exact_cost(price: Price, usage: Usage) -> Fraction | None:
    """The same sum without integers, and without looking at how it is done."""
    counts = asdict(usage)
    whole_input = sum(counts[bucket] for bucket in INPUT_BUCKETS)
    tier: Price | LongContextPrice = price
    if price.long_context is not None and whole_input > price.long_context.above:
        tier = price.long_context
    total = Fraction(0)
    for bucket, rate_name in BUCKETS.items():
        rate = getattr(tier, rate_name)
        if counts[bucket] and rate is None:
            return None
        total += Fraction(counts[bucket]) * Fraction(rate or 0, 1_000_000)
    return total


@given(prices(), usages)
def test_cost_is_the_exact_sum_rounded_half_up_once(price: Price, usage: Usage) -> None:
    exact = exact_cost(price, usage)
    expected = None if exact is None else floor(exact + Fraction(1, 2))
    assert cost(price, usage) == expected


@given(prices(known_rates), usages, st.sampled_from(sorted(BUCKETS)), st.integers(1, 1_000_000))
def test_more_tokens_never_cost_less(price: Price, usage: Usage, bucket: str, more: int) -> None:
    tier = price.long_context
    if tier is not None:
        # A tier that is cheaper than the plain price would be a discount; the property is about
        # prices that rise.
        dearer = {name: max(getattr(tier, name), getattr(price, name)) for name in BUCKETS.values()}
        price = replace(price, long_context=LongContextPrice(above=tier.above, **dearer))
    larger = replace(usage, **{bucket: getattr(usage, bucket) + more})
    before, after = cost(price, usage), cost(price, larger)
    assert before is not None
    assert after is not None
    assert after >= before


@given(prices(known_rates), usages, usages)
def test_two_calls_cost_their_sum_within_the_rounding(price: Price, one: Usage, two: Usage) -> None:
    price = replace(price, long_context=None)
    together = Usage(**{name: getattr(one, name) + getattr(two, name) for name in BUCKETS})
    costs = [cost(price, usage) for usage in (one, two, together)]
    first, second, both = (amount for amount in costs if amount is not None)
    assert abs(first + second - both) <= 1


@given(prices(), usages)
def test_reasoning_is_part_of_the_output(price: Price, usage: Usage) -> None:
    reasoned = replace(usage, reasoning_tokens=usage.output_tokens)
    assert cost(price, reasoned) == cost(price, usage)


def test_a_published_price_to_the_last_digit() -> None:
    price = Price(
        source="test",
        input=3 * DOLLAR,
        output=15 * DOLLAR,
        cache_read=300_000_000,
        cache_write=3_750_000_000,
        cache_write_long=6 * DOLLAR,
    )
    usage = Usage(
        input_tokens=1_000,
        cache_read_tokens=20_000,
        cache_write_tokens=400,
        cache_write_long_tokens=50,
        output_tokens=7,
        reasoning_tokens=5,
    )
    # Dollars: 0.003 + 0.006 + 0.0015 + 0.0003 + 0.000105.
    assert cost(price, usage) == 10_905_000


def test_half_a_nanodollar_is_rounded_up() -> None:
    price = Price(source="test", input=1_500_000, output=100_000)
    assert cost(price, Usage(input_tokens=1)) == 2
    assert cost(price, Usage(output_tokens=4)) == 0
    assert cost(price, Usage(output_tokens=5)) == 1


def test_nothing_used_costs_nothing_even_where_no_rate_is_known() -> None:
    assert cost(Price(source="test"), Usage()) == 0


def test_without_a_price_the_cost_is_unknown() -> None:
    assert cost(None, Usage()) is None


@pytest.mark.parametrize("bucket", sorted(BUCKETS))
def test_a_needed_rate_that_is_not_known_makes_the_cost_unknown(bucket: str) -> None:
    known = Price(
        source="test",
        input=DOLLAR,
        output=DOLLAR,
        cache_read=DOLLAR,
        cache_write=DOLLAR,
        cache_write_long=DOLLAR,
    )
    unknown = replace(known, **{BUCKETS[bucket]: None})
    usage = Usage(**{bucket: 1})
    assert cost(known, usage) == 1_000
    assert cost(unknown, usage) is None


def test_a_longer_cache_lifetime_never_falls_back_to_the_shorter_one() -> None:
    price = Price(source="test", input=DOLLAR, output=DOLLAR, cache_write=DOLLAR)
    assert cost(price, Usage(cache_write_long_tokens=1)) is None


@pytest.mark.parametrize("bucket", INPUT_BUCKETS)
def test_every_input_bucket_counts_towards_the_long_tier(bucket: str) -> None:
    plain: dict[str, Any] = dict.fromkeys(BUCKETS.values(), DOLLAR)
    double: dict[str, Any] = dict.fromkeys(BUCKETS.values(), 2 * DOLLAR)
    tier = LongContextPrice(above=1_000, **double)
    price = Price(source="test", long_context=tier, **plain)
    at_the_threshold = Usage(**{bucket: 1_000}, output_tokens=10)
    above_it = Usage(**{bucket: 1_001}, output_tokens=10)
    assert cost(price, at_the_threshold) == 1_010_000
    assert cost(price, above_it) == 2 * 1_011_000


def test_output_does_not_count_towards_the_long_tier() -> None:
    tier = LongContextPrice(above=10, input=2 * DOLLAR, output=2 * DOLLAR)
    price = Price(source="test", input=DOLLAR, output=DOLLAR, long_context=tier)
    assert cost(price, Usage(input_tokens=10, output_tokens=1_000)) == 1_010_000


@given(prices(known_rates), usages, st.sampled_from(sorted(BUCKETS)))
def test_a_negative_count_has_no_cost(price: Price, usage: Usage, bucket: str) -> None:
    assert cost(price, replace(usage, **{bucket: -1})) is None


@pytest.mark.parametrize("rate", [1, 3, 99_999, 10_000 * DOLLAR + 1])
def test_a_rate_in_another_unit_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match=r"`output` is .* nanodollars per million tokens"):
        Price(source="test", output=rate)


@given(st.integers(-(10**20), 10**20))
def test_dollars_become_nanodollars_exactly(nanodollars: int) -> None:
    dollars = Decimal(nanodollars).scaleb(-9)
    assert dollars_to_nanodollars(dollars) == nanodollars
    assert dollars_to_nanodollars(str(dollars)) == nanodollars
    assert dollars_to_nanodollars(f"{dollars:f}") == nanodollars


@pytest.mark.parametrize(
    ("text", "nanodollars"),
    [
        ("0.0375", 37_500_000),
        ("1e-9", 1),
        ("1E+3", 10**12),
        ("2.5000000000000", 2_500_000_000),
        ("-0.1", -100_000_000),
        ("0", 0),
    ],
)
def test_dollars_in_every_notation(text: str, nanodollars: int) -> None:
    assert dollars_to_nanodollars(text) == nanodollars


@pytest.mark.parametrize("text", ["", "ten", "nan", "inf", "-Infinity", "sNaN", "$1", "1,5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of dollars"):
        dollars_to_nanodollars(text)


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "9" * 51])
def test_an_absurd_amount_is_refused_without_computing_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of dollars"):
        dollars_to_nanodollars(text)


def test_what_is_finer_than_a_nanodollar_is_refused() -> None:
    with pytest.raises(ValueError, match="finer than a nanodollar"):
        dollars_to_nanodollars("0.0000000001")


@pytest.mark.parametrize(
    ("nanodollars", "text"),
    [
        (0, "0.00¢"),
        (1, "0.0000001¢"),
        (123, "0.0000123¢"),
        (10_905_000, "1.09¢"),
        (5_000_000, "0.50¢"),
        (123_456, "0.0123¢"),
        (9_999_999, "1.00¢"),
        (123_456_789, "12.35¢"),
        (-123_456_789, "-12.35¢"),
        (12_345 * DOLLAR, "1234500.00¢"),
    ],
)
def test_cents(nanodollars: int, text: str) -> None:
    assert format_cents(nanodollars) == text


@given(st.integers(-(10**18), 10**18))
def test_shown_cents_are_near_and_zero_only_where_they_are_zero(nanodollars: int) -> None:
    shown = Fraction(format_cents(nanodollars).removesuffix("¢"))
    exact = Fraction(nanodollars, 10_000_000)
    assert abs(shown - exact) <= max(abs(exact) / 200, Fraction(0))
    assert (shown == 0) == (nanodollars == 0)


@pytest.mark.parametrize(
    ("nanodollars", "text"),
    [(15 * DOLLAR, "$15.00"), (75_000_000, "$0.075"), (0, "$0.00"), (-DOLLAR, "-$1.00")],
)
def test_dollars(nanodollars: int, text: str) -> None:
    assert format_dollars(nanodollars) == text
