"""Asking a simulated vendor for vectors or an order as the router does: by the vendor's wire."""

from __future__ import annotations

from typing import Any

import httpx

from routerd.domain import Part
from routerd.errors import Failure
from routerd.providers.base import Outcome
from routerd.providers.registry import build_adapter, search_wires
from routerd.providers.search import EmbedRequest, RankRequest
from routerd.simulate import Simulator

__all__ = ["PATHS", "VENDORS", "VERTEX_TOKEN", "ask"]

# Where each vendor is found at a simulator, and a server that speaks like the first of them.
PATHS = {
    "openai": "/openai/v1",
    "compatible": "/openai/v1",
    "tei": "/tei",
    "cohere": "/cohere",
    "gemini": "/gemini",
    "voyage": "/voyage/v1",
}
VENDORS = [name for name in PATHS if name != "compatible"]
# Who speaks a vendor's format in a dialect, and Vertex, which takes one text at a time.
DIALECTS = {"compatible": "openai", "tei": "openai", "vertex": "gemini"}
VERTEX = {"vertex": "/vertex/v1/projects/p-1/locations/global"}
VERTEX_TOKEN = "ya29.a-token"


async def ask(
    simulator: Simulator, adapter: str, request: EmbedRequest | RankRequest
) -> tuple[list[Part], Outcome | Failure]:
    """Ask once: the parts and what the answer amounts to, or no parts and why it failed."""
    name, dialect = (DIALECTS[adapter], adapter) if adapter in DIALECTS else (adapter, None)
    wires: dict[Any, Any] = dict(search_wires(name, dialect))
    wire = wires["embedding" if isinstance(request, EmbedRequest) else "rerank"]
    sent = wire.encode(request)
    key = build_adapter(name, dialect).authorize("test")
    if adapter == "vertex":
        key = [(b"authorization", f"Bearer {VERTEX_TOKEN}".encode())]
    async with httpx.AsyncClient(trust_env=False) as client:
        url = simulator.base_url + (PATHS | VERTEX)[adapter] + sent.path
        answer = await client.post(url, headers=[*sent.headers, *key], content=sent.body)
    assert answer.headers["x-routerd-simulated"] == "1"
    if answer.status_code != 200:
        return [], wire.failure(answer.status_code, dict(answer.headers), answer.content)
    decoder = wire.decoder(request)
    parts = [*decoder.feed(answer.content), *decoder.end()]
    return parts, decoder.outcome
