from __future__ import annotations

from datetime import date, timedelta
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
    PriceChange,
    cost,
    cost_bound,
    discounted,
    largest_output,
    own_price,
)
from routerd.models.pricing import MOST_TOKENS

DOLLAR = 1_000_000_000
BUCKETS = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "cache_write_long_tokens": "cache_write_long",
    "output_tokens": "output",
}
INPUT_BUCKETS = tuple(BUCKETS)[:4]

RATES = (*BUCKETS.values(), "reasoning")
MOST_PPM = 999_999

known_rates = st.one_of(st.just(0), st.integers(100_000, 10_000 * DOLLAR))
rates = st.one_of(st.none(), known_rates)
tokens = st.integers(0, 5_000_000)
queries = st.integers(0, 50)
durations = st.integers(0, 3_600_000_000)


def rate_fields(values: st.SearchStrategy[int | None]) -> st.SearchStrategy[dict[str, Any]]:
    known = st.fixed_dictionaries(dict.fromkeys(BUCKETS.values(), values))
    # Most models have no rate of their own for reasoning.
    return st.builds(lambda fields, own: fields | {"reasoning": own}, known, rates)


@st.composite
def prices(draw: st.DrawFn, values: st.SearchStrategy[int | None] = rates) -> Price:
    tier = None
    if draw(st.booleans()):
        tier = LongContextPrice(above=draw(st.integers(1, 2_000_000)), **draw(rate_fields(values)))
    return Price(
        source="test",
        long_context=tier,
        per_query=draw(st.one_of(st.none(), st.just(0), st.integers(1_000, DOLLAR))),
        per_hour=draw(st.one_of(st.none(), st.just(0), st.integers(100_000, 10_000 * DOLLAR))),
        discount_ppm=draw(st.one_of(st.just(0), st.integers(0, MOST_PPM))),
        **draw(rate_fields(values)),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    usage = Usage(**{bucket: draw(tokens) for bucket in BUCKETS})
    reasoning = draw(st.one_of(st.none(), st.integers(0, usage.output_tokens)))
    return replace(usage, reasoning_tokens=reasoning)


def exact_cost(
    price: Price, usage: Usage, queries: int = 0, duration_us: int = 0
) -> Fraction | None:
    """The same sum without integers, and without looking at how it is done."""
    counts = asdict(usage)
    whole_input = sum(counts[bucket] for bucket in INPUT_BUCKETS)
    tier: Price | LongContextPrice = price
    if price.long_context is not None and whole_input > price.long_context.above:
        tier = price.long_context
    thought = (counts["reasoning_tokens"] or 0) if tier.reasoning is not None else 0
    charged = [(counts[bucket], getattr(tier, BUCKETS[bucket])) for bucket in INPUT_BUCKETS]
    charged += [(usage.output_tokens - thought, tier.output), (thought, tier.reasoning)]
    total = Fraction(duration_us, 3_600_000_000) * (price.per_hour or 0)
    for count, rate in (*charged, (queries * 1_000_000, price.per_query)):
        if count and rate is None:
            return None
        total += Fraction(count) * Fraction(rate or 0, 1_000_000)
    return total * Fraction(1_000_000 - price.discount_ppm, 1_000_000)


@given(prices(), usages(), queries, durations)
def test_cost_is_the_exact_sum_rounded_half_up_once(
    price: Price, usage: Usage, queries: int, duration: int
) -> None:
    exact = exact_cost(price, usage, queries, duration)
    expected = None if exact is None else floor(exact + Fraction(1, 2))
    assert cost(price, usage, queries=queries, duration_us=duration) == expected


@given(prices(known_rates), usages(), st.sampled_from(sorted(BUCKETS)), st.integers(1, 1_000_000))
def test_more_tokens_never_cost_less(price: Price, usage: Usage, bucket: str, more: int) -> None:
    tier = price.long_context
    if tier is not None:
        # A tier that is cheaper than the plain price would be a discount; the property is about
        # prices that rise.
        dearer = {name: max(getattr(tier, name), getattr(price, name)) for name in BUCKETS.values()}
        tier = LongContextPrice(above=tier.above, **dearer)
    price = replace(price, long_context=tier, reasoning=None)
    larger = replace(usage, **{bucket: getattr(usage, bucket) + more})
    before, after = cost(price, usage), cost(price, larger)
    assert before is not None
    assert after is not None
    assert after >= before


@given(prices(known_rates), usages(), usages())
def test_two_calls_cost_their_sum_within_the_rounding(price: Price, one: Usage, two: Usage) -> None:
    price = replace(price, long_context=None, reasoning=None)
    together = Usage(**{name: getattr(one, name) + getattr(two, name) for name in BUCKETS})
    costs = [cost(price, usage) for usage in (one, two, together)]
    first, second, both = (amount for amount in costs if amount is not None)
    assert abs(first + second - both) <= 1


@given(prices(), usages())
def test_reasoning_without_a_rate_of_its_own_is_output(price: Price, usage: Usage) -> None:
    tier = price.long_context
    tier = None if tier is None else replace(tier, reasoning=None)
    price = replace(price, reasoning=None, long_context=tier)
    reasoned = replace(usage, reasoning_tokens=usage.output_tokens)
    assert cost(price, reasoned) == cost(price, replace(usage, reasoning_tokens=None))


def test_reasoning_with_a_rate_of_its_own_is_charged_once() -> None:
    price = Price(source="test", output=2 * DOLLAR, reasoning=8 * DOLLAR)
    # 4 of 10 tokens: 6 x 2 + 4 x 8 millionths of a dollar.
    assert cost(price, Usage(output_tokens=10, reasoning_tokens=4)) == 44_000
    # Nobody counted any.
    assert cost(price, Usage(output_tokens=10)) == 20_000
    only_reasoning = replace(price, output=None)
    assert cost(only_reasoning, Usage(output_tokens=4, reasoning_tokens=4)) == 32_000


@pytest.mark.parametrize("reasoning", [-1, 11])
def test_more_reasoning_than_output_has_no_cost(reasoning: int) -> None:
    price = Price(source="test", output=2 * DOLLAR, reasoning=8 * DOLLAR)
    assert cost(price, Usage(output_tokens=10, reasoning_tokens=reasoning)) is None


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


@given(prices(known_rates), usages(), st.sampled_from(sorted(BUCKETS)))
def test_a_negative_count_has_no_cost(price: Price, usage: Usage, bucket: str) -> None:
    assert cost(price, replace(usage, **{bucket: -1}, reasoning_tokens=None)) is None


@pytest.mark.parametrize("rate", [-1, 1, 3, 99_999, 10_000 * DOLLAR + 1])
@pytest.mark.parametrize("name", RATES)
def test_a_rate_in_another_unit_is_refused(name: str, rate: int) -> None:
    fields: dict[str, Any] = {name: rate}
    with pytest.raises(ValueError, match=rf"`{name}` is .* nanodollars per million tokens"):
        Price(source="test", **fields)


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("per_query", 999),
        ("per_query", DOLLAR + 1),
        ("per_hour", 99_999),
        ("per_hour", 10_000 * DOLLAR + 1),
    ],
)
def test_what_is_sold_otherwise_is_refused_in_another_unit_too(name: str, rate: int) -> None:
    unit = name.removeprefix("per_")
    fields: dict[str, Any] = {name: rate}
    with pytest.raises(ValueError, match=rf"`{name}` is .* nanodollars per {unit}"):
        Price(source="test", **fields)
    with pytest.raises(ValueError, match=rf"`{name}` is .* nanodollars per {unit}"):
        PriceChange(since=date(2026, 1, 1), **fields)


def test_queries_time_and_a_discount_are_rounded_once_together() -> None:
    price = Price(
        source="test",
        input=1_500_000,
        per_query=10_000_000,
        per_hour=36 * DOLLAR,
        discount_ppm=500_000,
    )
    # Half of 1.5 + 10,000,000 + 10,000 nanodollars: 5,005,000.75.
    assert cost(price, Usage(input_tokens=1), queries=1, duration_us=1_000) == 5_005_001
    assert cost(price, Usage(input_tokens=1)) == 1
    assert cost(replace(price, discount_ppm=0), Usage(), queries=2) == 20_000_000


def test_queries_without_a_price_have_no_cost() -> None:
    price = Price(source="test", input=DOLLAR, output=DOLLAR)
    assert cost(price, Usage(), queries=1) is None
    assert cost_bound(price, input_tokens=1, output_tokens=1, queries=1) is None
    assert largest_output(price, 1, DOLLAR, queries=1) is None


def test_time_without_a_price_costs_nothing() -> None:
    price = Price(source="test", input=DOLLAR, output=DOLLAR)
    assert cost(price, Usage(input_tokens=1), duration_us=10**9) == 1_000


@given(prices(), usages(), tokens, tokens, queries, durations)
def test_no_call_within_the_limits_costs_more_than_the_bound(
    price: Price, usage: Usage, more_input: int, more_output: int, queries: int, duration: int
) -> None:
    known = cost(price, usage, queries=queries, duration_us=duration)
    bound = cost_bound(
        price,
        input_tokens=sum(getattr(usage, bucket) for bucket in INPUT_BUCKETS) + more_input,
        output_tokens=usage.output_tokens + more_output,
        queries=queries,
        duration_us=duration,
    )
    if known is not None and bound is not None:
        assert known <= bound


@given(prices(), tokens, tokens, tokens, tokens)
def test_a_bound_grows_with_its_limits(
    price: Price, input_tokens: int, output_tokens: int, more_input: int, more_output: int
) -> None:
    bound = cost_bound(price, input_tokens=input_tokens, output_tokens=output_tokens)
    larger = cost_bound(
        price, input_tokens=input_tokens + more_input, output_tokens=output_tokens + more_output
    )
    if bound is None:
        # A rate that is needed for less is needed for more.
        assert larger is None
    elif larger is not None:
        assert larger >= bound


@given(prices(known_rates), st.integers(1, 5_000_000), tokens, st.data())
def test_a_bound_is_what_some_call_costs(
    price: Price, input_tokens: int, output_tokens: int, data: st.DataObject
) -> None:
    bound = cost_bound(price, input_tokens=input_tokens, output_tokens=output_tokens)
    assert bound is not None
    above = price.long_context.above if price.long_context is not None else input_tokens
    dearest = max(
        exact_cost(price, Usage(**{bucket: count}, output_tokens=output_tokens, **thought)) or 0
        for bucket in INPUT_BUCKETS
        for count in {input_tokens, min(input_tokens, above)}
        for thought in ({}, {"reasoning_tokens": output_tokens})
    )
    assert bound - 1 < dearest <= bound


def test_a_bound_counts_all_input_as_the_dearest_kind_of_it() -> None:
    price = Price(
        source="test",
        input=2 * DOLLAR,
        output=4 * DOLLAR,
        cache_read=DOLLAR,
        cache_write=3 * DOLLAR,
    )
    assert cost_bound(price, input_tokens=10, output_tokens=5) == 50_000
    assert cost_bound(replace(price, reasoning=6 * DOLLAR), input_tokens=10, output_tokens=5) == (
        60_000
    )


def test_a_bound_counts_the_long_tier_only_where_input_can_reach_it() -> None:
    tier = LongContextPrice(above=1_000, input=4 * DOLLAR, output=6 * DOLLAR)
    price = Price(source="test", input=2 * DOLLAR, output=3 * DOLLAR, long_context=tier)
    assert cost_bound(price, input_tokens=1_000, output_tokens=10) == 2_030_000
    assert cost_bound(price, input_tokens=1_001, output_tokens=10) == 4_064_000


def test_a_tier_that_is_cheaper_does_not_lower_the_bound() -> None:
    tier = LongContextPrice(above=1_000, input=DOLLAR, output=DOLLAR)
    price = Price(source="test", input=2 * DOLLAR, output=2 * DOLLAR, long_context=tier)
    assert cost_bound(price, input_tokens=1_001, output_tokens=10) == 2_020_000


@pytest.mark.parametrize("name", ["input", "output"])
def test_a_bound_needs_input_and_output_of_every_tier_that_may_apply(name: str) -> None:
    known: dict[str, Any] = {"input": DOLLAR, "output": DOLLAR}
    tier = LongContextPrice(above=1_000, **(known | {name: None}))
    price = Price(source="test", **known, long_context=tier)
    assert cost_bound(price, input_tokens=1_000, output_tokens=1) is not None
    assert cost_bound(price, input_tokens=1_001, output_tokens=1) is None
    assert cost_bound(replace(price, **{name: None}), input_tokens=1, output_tokens=1) is None


def test_what_is_free_is_bound_by_nothing() -> None:
    price = Price(source="test", input=0, output=0)
    assert cost_bound(price, input_tokens=10**9, output_tokens=10**9) == 0
    assert largest_output(price, 10**9, 0) == MOST_TOKENS


@given(prices(), tokens, st.integers(0, 100 * DOLLAR), queries, durations)
def test_the_largest_output_is_the_last_whose_bound_fits(
    price: Price, input_tokens: int, nanodollars: int, queries: int, duration: int
) -> None:
    def bound(output_tokens: int) -> int | None:
        return cost_bound(
            price,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            queries=queries,
            duration_us=duration,
        )

    largest = largest_output(
        price, input_tokens, nanodollars, queries=queries, duration_us=duration
    )
    if largest is None:
        least = bound(0)
        assert least is None or least > nanodollars or bound(1) is None
        return
    fits = bound(largest)
    assert fits is not None
    assert fits <= nanodollars
    if largest < MOST_TOKENS:
        next_one = bound(largest + 1)
        assert next_one is not None
        assert next_one > nanodollars


FIRST = date(2026, 3, 1)
SECOND = date(2026, 9, 1)


def changing() -> Price:
    return Price(
        source="a list",
        input=DOLLAR,
        output=DOLLAR,
        discount_ppm=100_000,
        long_context=LongContextPrice(above=10, input=2 * DOLLAR, output=2 * DOLLAR),
        changes=(
            PriceChange(since=FIRST, input=3 * DOLLAR, output=3 * DOLLAR, per_query=5_000_000),
            PriceChange(since=SECOND, input=4 * DOLLAR),
        ),
    )


def test_a_change_holds_from_its_day_on() -> None:
    price = changing()
    assert price.at(FIRST - timedelta(days=1)) is price
    first, second = price.at(FIRST), price.at(SECOND)
    assert price.at(SECOND - timedelta(days=1)) == first
    assert price.at(date(2099, 1, 1)) == second
    assert (first.input, first.output, first.per_query) == (3 * DOLLAR, 3 * DOLLAR, 5_000_000)
    # A change is the whole price: what it leaves out is not known.
    assert first.long_context is None
    assert (second.input, second.output, second.per_query) == (4 * DOLLAR, None, None)
    assert (second.source, second.discount_ppm) == ("a list", 100_000)
    assert cost(second, Usage(input_tokens=10)) == 36_000


def test_a_price_without_changes_is_that_of_every_day() -> None:
    price = Price(source="test", input=DOLLAR)
    assert price.at(date.min) is price


@pytest.mark.parametrize("second", [FIRST, FIRST - timedelta(days=1)])
def test_changes_out_of_order_are_refused(second: date) -> None:
    changes = (PriceChange(since=FIRST), PriceChange(since=second))
    with pytest.raises(ValueError, match=f"{second} behind {FIRST}"):
        Price(source="test", changes=changes)


def test_a_change_of_the_unit_is_refused() -> None:
    dearer = PriceChange(since=FIRST, input=99 * DOLLAR)
    assert Price(source="test", input=DOLLAR, changes=(dearer,)).at(FIRST).input == 99 * DOLLAR
    with pytest.raises(ValueError, match="input = 100000000000 after 1000000000: a hundredfold"):
        Price(source="test", input=DOLLAR, changes=(PriceChange(since=FIRST, input=100 * DOLLAR),))
    last = PriceChange(since=SECOND, input=900_000_000)
    with pytest.raises(ValueError, match="input = 900000000 after 99000000000: a hundredfold"):
        Price(source="test", input=DOLLAR, changes=(dearer, last))


@pytest.mark.parametrize(
    ("percent", "ppm"),
    [(0, 0), (0.0001, 1), ("12.5", 125_000), (7.25, 72_500), (99.9999, MOST_PPM)],
)
def test_a_discount_to_four_decimals(percent: float | str, ppm: int) -> None:
    assert discounted(Price(source="test", input=DOLLAR), percent).discount_ppm == ppm


@pytest.mark.parametrize("percent", [100, -1, 0.00001, 99.99995, "ten", float("nan"), 1e300])
def test_what_is_no_discount_is_refused(percent: float | str) -> None:
    with pytest.raises(ValueError, match="is no discount"):
        discounted(Price(source="test"), percent)


def test_a_price_with_its_own_discount_keeps_it() -> None:
    own = Price(source="test", input=DOLLAR, discount_ppm=200_000)
    assert discounted(own, 5) is own


@pytest.mark.parametrize("ppm", [-1, 1_000_000])
def test_a_discount_in_another_unit_is_refused(ppm: int) -> None:
    with pytest.raises(ValueError, match="`discount_ppm` is"):
        Price(source="test", discount_ppm=ppm)


def test_a_server_of_your_own_costs_what_you_say() -> None:
    price = own_price(input_dollars=0.1, output_dollars="0.30", hourly_dollars=2)
    usage = Usage(
        input_tokens=1_000_000, cache_read_tokens=500_000, output_tokens=100_000, reasoning_tokens=5
    )
    # 0.1 + 0.05 + 0.03, and half an hour of it.
    assert cost(price, usage, duration_us=1_800_000_000) == 1_180_000_000
    assert cost(own_price(hourly_dollars="1.50"), usage, duration_us=3_600_000_000) == (
        1_500_000_000
    )
    assert cost(own_price(), usage) == 0


@pytest.mark.parametrize("dollars", ["free", -1, 0.00000001, 20_000, 1e-10])
def test_what_is_no_price_of_a_server_is_refused(dollars: float | str) -> None:
    with pytest.raises(ValueError, match=r"amount of dollars|nanodollars per|finer than"):
        own_price(input_dollars=dollars)
    with pytest.raises(ValueError, match=r"amount of dollars|nanodollars per|finer than"):
        own_price(hourly_dollars=dollars)
