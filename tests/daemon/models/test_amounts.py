from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.models import dollars_to_nanodollars, format_cents, format_dollars

DOLLAR = 1_000_000_000


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
