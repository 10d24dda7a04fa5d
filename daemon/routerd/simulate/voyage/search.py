"""Voyage's embeddings and rerank: read, checked as Voyage checks them, and answered."""

from __future__ import annotations

from typing import Any

import msgspec

from routerd.simulate.exchange import Question, Refusal, Reply, Search
from routerd.simulate.search import base64_vector, expected_ranking, vectors_of

__all__ = ["invalid", "read_search", "search_body"]

MOST_TEXTS = 1000


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/embeddings`."""

    model: str = ""
    input: str | list[str] = ""
    input_type: str | None = None
    truncation: bool | None = True
    output_dimension: int | None = None
    output_dtype: str | None = "float"
    encoding_format: str | None = None


class RerankRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/rerank`."""

    model: str = ""
    query: str = ""
    documents: list[str] = []
    top_k: int | None = None
    return_documents: bool = False
    truncation: bool = True


EMBEDDING = msgspec.json.Decoder(EmbeddingRequest)
RERANK = msgspec.json.Decoder(RerankRequest)


def invalid(message: str) -> Refusal:
    """Make a 400."""
    return Refusal(400, "", message)


def read_search(kind: str, data: bytes) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    try:
        return read_rerank(RERANK.decode(data)) if kind == "rerank" else read_embedding(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"Your request is malformed: {error}") from None


def read_embedding(data: bytes) -> Question:
    """Read a request for vectors."""
    body = EMBEDDING.decode(data)
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not body.model:
        raise invalid("Argument 'model' is required.")
    if not texts or not all(texts):
        raise invalid("Input cannot contain empty strings or empty lists")
    if len(texts) > MOST_TEXTS:
        raise invalid(f"The batch size limit is {MOST_TEXTS}. Your batch size is {len(texts)}.")
    if body.input_type not in (None, "query", "document"):
        raise invalid(f"Value '{body.input_type}' provided for argument 'input_type' is invalid.")
    search = Search(
        texts=tuple(texts),
        dimensions=body.output_dimension,
        in_base64=body.encoding_format == "base64",
    )
    return Question(model=body.model, said="", prompt=b"", search=search)


def read_rerank(body: RerankRequest) -> Question:
    """Read a request for an order."""
    if not body.model:
        raise invalid("Argument 'model' is required.")
    if not body.query or not body.documents:
        raise invalid("Query and documents cannot be empty.")
    search = Search(
        texts=tuple(body.documents),
        query=body.query,
        top=body.top_k,
        with_texts=body.return_documents,
    )
    return Question(model=body.model, said="", prompt=b"", search=search)


def search_body(reply: Reply, search: Search) -> bytes:
    """Write the answer."""
    model, texts = reply.question.model, list(search.texts)
    data: list[dict[str, Any]] = []
    if search.query is not None:
        for index, score in expected_ranking(model, search.query, texts, search.top):
            item: dict[str, Any] = {"index": index, "relevance_score": score}
            if search.with_texts:
                item["document"] = texts[index]
            data.append(item)
    else:
        for index, vector in enumerate(vectors_of(model, search)):
            written = base64_vector(vector) if search.in_base64 else vector
            data.append({"object": "embedding", "embedding": written, "index": index})
    usage = {"total_tokens": reply.usage.input}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})
