"""The wire formats by name: the only place that knows every adapter.

Rules of this file: a new vendor is one entry here and a folder of its own.
"""

from __future__ import annotations

from typing import Final

from routerd.errors import SettingsError
from routerd.models.schema import Documents
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import Adapter
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.cohere import CohereAdapter
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.openai.responses import RESPONSES_DIALECTS, ResponsesAdapter

__all__ = ["ADAPTERS", "build_adapter", "documents_of", "fitted_base_url", "wire_of"]

# What an adapter writes itself, and users put at the end of a base address all the same.
VERSIONS: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("/v1",),
    "cohere": ("/v1", "/v2"),
    "gemini": ("/v1beta", "/v1"),
}

ADAPTERS: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": (),
    "bedrock": (),
    "cohere": (),
    "gemini": tuple(SERVICES),
    "openai": tuple(DIALECTS),
    "openai-responses": tuple(RESPONSES_DIALECTS),
}
"""Every adapter's name, with its dialects."""


def build_adapter(adapter: str, dialect: str | None = None) -> Adapter:
    """Return the adapter of that name; SettingsError names what there is instead."""
    dialects = ADAPTERS.get(adapter)
    if dialects is None:
        raise SettingsError(
            f"expected one of {', '.join(ADAPTERS)}; not {adapter!r}", key="adapter"
        )
    if dialect is not None and dialect not in dialects:
        known = f"one of {', '.join(dialects)}" if dialects else "none"
        raise SettingsError(
            f"the adapter {adapter} has no dialect {dialect!r}; expected {known}", key="dialect"
        )
    if adapter == "anthropic":
        return AnthropicAdapter()
    if adapter == "cohere":
        return CohereAdapter()
    if adapter == "gemini":
        return GeminiAdapter(SERVICES[dialect or "gemini"])
    if adapter == "openai-responses":
        return ResponsesAdapter(RESPONSES_DIALECTS[dialect or "openai"])
    if adapter == "bedrock":
        return BedrockAdapter()
    return OpenAIAdapter(DIALECTS[dialect or "openai"])


def wire_of(adapter: str, dialect: str | None) -> str:
    """Return what a wire is called by who sends parameters to one alone.

    Vertex is another address, not another wire.
    """
    return adapter if adapter == "gemini" else dialect or adapter


def documents_of(adapter: str, dialect: str | None = None) -> Documents | None:
    """Return which documents a wire format carries besides plain text."""
    if adapter in ("anthropic", "gemini"):
        return "url"
    if adapter == "cohere":
        return None
    if adapter == "openai-responses":
        return RESPONSES_DIALECTS[dialect or "openai"].files
    if adapter == "bedrock":
        return "data"
    carried = DIALECTS[dialect or "openai"].documents
    return "data" if carried == "file" else "url" if carried == "document_url" else None


def fitted_base_url(adapter: str, dialect: str | None, base_url: str) -> str:
    """Return a base address with the end that the wire format's paths are added to.

    Users give it with and without the version of the API, and with a query, which stays.
    """
    address, mark, query = base_url.partition("?")
    address = address.rstrip("/")
    spoken = DIALECTS.get(dialect or "openai") if adapter == "openai" else None
    if spoken is not None:
        scheme, _, rest = address.partition("://")
        if "/" not in rest:
            address = f"{scheme}://{rest}{spoken.base_path}"
    else:
        for version in VERSIONS.get(dialect or "", VERSIONS.get(adapter, ())):
            address = address.removesuffix(version)
    return f"{address}{mark}{query}"
