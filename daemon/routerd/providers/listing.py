"""The list of models that a provider keeps, in any of the shapes it comes in.

Rules of this file: an entry without an id is skipped, a field that makes no sense is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from routerd.domain import Kind
from routerd.providers.base import ListedModel
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of

__all__ = ["read_models"]

# OpenRouter and Cohere, vLLM, Groq, Mistral, Anthropic, TEI and Gemini, each by its own name.
WINDOW_FIELDS: Final = (
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "max_input_tokens",
    "max_input_length",
    "inputTokenLimit",
)
LIST_FIELDS: Final = ("data", "models", "publisherModels")
# Of the Gemini API, and of Vertex.
COLLECTIONS: Final = ("models/", "publishers/google/models/")
END_FIELDS: Final = ("shutdown_date", "retires_at", "deprecation")


def read_models(body: bytes) -> list[ListedModel]:
    """Read an object's `data`, `models` or `publisherModels`, or a bare array; else an empty list.

    A server of one model says of that alone what it is: TEI.
    """
    try:
        value = read_json(body)
    except JSON_ERRORS:
        return []
    if isinstance(value, dict) and (alone := text_of(value.get("model_id"))) is not None:
        return [ListedModel(alone, _window(value), kind=_kind(value.get("model_type")))]
    entries = value
    if isinstance(value, dict):
        entries = next((value[name] for name in LIST_FIELDS if name in value), None)
    if not isinstance(entries, list):
        return []
    return [
        ListedModel(
            id=name,
            context_window=_window(entry),
            retires_at=_end(entry),
            retired=entry.get("lifecycle") == "retired",
        )
        for entry in entries
        if isinstance(entry, dict) and (name := _name(entry)) is not None
    ]


def _name(entry: dict[str, Any]) -> str | None:
    """Return a model's id; Google has it in `name` under a collection, Cohere by `endpoints`."""
    if (name := text_of(entry.get("id"))) is not None:
        return name
    named = text_of(entry.get("name"))
    if "endpoints" in entry:
        return named
    return next(
        (named.removeprefix(above) for above in COLLECTIONS if named and named.startswith(above)),
        None,
    )


def _kind(told: Any) -> Kind | None:
    """Return what TEI says its model is for, by the one member of an object."""
    if isinstance(told, dict):
        return "embedding" if "embedding" in told else "rerank" if "reranker" in told else None
    return None


def _window(entry: dict[str, Any]) -> int | None:
    meta = entry.get("meta")  # llama.cpp
    values = [entry.get(name) for name in WINDOW_FIELDS]
    values.append(meta.get("n_ctx") if isinstance(meta, dict) else None)
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _end(entry: dict[str, Any]) -> str | None:
    for name in END_FIELDS:
        value = entry.get(name)
        if (text := text_of(value)) is not None:
            return text
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1e11:
            return datetime.fromtimestamp(value, UTC).date().isoformat()
    return None
