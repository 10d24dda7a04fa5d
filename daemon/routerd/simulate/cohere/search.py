"""Cohere's Embed and Rerank, version 2: read, checked as Cohere checks them, and answered."""

from __future__ import annotations

from typing import Any

import msgspec

from routerd.simulate.cohere.errors import invalid
from routerd.simulate.exchange import Question, Reply, Search
from routerd.simulate.search import base64_vector, expected_ranking, vectors_of

__all__ = ["read_search", "search_body"]

MOST_TEXTS = 96
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
TYPES = ("float", "int8", "uint8", "binary", "ubinary", "base64")


class EmbedRequest(msgspec.Struct):
    """The body of `POST /v2/embed`."""

    model: str = ""
    input_type: str | None = None
    texts: list[str] = []
    embedding_types: tuple[str, ...] = ("float",)
    output_dimension: int | None = None
    truncate: str = "END"


class RerankRequest(msgspec.Struct):
    """The body of `POST /v2/rerank`."""

    model: str = ""
    query: str = ""
    documents: list[str] = []
    top_n: int | None = None
    max_tokens_per_doc: int | None = None


EMBED = msgspec.json.Decoder(EmbedRequest)
RERANK = msgspec.json.Decoder(RerankRequest)


def read_search(kind: str, data: bytes) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    try:
        return read_rerank(RERANK.decode(data)) if kind == "rerank" else read_embed(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"invalid json syntax: {error}") from None


def read_embed(data: bytes) -> Question:
    """Read a request for vectors."""
    body = EMBED.decode(data)
    if not body.model:
        raise invalid("model is required")
    if body.input_type not in INPUT_TYPES:
        raise invalid("valid input_type must be provided with the provided model")
    if not body.texts or not all(body.texts):
        raise invalid("invalid request: texts must be non-empty")
    if len(body.texts) > MOST_TEXTS:
        raise invalid(
            f"invalid request: total number of texts must be at most {MOST_TEXTS} - received "
            f"{len(body.texts)}"
        )
    if unknown := [name for name in body.embedding_types if name not in TYPES]:
        raise invalid(f"invalid embedding type: {unknown[0]}")
    search = Search(
        texts=tuple(body.texts),
        dimensions=body.output_dimension,
        in_base64="base64" in body.embedding_types,
    )
    return Question(model=body.model, said="", prompt=b"", search=search)


def read_rerank(body: RerankRequest) -> Question:
    """Read a request for an order."""
    if not body.model:
        raise invalid("model is required")
    if not body.query or not body.documents:
        raise invalid("invalid request: query and documents must be non-empty")
    search = Search(texts=tuple(body.documents), query=body.query, top=body.top_n)
    return Question(model=body.model, said="", prompt=b"", search=search)


def search_body(reply: Reply, search: Search) -> bytes:
    """Write the answer."""
    meta: dict[str, Any] = {"api_version": {"version": "2"}}
    if search.query is not None:
        ranking = expected_ranking(
            reply.question.model, search.query, list(search.texts), search.top
        )
        results = [{"index": index, "relevance_score": score} for index, score in ranking]
        meta["billed_units"] = {"search_units": reply.usage.queries}
        return msgspec.json.encode({"id": reply.id[:36], "results": results, "meta": meta})
    vectors = vectors_of(reply.question.model, search)
    meta["billed_units"] = {"input_tokens": reply.usage.input}
    found: dict[str, Any] = {"float": vectors}
    if search.in_base64:
        found = {"base64": [base64_vector(vector) for vector in vectors]}
    return msgspec.json.encode(
        {
            "id": reply.id[:36],
            "embeddings": found,
            "texts": search.texts,
            "meta": meta,
            "response_type": "embeddings_by_type",
        }
    )
