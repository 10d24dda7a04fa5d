"""Filters and orders of `routerd models`, and the words for one model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.models import load_directory
from routerd.models.browse import CAPABILITIES, SORTS, Filter, browse, named
from routerd.models.describe import facts, score_text, sources

PACKAGED = load_directory()
ALL = browse(PACKAGED, Filter())


def ids(wanted: Filter, sort: str | None = None) -> list[str]:
    return [
        item.id if item is not None else model.id for model, item in browse(PACKAGED, wanted, sort)
    ]


def test_everything_is_listed_once() -> None:
    assert {model.id for model, _ in ALL} == set(PACKAGED.models)
    served = [item.id for _, item in ALL if item is not None]
    assert sorted(served) == sorted(PACKAGED.deployments)


def test_filters() -> None:
    assert set(ids(Filter(provider="groq"))) == {
        "groq/openai/gpt-oss-120b",
        "groq/openai/gpt-oss-20b",
        "groq/qwen/qwen3.8-27b",
    }
    assert {PACKAGED.deployments[name].kind for name in ids(Filter(kind="rerank"))} == {"rerank"}
    assert "bedrock/amazon.nova-pro-v1:0" in ids(Filter(vendor="amazon"))
    assert ids(Filter(boundary="machine")) == []
    for name in ids(Filter(needs=("vision", "logprobs"))):
        can = PACKAGED.deployments[name].capabilities
        assert can.vision
        assert can.logprobs


def test_a_class_is_who_belongs_to_it_and_who_is_listed_in_it() -> None:
    vision = {PACKAGED.deployments[name].model for name in ids(Filter(model_class="vision"))}
    assert vision == set(PACKAGED.classes["vision"].candidates)
    hosted = ids(Filter(model_class="open-hosted"))
    assert "groq/openai/gpt-oss-120b" in hosted
    assert "groq/openai/gpt-oss-120b" not in ids(Filter(model_class="open-weight"))


def test_orders_have_the_best_first_and_the_unknown_last() -> None:
    cheapest = ids(Filter(model_class="fast"), "price")
    assert cheapest[0] == "bedrock/amazon.nova-micro-v1:0"
    by_score = browse(PACKAGED, Filter(kind="chat"), "score:coding")
    values = [model.scores.coding.value for model, _ in by_score if model.scores.coding]
    assert values == sorted(values, reverse=True)
    assert by_score[len(values)][0].scores.coding is None
    fastest = browse(PACKAGED, Filter(), "speed")
    assert fastest[0][1] is not None
    assert fastest[0][1].speed is not None
    ends = browse(PACKAGED, Filter(), "retires")
    assert ends[0][0].id in {"claude-opus-4-20250514", "claude-sonnet-4-20250514"}


@given(
    st.sampled_from([None, *SORTS]),
    st.sampled_from([None, *PACKAGED.classes]),
    st.lists(st.sampled_from(CAPABILITIES), max_size=3).map(tuple),
)
def test_an_order_loses_nothing(
    sort: str | None, model_class: str | None, needs: tuple[str, ...]
) -> None:
    wanted = Filter(model_class=model_class, needs=needs)
    assert sorted(ids(wanted, sort)) == sorted(ids(wanted))


def test_a_model_or_a_deployment_is_found_by_its_id() -> None:
    pair = named(PACKAGED, "claude-opus-5-5")
    assert pair is not None
    assert pair[1] is not None
    assert pair[1].id == "anthropic/claude-opus-5-5"
    pair = named(PACKAGED, "bedrock/us.anthropic.claude-opus-5-5")
    assert pair is not None
    assert pair[0].id == "claude-opus-5-5"
    pair = named(PACKAGED, "qwen3-8b")
    assert pair is not None
    assert pair[1] is None
    assert named(PACKAGED, "smart") is None


def test_the_facts_of_all_models_have_the_same_names_each_once() -> None:
    first, *others = ([name for name, _ in facts(*pair)] for pair in ALL)
    assert len(set(first)) == len(first)
    assert all(names == first for names in others)


def test_every_number_has_a_source() -> None:
    for model, deployment in ALL:
        known = dict(facts(model, deployment))
        where = dict(sources(model, deployment))
        assert where["limits and capabilities"]
        assert ("prices" in where) == bool(known["input $/M"] or known["per query $"])
        assert ("speed" in where) == bool(known["tokens a second"] or known["first token"])
        for name, value in known.items():
            if name.startswith("score "):
                assert (name in where) == bool(value)


@pytest.mark.parametrize(
    ("model", "dimension", "expected"),
    [
        ("claude-opus-4-8", "coding", "79.3 (0.90) LiveBench Coding, xhigh-effort"),
        ("claude-opus-4-8", "factuality", ""),
    ],
)
def test_a_score_says_how_far_to_trust_it(model: str, dimension: str, expected: str) -> None:
    assert score_text(getattr(PACKAGED.models[model].scores, dimension)) == expected
