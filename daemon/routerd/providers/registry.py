"""The wire formats by name: the only place that knows every adapter.

Rules of this file: a new vendor is one entry here and a folder of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from routerd.domain import Kind
from routerd.errors import SettingsError
from routerd.models.schema import Documents
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import Adapter
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.cohere import CohereAdapter
from routerd.providers.cohere.embed import CohereEmbedding
from routerd.providers.cohere.rerank import CohereRerank
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd.providers.gemini.embed import GeminiEmbedding
from routerd.providers.gemini.vertex_embed import VertexEmbedding
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.openai.embed import OpenAIEmbedding
from routerd.providers.openai.rerank import OpenAIRerank
from routerd.providers.openai.responses import RESPONSES_DIALECTS, ResponsesAdapter
from routerd.providers.search import SearchWire
from routerd.providers.voyage import VoyageAdapter
from routerd.providers.voyage.embed import VoyageEmbedding
from routerd.providers.voyage.rerank import VoyageRerank

__all__ = [
    "ADAPTERS",
    "KNOWN",
    "WITHOUT_CHAT",
    "build_adapter",
    "documents_of",
    "fitted_base_url",
    "search_wires",
    "wire_of",
]

# How a base address ends where a server answers in Responses and in no other format here.
ONLY_RESPONSES: Final = {"bedrock": "/openai/v1"}
# What an adapter writes itself, and users put at the end of a base address all the same.
VERSIONS: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("/v1",),
    "cohere": ("/v1", "/v2"),
    "gemini": ("/v1beta", "/v1"),
    "vertex": ("/publishers/google/models", "/publishers/google", "/publishers"),
    "tei": ("/v1",),
}

ADAPTERS: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": (),
    "bedrock": (),
    "cohere": (),
    "gemini": tuple(SERVICES),
    "openai": tuple(DIALECTS),
    "openai-responses": tuple(RESPONSES_DIALECTS),
}
"""The name of every adapter for chat, with its dialects."""

WITHOUT_CHAT: Final[dict[str, tuple[str, ...]]] = {"voyage": ()}
"""The same of those that have none."""

KNOWN: Final = ADAPTERS | WITHOUT_CHAT


WITHOUT_DIALECTS: Final[dict[str, Callable[[], Adapter]]] = {
    "anthropic": AnthropicAdapter,
    "bedrock": BedrockAdapter,
    "cohere": CohereAdapter,
    "voyage": VoyageAdapter,
}


def build_adapter(adapter: str, dialect: str | None = None) -> Adapter:
    """Return the adapter of that name; SettingsError names what there is instead."""
    dialects = KNOWN.get(adapter)
    if dialects is None:
        raise SettingsError(f"expected one of {', '.join(KNOWN)}; not {adapter!r}", key="adapter")
    if dialect is not None and dialect not in dialects:
        known = f"one of {', '.join(dialects)}" if dialects else "none"
        raise SettingsError(
            f"the adapter {adapter} has no dialect {dialect!r}; expected {known}", key="dialect"
        )
    if adapter in WITHOUT_DIALECTS:
        return WITHOUT_DIALECTS[adapter]()
    if adapter == "gemini":
        return GeminiAdapter(SERVICES[dialect or "gemini"])
    if adapter == "openai-responses":
        return ResponsesAdapter(RESPONSES_DIALECTS[dialect or "openai"])
    return OpenAIAdapter(DIALECTS[dialect or "openai"])


def wire_of(adapter: str, dialect: str | None) -> str:
    """Return what a wire is called by who sends parameters to one alone.

    Vertex is another address, not another wire.
    """
    return adapter if adapter == "gemini" else dialect or adapter


def search_wires(adapter: str, dialect: str | None = None) -> dict[Kind, SearchWire]:
    """Return the wires of a format for what is no chat, by the kind of call."""
    if adapter in ("openai", "openai-responses"):
        # Who answers in Responses embeds at the same address.
        spoken = DIALECTS.get(dialect or "openai", DIALECTS["openai"])
        return {"embedding": OpenAIEmbedding(spoken), "rerank": OpenAIRerank(spoken)}
    if adapter == "cohere":
        return {"embedding": CohereEmbedding(), "rerank": CohereRerank()}
    if adapter == "voyage":
        return {"embedding": VoyageEmbedding(), "rerank": VoyageRerank()}
    if adapter == "gemini":
        # Vertex has other addresses and other bodies for vectors.
        return {"embedding": VertexEmbedding() if dialect == "vertex" else GeminiEmbedding()}
    return {}


def documents_of(adapter: str, dialect: str | None = None) -> Documents | None:
    """Return which documents a wire format carries besides plain text."""
    if adapter in ("anthropic", "gemini"):
        return "url"
    if adapter in ("cohere", "voyage"):
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
    scheme, _, rest = address.partition("://")
    if "/" not in rest and adapter in ("openai", "openai-responses"):
        # Both formats of a server are behind the same beginning; Mantle has one of them only.
        spoken = DIALECTS.get(dialect or "openai")
        begins = ONLY_RESPONSES.get(dialect or "") if spoken is None else spoken.base_path
        address = f"{scheme}://{rest}{begins or ''}"
    for version in VERSIONS.get(dialect or "", VERSIONS.get(adapter, ())):
        address = address.removesuffix(version)
    return f"{address}{mark}{query}"
