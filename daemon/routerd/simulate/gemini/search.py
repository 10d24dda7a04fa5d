"""Gemini's embeddings, one text at a time and in batches, and Vertex's predictions of them."""

from __future__ import annotations

from typing import Any

import msgspec

from routerd.simulate.exchange import Question, Reply, Search
from routerd.simulate.gemini.errors import invalid
from routerd.simulate.search import vectors_of

__all__ = ["read_search", "search_body"]

MOST_TEXTS = 100
BATCH = "batchEmbedContents"
PREDICT = "predict"
# A model that does not say what it used.
SILENT = "gemini-embedding-001"


class Content(msgspec.Struct):
    """What is to be made a vector of."""

    parts: list[dict[str, Any]] = []


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """What is asked of a vector, as Vertex takes it."""

    task_type: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool = True


class EmbedRequest(msgspec.Struct, rename="camel"):
    """One request, alone or in a batch."""

    content: Content | None = None
    model: str = ""
    task_type: str | None = None
    output_dimensionality: int | None = None
    embed_content_config: Config = Config()

    def dimensions(self) -> int | None:
        """Return the length that is asked for, wherever it is said."""
        told = self.embed_content_config.output_dimensionality
        return self.output_dimensionality if told is None else told


class BatchRequest(msgspec.Struct):
    """The body of a batch."""

    requests: list[EmbedRequest] = []


class Instance(msgspec.Struct):
    """A text that Vertex makes a vector of."""

    content: str = ""
    task_type: str | None = None


class Parameters(msgspec.Struct, frozen=True, rename="camel"):
    """What all of them have in common."""

    output_dimensionality: int | None = None
    auto_truncate: bool = True


class PredictRequest(msgspec.Struct):
    """The body of a prediction."""

    instances: list[Instance] = []
    parameters: Parameters = Parameters()


PREDICTED = msgspec.json.Decoder(PredictRequest)
ONE = msgspec.json.Decoder(EmbedRequest)
MANY = msgspec.json.Decoder(BatchRequest)


def read_search(method: str, data: bytes, model: str) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    if method == PREDICT:
        return read_prediction(data, model)
    try:
        requests = MANY.decode(data).requests if method == BATCH else [ONE.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if not requests:
        raise invalid("* BatchEmbedContentsRequest.requests: at least one is needed")
    if len(requests) > MOST_TEXTS:
        raise invalid(
            f"* BatchEmbedContentsRequest.requests: at most {MOST_TEXTS} requests can be in one "
            "batch"
        )
    if method == BATCH and any(one.model != f"models/{model}" for one in requests):
        raise invalid("* BatchEmbedContentsRequest.requests[].model: must match the parent's")
    texts = [text_of(one.content) for one in requests]
    search = Search(texts=tuple(texts), dimensions=requests[0].dimensions(), shape=method)
    return Question(model=model, said="", prompt=b"", search=search)


def read_prediction(data: bytes, model: str) -> Question:
    """Read the body of a prediction: one text alone."""
    try:
        body = PREDICTED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if len(body.instances) != 1 or not body.instances[0].content:
        raise invalid("The text content is empty, or there are more instances than one.")
    search = Search(
        texts=(body.instances[0].content,),
        dimensions=body.parameters.output_dimensionality,
        shape=PREDICT,
    )
    return Question(model=model, said="", prompt=b"", search=search)


def text_of(content: Content | None) -> str:
    """Return the text of a content; none is refused."""
    text = "".join(str(part.get("text") or "") for part in (content.parts if content else []))
    if not text:
        raise invalid("* EmbedContentRequest.content: contents is empty")
    return text


def search_body(reply: Reply, search: Search) -> bytes:
    """Write the answer."""
    vectors: list[dict[str, Any]] = [
        {"values": vector} for vector in vectors_of(reply.question.model, search)
    ]
    if search.shape == PREDICT:
        statistics = {"token_count": reply.usage.input, "truncated": False}
        found = [{"embeddings": {**vector, "statistics": statistics}} for vector in vectors]
        return msgspec.json.encode({"predictions": found})
    body: dict[str, Any] = {"embeddings": vectors}
    if search.shape != BATCH:
        body = {"embedding": vectors[0]}
    if reply.question.model != SILENT:
        body["usageMetadata"] = {
            "promptTokenCount": reply.usage.input,
            "promptTokenDetails": [{"modality": "TEXT", "tokenCount": reply.usage.input}],
        }
    return msgspec.json.encode(body)
