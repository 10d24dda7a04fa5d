from __future__ import annotations

import pytest

from routerd.errors import SettingsError
from routerd.providers.registry import ADAPTERS, build_adapter


def test_every_name_builds_an_adapter() -> None:
    for name, dialects in ADAPTERS.items():
        assert build_adapter(name).name == name
        for dialect in dialects:
            assert build_adapter(name, dialect).name == name


@pytest.mark.parametrize(
    ("adapter", "dialect", "said"),
    [
        ("nobody", None, "anthropic, cohere, gemini, "),
        ("openai", "nobody", "openai, azure, .*compatible, .*mistral"),
        ("anthropic", "openai", "expected none"),
    ],
)
def test_an_unknown_name_says_what_there_is(adapter: str, dialect: str | None, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        build_adapter(adapter, dialect)
