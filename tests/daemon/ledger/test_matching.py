"""Which names of an invoice and of the ledger mean the same model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.ledger.matching import groups_of, is_same_model

NAMES = st.sampled_from(
    (
        "sol",
        "sol-2026-10-01",
        "sol-2026-12-01",
        "sol-mini",
        "Sol",
        "luna",
        "luna-2611",
        "v/luna",
        "luna-2611-2612",
        "luna-2611-2612-2613",
        "2611",
        "sol-latest",
        "sol-latest-2611",
        "-2611",
    )
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-6.1-sol", "gpt-6.1-sol"),
        ("gpt-6.1-sol", "gpt-6.1-sol-2026-10-01"),
        ("claude-haiku-4-5-20251001", "Claude Haiku 4.5"),
        ("anthropic/claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("mistral-large-latest", "mistral-large-2512"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert is_same_model(one, other)
    assert is_same_model(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-6.1-sol", "gpt-6.1-sol-mini"),
        ("gpt-6.1", "gpt-6.1-sol"),
        ("claude-opus-4", "claude-opus-4-8"),
        ("gpt-6.1-sol-2026-10-01", "gpt-6.1-sol-2026-12-01"),
        ("gpt-6.1-sol", "gpt-6-1-terra"),
    ],
)
def test_not_the_same(one: str, other: str) -> None:
    assert not is_same_model(one, other)
    assert not is_same_model(other, one)


def test_an_alias_joins_its_snapshots() -> None:
    groups = groups_of(["sol-2026-10-01", "sol-2026-12-01", "luna"])
    assert len(set(groups.values())) == 3
    groups = groups_of([*groups, "sol"])
    assert len({groups["sol"], groups["sol-2026-10-01"], groups["sol-2026-12-01"]}) == 1
    assert groups["luna"] != groups["sol"]


def test_an_export_without_models_is_about_all_of_them() -> None:
    assert len(set(groups_of(["sol", "luna", ""]).values())) == 1


def test_very_many_names_are_no_trouble() -> None:
    names = [f"sol-{number}-20260101" for number in range(20_000)]
    assert (
        len(set(groups_of([*names, *(f"sol-{number}" for number in range(20_000))]).values()))
        == 20_000
    )


@given(st.lists(NAMES))
def test_groups_do_not_depend_on_order_and_keep_the_same_together(names: list[str]) -> None:
    groups = groups_of(names)
    assert groups == groups_of(reversed(names))
    assert groups.keys() == set(names)
    for one in names:
        for other in names:
            assert not is_same_model(one, other) or groups[one] == groups[other]
