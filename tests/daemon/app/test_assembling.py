"""How many requests may run at once at each provider, by what the file says and does not say."""

from __future__ import annotations

import pytest

from routerd.app.assembling import places_at
from routerd.settings import Limits, ProviderSettings, Settings


@pytest.mark.parametrize(("in_flight", "share"), [(2048, 1536), (4, 3), (1, 1)])
def test_one_of_several_takes_three_quarters_of_the_places(in_flight: int, share: int) -> None:
    settings = Settings(limits=Limits(in_flight=in_flight))
    assert places_at(["a", "b"], settings) == {"a": share, "b": share}


def test_the_only_one_takes_all() -> None:
    assert places_at(["a"], Settings(limits=Limits(in_flight=10))) == {"a": 10}


def test_what_the_file_says_counts() -> None:
    tables = {"a": ProviderSettings(max_in_flight=2), "b": ProviderSettings()}
    settings = Settings(limits=Limits(in_flight=8), providers=tables)
    assert places_at(["a", "b", "found"], settings) == {"a": 2, "b": 6, "found": 6}
    assert places_at(["a"], settings) == {"a": 2}
