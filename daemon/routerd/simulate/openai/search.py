"""OpenAI's embeddings, and the rerank of the servers that speak like it (vLLM, llama.cpp, Jina)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from routerd.simulate.exchange import Question, Reply, Search
from routerd.simulate.openai.body import decoded_as
from routerd.simulate.openai.errors import invalid, missing
from routerd.simulate.search import base64_vector, expected_ranking, vectors_of
from routerd.simulate.tokens import count_tokens

__all__ = ["read_search", "search_body"]

MOST_INPUTS = 2048
MOST_TOKENS = 300_000
MOST_TOKENS_AN_INPUT = 8192


class EmbeddingRequest(msgspec.Struct):
    """The body of `POST /v1/embeddings`."""

    model: str | None = None
    input: Any = None
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"


class RerankRequest(msgspec.Struct):
    """The body of `POST /v1/rerank`."""

    model: str | None = None
    query: str | None = None
    documents: list[str] | None = None
    top_n: int | None = None
    return_documents: bool = False


EMBEDDING = msgspec.json.Decoder(EmbeddingRequest)
RERANK = msgspec.json.Decoder(RerankRequest)


def read_search(kind: str, data: bytes) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    if kind == "rerank":
        return read_rerank(data)
    body = decoded_as(EMBEDDING, data)
    if not body.model:
        raise invalid("you must provide a model parameter")
    if body.input is None:
        raise missing("input")
    texts = texts_of(body.input)
    if not texts or not all(texts):
        raise invalid("Invalid 'input': input cannot be an empty string.", param="input")
    if len(texts) > MOST_INPUTS:
        raise invalid(f"Invalid 'input': array too long, at most {MOST_INPUTS}.", param="input")
    tokens = [count_tokens(text) for text in texts]
    if max(tokens) > MOST_TOKENS_AN_INPUT:
        raise invalid(
            f"This model's maximum context length is {MOST_TOKENS_AN_INPUT} tokens, however you "
            f"requested {max(tokens)} tokens. Please reduce your prompt.",
            "context_length_exceeded",
        )
    if sum(tokens) > MOST_TOKENS:
        raise invalid(
            f"Requested {sum(tokens)} tokens, max {MOST_TOKENS} tokens per request",
            "max_tokens_per_request",
        )
    if body.dimensions is not None and body.model == "text-embedding-ada-002":
        raise invalid("This model does not support specifying dimensions.", param="dimensions")
    search = Search(
        texts=tuple(texts),
        dimensions=body.dimensions,
        in_base64=body.encoding_format == "base64",
    )
    return Question(model=body.model, said="", prompt=b"", search=search)


def read_rerank(data: bytes) -> Question:
    """Read a request for an order."""
    body = decoded_as(RERANK, data)
    if not body.query or not body.documents:
        raise missing("documents" if body.query else "query")
    search = Search(
        texts=tuple(body.documents),
        query=body.query,
        top=body.top_n,
        with_texts=body.return_documents,
    )
    return Question(model=body.model or "rerank", said="", prompt=b"", search=search)


def texts_of(value: Any) -> list[str]:
    """Return the texts of an input: one or many, as words or as the numbers of their tokens."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, int) for item in value) and value:
        return [str(value)]
    if isinstance(value, list) and all(isinstance(item, str | list) for item in value):
        return [item if isinstance(item, str) else str(item) for item in value]
    raise invalid("Invalid type for 'input': expected a string or an array.", param="input")


def search_body(reply: Reply, search: Search) -> bytes:
    """Write the answer."""
    if search.query is not None:
        return rerank_body(reply, search, search.query)
    vectors = vectors_of(reply.question.model, search)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64_vector(vector) if search.in_base64 else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": reply.usage.input, "total_tokens": reply.usage.input}
    return msgspec.json.encode(
        {"object": "list", "data": data, "model": reply.question.model, "usage": usage}
    )


def rerank_body(reply: Reply, search: Search, query: str) -> bytes:
    """Write an order as vLLM and Jina do."""
    model, texts = reply.question.model, list(search.texts)
    results: list[dict[str, Any]] = []
    for index, score in expected_ranking(model, query, texts, search.top):
        result: dict[str, Any] = {"index": index, "relevance_score": score}
        if search.with_texts:
            result["document"] = {"text": texts[index]}
        results.append(result)
    usage = {"total_tokens": reply.usage.input}
    return msgspec.json.encode(
        {"id": f"rerank-{reply.id[:20]}", "model": model, "usage": usage, "results": results}
    )
