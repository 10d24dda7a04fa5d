"""What is made of each vendor's answer: vectors and orders, whole and in place, or none."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Kind, Part, Usage
from routerd.errors import ErrorClass
from routerd.providers.base import Outcome
from routerd.providers.registry import search_wires
from routerd.providers.search import EmbedRequest, RankRequest, SearchWire
from routerd_proto.search import Ranked, RankingAdded, VectorsAdded

EMBED = EmbedRequest("m", ["a", "b"])
RANK = RankRequest("m", "q", ["a", "b", "c"])
VECTORS = [[0.5, -1.0, 0.25], [1.0, 0.0, -0.125]]
PACKED = struct.pack("<6f", *VECTORS[0], *VECTORS[1])
FOUND = VectorsAdded(0, 3, PACKED)


def base64_of(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def items(*, in_base64: bool = False, order: tuple[int, ...] = (0, 1)) -> list[dict[str, Any]]:
    return [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64_of(VECTORS[index]) if in_base64 else VECTORS[index],
        }
        for index in order
    ]


OPENAI = {
    "object": "list",
    "data": items(),
    "model": "m-2312",
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}
COHERE = {
    "id": "e1",
    "embeddings": {"float": VECTORS},
    "texts": ["a", "b"],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}},
    "response_type": "embeddings_by_type",
}
GEMINI = {
    "embeddings": [{"values": vector} for vector in VECTORS],
    "usageMetadata": {"promptTokenCount": 7, "promptTokenDetails": [{"modality": "TEXT"}]},
}
VOYAGE = OPENAI | {"data": items(in_base64=True), "usage": {"total_tokens": 7}}
ANSWERS = {
    "openai": OPENAI,
    "compatible": OPENAI,
    "cohere": COHERE,
    "gemini": GEMINI,
    "voyage": VOYAGE,
}
RESULTS = [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.5}]
RESULTS.append({"index": 1, "relevance_score": -3.0})
ORDER = RankingAdded([Ranked(2, 0.9), Ranked(0, 0.5), Ranked(1, -3.0)])
RANKINGS: dict[str, Any] = {
    "compatible": {"id": "r1", "model": "m", "usage": {"total_tokens": 9}, "results": RESULTS},
    "tei": [{"index": item["index"], "score": item["relevance_score"]} for item in RESULTS],
    "cohere": {"id": "r1", "results": RESULTS, "meta": {"billed_units": {"search_units": 1}}},
    "voyage": {"object": "list", "data": RESULTS, "model": "m", "usage": {"total_tokens": 9}},
}


def wires(name: str) -> dict[Kind, SearchWire]:
    """Return the wires of a vendor, or of a server that is not known better."""
    return search_wires("openai", name) if name in ("compatible", "tei") else search_wires(name)


def read(
    adapter: str, body: bytes, request: Any = EMBED, *, cut: int | None = None
) -> tuple[list[Part], Outcome]:
    kind: Kind = "embedding" if isinstance(request, EmbedRequest) else "rerank"
    decoder = wires(adapter)[kind].decoder(request)
    pieces = [body] if cut is None else [body[:cut], body[cut:]]
    for piece in pieces:
        assert decoder.feed(piece) == []
    parts = decoder.end()
    assert decoder.end() == []
    return parts, decoder.outcome


def refused(adapter: str, body: bytes, request: Any = EMBED) -> str:
    """Return why an answer is none."""
    parts, outcome = read(adapter, body, request)
    assert (parts, outcome.complete) == ([], False)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    return outcome.failure.message


@pytest.mark.parametrize("adapter", ANSWERS)
def test_vectors_come_in_the_order_of_the_texts_wherever_the_answer_is_cut(adapter: str) -> None:
    body = json.dumps(ANSWERS[adapter]).encode()
    for cut in range(len(body) + 1):
        parts, outcome = read(adapter, body, cut=cut)
        assert parts == [FOUND]
        assert (outcome.complete, outcome.finish, outcome.failure) == (True, "stop", None)
        assert outcome.usage == Usage(input_tokens=7)
    assert outcome.model == (None if adapter in ("cohere", "gemini") else "m-2312")


@pytest.mark.parametrize("adapter", RANKINGS)
def test_an_order_is_read_wherever_the_answer_is_cut(adapter: str) -> None:
    body = json.dumps(RANKINGS[adapter]).encode()
    for cut in range(len(body) + 1):
        parts, outcome = read(adapter, body, RANK, cut=cut)
        assert parts == [ORDER]
        assert (outcome.complete, outcome.finish) == (True, "stop")
    told = {"cohere": (Usage(), 1), "tei": (None, None)}
    expected = told.get(adapter, (Usage(input_tokens=9), None))
    assert (outcome.usage, outcome.queries) == expected


@pytest.mark.parametrize("adapter", ["openai", "compatible", "voyage"])
@pytest.mark.parametrize("in_base64", [False, True])
def test_vectors_out_of_order_say_whose_they_are(adapter: str, *, in_base64: bool) -> None:
    answer = OPENAI | {"data": items(in_base64=in_base64, order=(1, 0))}
    assert read(adapter, json.dumps(answer).encode())[0] == [FOUND]


def test_without_an_index_vectors_are_in_order() -> None:
    data = [{"embedding": vector} for vector in VECTORS]
    assert read("openai", json.dumps({"data": data}).encode())[0] == [FOUND]


def test_base64_is_read_from_cohere_too() -> None:
    answer = {"embeddings": {"base64": [base64_of(vector) for vector in VECTORS]}}
    parts, outcome = read("cohere", json.dumps(answer).encode())
    assert (parts, outcome.usage) == ([FOUND], None)


def test_a_bare_list_is_read_from_cohere_too() -> None:
    answer = {"embeddings": VECTORS, "response_type": "embeddings_floats"}
    assert read("cohere", json.dumps(answer).encode())[0] == [FOUND]


def test_the_answer_to_one_text_of_gemini_is_read_too() -> None:
    request = EmbedRequest("m", ["a"])
    body = json.dumps({"embedding": {"values": VECTORS[0]}}).encode()
    assert read("gemini", body, request)[0] == [VectorsAdded(0, 3, PACKED[:12])]


@pytest.mark.parametrize("count", [5, 5.0, 0, -1, None, "x"])
def test_vertex_predicts_vectors_and_counts_beside_them(count: Any) -> None:
    wire = search_wires("gemini", "vertex")["embedding"]
    request = EmbedRequest("gemini-embedding-001", ["a"])
    vector = {"values": VECTORS[0], "statistics": {"token_count": count, "truncated": False}}
    body = json.dumps({"predictions": [{"embeddings": vector}]}).encode()
    for cut in range(len(body) + 1):
        decoder = wire.decoder(request)
        parts = [*decoder.feed(body[:cut]), *decoder.feed(body[cut:]), *decoder.end()]
        assert parts == [VectorsAdded(0, 3, PACKED[:12])]
        is_told = count in (5, 5.0)
        assert decoder.outcome.usage == (Usage(input_tokens=5) if is_told else None)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("gemini-embedding-2", {"embedding": {"values": VECTORS[0]}}),
        ("gemini-embedding-001", {"predictions": [{"embeddings": {"values": VECTORS[0]}}]}),
    ],
)
def test_vectors_of_vertex_of_another_length_are_refused(model: str, body: Any) -> None:
    decoder = search_wires("gemini", "vertex")["embedding"].decoder(EmbedRequest(model, ["a"], 4))
    assert [*decoder.feed(json.dumps(body).encode()), *decoder.end()] == []
    assert decoder.outcome.failure is not None
    assert "have 3 numbers, not 4" in decoder.outcome.failure.message


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("gemini-embedding-2", {"embedding": {"values": []}}),
        ("gemini-embedding-2", {"embeddings": []}),
        ("gemini-embedding-2", {}),
        ("gemini-embedding-001", {"predictions": []}),
        ("gemini-embedding-001", {"predictions": [{}]}),
        ("gemini-embedding-001", {"predictions": [{"embeddings": {"values": [1e300]}}]}),
        ("gemini-embedding-001", []),
    ],
)
def test_a_hole_in_what_vertex_predicts_makes_it_a_bad_answer(model: str, body: Any) -> None:
    decoder = search_wires("gemini", "vertex")["embedding"].decoder(EmbedRequest(model, ["a"]))
    assert [*decoder.feed(json.dumps(body).encode()), *decoder.end()] == []
    assert decoder.outcome.failure is not None
    assert decoder.outcome.failure.error_class is ErrorClass.BAD_ANSWER


def test_an_error_of_vertex_in_the_place_of_an_answer_is_one() -> None:
    body = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "x", "details": []}}
    for model in ("gemini-embedding-2", "gemini-embedding-001"):
        decoder = search_wires("gemini", "vertex")["embedding"].decoder(EmbedRequest(model, ["a"]))
        assert [*decoder.feed(json.dumps(body).encode()), *decoder.end()] == []
        assert decoder.outcome.failure is not None
        assert decoder.outcome.failure.error_class is ErrorClass.OVERLOADED


@pytest.mark.parametrize(
    "results",
    [
        [*reversed(RESULTS)],  # llama.cpp does not sort
        [{"index": item["index"], "score": item["relevance_score"]} for item in RESULTS],
    ],
)
@pytest.mark.parametrize("adapter", RANKINGS)
def test_an_order_is_sorted_whatever_the_score_is_called(adapter: str, results: list[Any]) -> None:
    assert read(adapter, json.dumps({"results": results}).encode(), RANK)[0] == [ORDER]
    assert read(adapter, json.dumps(results).encode(), RANK)[0] == [ORDER]


@pytest.mark.parametrize("adapter", RANKINGS)
def test_equal_scores_stand_in_the_order_of_the_request(adapter: str) -> None:
    results = [{"index": index, "relevance_score": 0.5} for index in (2, 0, 1)]
    parts, _ = read(adapter, json.dumps({"results": results}).encode(), RANK)
    assert parts == [RankingAdded([Ranked(0, 0.5), Ranked(1, 0.5), Ranked(2, 0.5)])]


@pytest.mark.parametrize("adapter", RANKINGS)
def test_more_than_were_asked_for_are_left_out(adapter: str) -> None:
    request = RankRequest("m", "q", RANK.documents, 1)
    body = json.dumps({"results": RESULTS}).encode()
    assert read(adapter, body, request)[0] == [RankingAdded([Ranked(2, 0.9)])]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (items()[:1], "1 vectors for 2 texts"),
        ([items()[0], items()[0]], "which texts"),
        ([items()[0], items()[1] | {"index": 5}], "which texts"),
        ([items()[0], items()[1] | {"index": None}], "which texts"),
        ([items()[0], items()[1] | {"embedding": [1.0]}], "another number of them"),
        ([items()[0], items()[1] | {"embedding": []}], "something else than numbers"),
        ([items()[0], items()[1] | {"embedding": "no base64!"}], "something else than numbers"),
        ([items()[0], items()[1] | {"embedding": "AAAA"}], "something else than numbers"),
        ([items()[0], items()[1] | {"embedding": [1e300, 0.0, 0.0]}], "something else"),
        ([items()[0], items()[1] | {"embedding": ["x"]}], "another shape"),
        ([items()[0], items()[1] | {"embedding": None}], "another shape"),
        ([], "0 vectors for 2 texts"),
        (None, "another shape"),
        ({}, "another shape"),
    ],
)
@pytest.mark.parametrize("adapter", ["openai", "compatible", "voyage"])
def test_a_hole_makes_the_whole_answer_a_bad_one(adapter: str, data: Any, why: str) -> None:
    assert why in refused(adapter, json.dumps(OPENAI | {"data": data}).encode())


@pytest.mark.parametrize(
    "vectors",
    [
        [],
        VECTORS[:1],
        [*VECTORS, VECTORS[0]],
        [VECTORS[0], [1.0]],
        [VECTORS[0], []],
        [VECTORS[0], [1e300, 0.0, 0.0]],
        [VECTORS[0], ["x"]],
        [VECTORS[0], None],
    ],
)
@pytest.mark.parametrize("adapter", ["cohere", "gemini"])
def test_a_hole_without_an_index_makes_the_whole_answer_a_bad_one(
    adapter: str, vectors: list[Any]
) -> None:
    if adapter == "cohere":
        assert refused(adapter, json.dumps(COHERE | {"embeddings": {"float": vectors}}).encode())
    else:
        found = [{"values": vector} for vector in vectors]
        assert refused(adapter, json.dumps({"embeddings": found}).encode())


def test_what_is_no_number_is_no_vector() -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        data = [items()[0], items()[1] | {"embedding": base64_of([0.0, value, 0.0])}]
        assert "something else" in refused("openai", json.dumps({"data": data}).encode())


@pytest.mark.parametrize("adapter", ANSWERS)
def test_vectors_of_another_length_than_asked_for_are_refused(adapter: str) -> None:
    request, body = EmbedRequest("m", ["a", "b"], 4), json.dumps(ANSWERS[adapter]).encode()
    assert "have 3 numbers, not 4" in refused(adapter, body, request)


@pytest.mark.parametrize(
    ("results", "why"),
    [
        (RESULTS[:2], "2 documents of 3"),
        ([*RESULTS, RESULTS[0]], "one twice"),
        ([*RESULTS[:2], {"index": 3, "relevance_score": 0.1}], "none of those"),
        ([*RESULTS[:2], {"index": 1}], "no score"),
        ([*RESULTS[:2], {"index": 1, "relevance_score": None}], "no score"),
        (None, "another shape"),
        ("x", "another shape"),
    ],
)
@pytest.mark.parametrize("adapter", RANKINGS)
def test_an_order_with_a_hole_is_none(adapter: str, results: Any, why: str) -> None:
    assert why in refused(adapter, json.dumps({"results": results}).encode(), RANK)


@pytest.mark.parametrize("adapter", ANSWERS)
@pytest.mark.parametrize("body", [b"", b" \n", b"<html>Bad gateway</html>", b'{"data":', b"\xff"])
def test_what_is_no_json_is_no_answer(adapter: str, body: bytes) -> None:
    why = refused(adapter, body)
    assert "it is empty" in why or "it is no JSON" in why


@pytest.mark.parametrize(
    ("adapter", "body", "expected"),
    [
        ("openai", {"error": {"message": "slow down", "code": "slow_down"}}, "rate_limit"),
        ("compatible", {"error": "it fell over", "error_type": "Backend"}, "server_error"),
        ("voyage", {"detail": "The server is overloaded"}, "server_error"),
        ("cohere", {"message": "internal"}, "server_error"),
        ("gemini", {"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}, "overloaded"),
    ],
)
def test_an_error_in_the_place_of_an_answer_is_one(adapter: str, body: Any, expected: str) -> None:
    for request in (EMBED, RANK):
        if isinstance(request, RankRequest) and adapter == "gemini":
            continue
        for shape in (body, [body]):
            parts, outcome = read(adapter, json.dumps(shape).encode(), request)
            assert (parts, outcome.complete) == ([], False)
            assert outcome.failure is not None
            assert outcome.failure.error_class == expected


def test_a_list_of_errors_is_no_answer_and_no_error() -> None:
    error = {"error": {"code": 503, "status": "UNAVAILABLE"}}
    assert "another shape" in refused("gemini", json.dumps([error, error]).encode())


def test_what_strict_json_refuses_is_read_all_the_same() -> None:
    body = json.dumps(OPENAI | {"id": "e"}).replace('"id": "e"', '"id": "e\\ud83d"')
    parts, outcome = read("openai", body.encode())
    assert (parts, outcome.response_id) == ([FOUND], "e\ufffd")
    broken = json.dumps(OPENAI | {"id": "x\u2028"}, ensure_ascii=False).encode() + b"\r\n"
    assert read("openai", broken.replace(b"x", b"x\xff"))[0] == [FOUND]


@pytest.mark.parametrize(
    "usage", [None, {}, {"total_tokens": 0}, {"total_tokens": -1}, {"prompt_tokens": 2**40}, "x"]
)
@pytest.mark.parametrize("adapter", ["openai", "compatible", "voyage"])
def test_a_usage_that_counts_nothing_is_none(adapter: str, usage: Any) -> None:
    parts, outcome = read(adapter, json.dumps(OPENAI | {"usage": usage}).encode())
    assert (parts, outcome.usage) == ([FOUND], None)


@pytest.mark.parametrize("adapter", ANSWERS)
@given(data=st.data())
def test_no_answer_however_broken_raises_or_is_half_taken(
    adapter: str, data: st.DataObject
) -> None:
    body = bytearray(json.dumps(ANSWERS[adapter]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    parts, outcome = read(adapter, bytes(body))
    assert outcome.complete == (outcome.failure is None) == (len(parts) == 1)
    for part in parts:
        assert isinstance(part, VectorsAdded)
        assert len(part.data) == 2 * 4 * part.dimensions


@pytest.mark.parametrize("adapter", ANSWERS)
@given(body=st.binary(max_size=200))
def test_no_bytes_raise(adapter: str, body: bytes) -> None:
    for request in (EMBED, RANK):
        if not (isinstance(request, RankRequest) and adapter == "gemini"):
            parts, outcome = read(adapter, body, request)
            assert (parts, outcome.complete) == ([], False)
            assert outcome.failure is not None


@pytest.mark.parametrize(
    ("adapter", "status", "body", "expected"),
    [
        (
            "voyage",
            400,
            {"detail": "Model x is not supported. Supported models are ['y']."},
            "not_found",
        ),
        ("voyage", 400, {"detail": "Input cannot contain empty strings"}, "bad_request"),
        ("voyage", 401, {"detail": "Provided API key is invalid."}, "auth"),
        ("voyage", 429, {"detail": "You have exceeded the rate limit"}, "rate_limit"),
        ("voyage", 500, {"detail": "x"}, "server_error"),
        ("voyage", 503, {"detail": "x"}, "overloaded"),
        ("cohere", 404, {"message": "model 'x' not found"}, "not_found"),
        ("cohere", 429, {"message": "limited to 1000 API calls / month"}, "quota"),
        ("openai", 429, {"error": {"message": "x", "code": "insufficient_quota"}}, "quota"),
        ("openai", 404, {"error": {"message": "x", "code": "model_not_found"}}, "not_found"),
        (
            "gemini",
            429,
            {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}},
            "rate_limit",
        ),
        ("gemini", 404, {"error": {"code": 404, "status": "NOT_FOUND"}}, "not_found"),
        ("compatible", 402, {"detail": "no balance"}, "quota"),
        (
            "tei",
            413,
            {"error": "`inputs` must have less than 512 tokens. Given: 900", "error_type": "x"},
            "context_length",
        ),
        (
            "tei",
            413,
            {"error": "batch size 33 > maximum allowed batch size 32", "error_type": "Validation"},
            "bad_request",
        ),
        ("tei", 422, {"error": "Tokenization error", "error_type": "Tokenizer"}, "bad_request"),
        ("tei", 424, {"error": "Inference failed", "error_type": "Backend"}, "server_error"),
        ("tei", 429, {"error": "Model is overloaded", "error_type": "Overloaded"}, "overloaded"),
        (
            "compatible",
            413,
            {"error": "batch size 300 > maximum 256", "error_type": "Validation"},
            "bad_request",
        ),
        ("compatible", 424, {"error": "backend failed", "error_type": "Backend"}, "server_error"),
        ("compatible", 429, {"error": "overloaded", "error_type": "Overloaded"}, "rate_limit"),
    ],
)
def test_errors_mean_what_the_vendor_means(
    adapter: str, status: int, body: Any, expected: str
) -> None:
    for of in wires(adapter).values():
        failure = of.failure(status, {}, json.dumps(body).encode())
        assert (failure.error_class, failure.status) == (expected, status)
