"""Hugging Face's text-embeddings-inference: a server for one model that embeds or ranks.

Sans-I/O. Vectors come in OpenAI's format, an order in its own; the words of its errors are those of
its source. It asks for no key, and says of its one model what it is for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from routerd.simulate.exchange import Asked, HttpAnswer, Question, Refusal, Reply, Search
from routerd.simulate.openai import OpenAI
from routerd.simulate.openai.body import decoded_as
from routerd.simulate.openai.search import search_body
from routerd.simulate.search import expected_ranking
from routerd.simulate.tokens import count_tokens
from routerd.simulate.vendor import JSON_HEADERS, RequestNames, Route, page, waiting_headers

__all__ = ["TEI"]

MOST_TEXTS = 32
MOST_TOKENS = 8192
KINDS = {413: "Validation", 422: "Tokenizer", 424: "Backend", 429: "Overloaded"}
OVERLOADED = "Model is overloaded"


class RankRequest(msgspec.Struct):
    """The body of `POST /rerank`."""

    query: str
    texts: list[str]
    truncate: bool | None = False
    return_text: bool = False


RANK = msgspec.json.Decoder(RankRequest)


class TEI(OpenAI):
    """Embeddings in OpenAI's format, rerank and the description of the model in its own."""

    name = "tei"
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", re.compile(r"/v1/(?P<search>embeddings)"), "call"),
        Route("POST", re.compile(r"/(?P<search>rerank)"), "call"),
        Route("GET", re.compile(r"/info"), "models"),
    )
    listed_models = ("BAAI/bge-m3",)

    def authenticate(self, asked: Asked) -> None:
        """Take everybody."""

    def question(self, asked: Asked) -> Question:
        """Read a request; no more texts than it was started for, and none that is too long."""
        truncate = False
        if asked.fields["search"] == "rerank":
            body = decoded_as(RANK, asked.body)
            truncate = bool(body.truncate)
            question = Question(
                model=self.listed_models[0],
                said="",
                prompt=b"",
                search=Search(
                    texts=tuple(body.texts), query=body.query, with_texts=body.return_text
                ),
            )
        else:
            question = super().question(asked)
        texts = question.search.texts if question.search is not None else ()
        if len(texts) > MOST_TEXTS:
            most = f"maximum allowed batch size {MOST_TEXTS}"
            raise Refusal(413, "", f"batch size {len(texts)} > {most}")
        longest = max(map(count_tokens, texts), default=0)
        if longest >= MOST_TOKENS and not truncate:
            most = f"must have less than {MOST_TOKENS} tokens"
            raise Refusal(413, "", f"`inputs` {most}. Given: {longest}")
        return question

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the model that answers, and nothing of limits."""
        del names, question
        return {"x-compute-type": "cpu"}

    def whole(self, reply: Reply) -> bytes:
        """Write vectors as OpenAI does, or an order as a bare list."""
        search = reply.question.search
        if search is None or search.query is None:
            return super().whole(reply) if search is None else search_body(reply, search)
        found = expected_ranking(reply.question.model, search.query, list(search.texts), None)
        return msgspec.json.encode([{"index": index, "score": score} for index, score in found])

    def refused(self, refusal: Refusal, names: RequestNames) -> HttpAnswer:
        """Write an error answer."""
        if refusal.page:
            return page(refusal.status)
        headers = {**JSON_HEADERS, **waiting_headers(refusal.retry_after)}
        return HttpAnswer(refusal.status, headers, self.error_in_body(refusal, names))

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write an error in its own shape."""
        del names
        message = OVERLOADED if refusal.status == 429 else refusal.message
        kind = KINDS.get(refusal.status, "Backend")
        return msgspec.json.encode({"error": message, "error_type": kind})

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Say which model it serves, and what for, as its name has it."""
        del asked
        kind = "reranker" if "rerank" in models[0] else "embedding"
        return msgspec.json.encode(
            {
                "model_id": models[0],
                "model_dtype": "float16",
                "model_type": {kind: {}},
                "max_input_length": MOST_TOKENS,
                "max_client_batch_size": MOST_TEXTS,
                "version": "1.7.1",
            }
        )
