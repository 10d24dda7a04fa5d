from __future__ import annotations

import pytest

from routerd.errors import SettingsError
from routerd.models import load_directory
from routerd.providers.registry import ADAPTERS, KNOWN, build_adapter, fitted_base_url


def test_every_name_builds_an_adapter() -> None:
    for name, dialects in KNOWN.items():
        assert build_adapter(name).name == name
        for dialect in dialects:
            assert build_adapter(name, dialect).name == name


@pytest.mark.parametrize(
    ("adapter", "dialect", "said"),
    [
        ("nobody", None, "anthropic, bedrock, cohere, gemini, "),
        ("openai", "nobody", "openai, azure, .*compatible, .*mistral"),
        ("anthropic", "openai", "expected none"),
    ],
)
def test_an_unknown_name_says_what_there_is(adapter: str, dialect: str | None, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        build_adapter(adapter, dialect)


@pytest.mark.parametrize(
    ("adapter", "dialect", "given", "fitted"),
    [
        ("openai", None, "https://a.example", "https://a.example/v1"),
        ("openai", "vllm", "http://10.0.0.5:8000/", "http://10.0.0.5:8000/v1"),
        ("openai", "vllm", "http://10.0.0.5:8000/v1/", "http://10.0.0.5:8000/v1"),
        ("openai", "compatible", "http://[::1]:8000", "http://[::1]:8000/v1"),
        ("openai", "compatible", "https://a.example/cortex", "https://a.example/cortex"),
        ("openai", "deepseek", "https://api.deepseek.com", "https://api.deepseek.com"),
        ("openai", "groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("openai", "zai", "https://api.z.ai", "https://api.z.ai/api/paas/v4"),
        ("openai", "azure", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1"),
        (
            "openai",
            "azure-deployments",
            "https://r.openai.azure.com/?api-version=1",
            "https://r.openai.azure.com/openai?api-version=1",
        ),
        ("openai-responses", None, "https://api.openai.com", "https://api.openai.com/v1"),
        ("openai-responses", "groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("openai-responses", "azure", "https://r.azure.com/", "https://r.azure.com/openai/v1"),
        ("openai-responses", "bedrock", "https://m.api.aws", "https://m.api.aws/openai/v1"),
        ("openai-responses", "compatible", "http://h:8000/v1", "http://h:8000/v1"),
        ("anthropic", None, "https://a.example/v1/", "https://a.example"),
        ("anthropic", None, "https://a.example/proxy/v1", "https://a.example/proxy"),
        ("cohere", None, "https://api.cohere.com/v2", "https://api.cohere.com"),
        ("cohere", None, "https://api.cohere.com", "https://api.cohere.com"),
        ("gemini", None, "https://g.example/v1beta", "https://g.example"),
        ("gemini", "vertex", "https://g.example/v1", "https://g.example/v1"),
        ("gemini", "vertex", "https://g.example/v1/publishers/google/", "https://g.example/v1"),
    ],
)
def test_a_base_address_may_be_given_with_and_without_the_version(
    adapter: str, dialect: str | None, given: str, fitted: str
) -> None:
    assert fitted_base_url(adapter, dialect, given) == fitted
    assert fitted_base_url(adapter, dialect, fitted) == fitted


def test_the_shipped_addresses_fit() -> None:
    for provider in load_directory().providers.values():
        if provider.adapter in ADAPTERS:
            given = provider.base_url
            assert fitted_base_url(provider.adapter, provider.dialect, given) == given
