"""What stands beside the text of an answer: its sources, sound, pictures, what the server ran.

Rules of this file: pure. A source is an object, or its address alone. Perplexity and xAI list those
of the whole answer, Perplexity at times both ways: an address that an object has says nothing more.
Groq's systems have them in what they ran. Known from recorded answers, and Groq's own client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from routerd.providers.openai.wire import Chunk, Delta

__all__ = ["found_by", "kinds_beside", "sources_of"]

Json = dict[str, Any]


def sources_of(chunk: Chunk) -> Iterator[Json]:
    """Yield the sources of the whole answer that a chunk lists."""
    known: set[str] = set()
    for source in _objects(chunk.search_results):
        if isinstance(url := source.get("url"), str):
            known.add(url)
        yield source
    for source in chunk.citations if isinstance(chunk.citations, list) else ():
        if isinstance(source, str):
            if source not in known:
                yield {"url": source}
        elif isinstance(source, dict):
            yield source


def kinds_beside(delta: Delta) -> Iterator[str]:
    """Yield the kinds of what is no text; some servers send a sound with nothing in it."""
    audio = delta.audio
    if any(audio.values()) if isinstance(audio, dict) else audio:
        yield "audio"
    if delta.images:
        yield "images"
    if delta.executed_tools:
        yield "executed_tools"


def found_by(executed: Any) -> Iterator[Json]:
    """Yield what searches found that the server ran itself."""
    for tool in _objects(executed):
        found = tool.get("search_results")
        yield from _objects(found.get("results") if isinstance(found, dict) else found)


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
