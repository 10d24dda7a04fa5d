"""Which rule a call meets: each condition by itself, their order, and the shipped rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from routerd.classify.features import measure
from routerd.classify.rules import CONDITIONS, Rules, is_by_size_alone
from routerd.classify.words import WordRules
from routerd.domain import Caller, Complexity, Features
from routerd.settings import Rule, shipped_rules
from routerd_proto.content import Image, Message, Text, Tool
from routerd_proto.frames import CallOptions

PLAIN = Features(100)
NOBODY = Caller()


def first(
    rules: dict[str, Rule], target: str = "auto", features: Features = PLAIN, **caller: Any
) -> str | None:
    hit = Rules(rules).first(target, features, Caller(**caller))
    return None if hit is None else hit[0]


def meets(
    rule: dict[str, Any], target: str = "auto", task: str | None = None, **facts: Any
) -> bool:
    return first({"r": Rule(**rule)}, target, structs.replace(PLAIN, **facts), task=task) == "r"


# --- each condition ------------------------------------------------------------------------------


def test_a_rule_without_conditions_is_met_by_everything() -> None:
    assert meets({"use": "smart"})
    assert meets({}, "any", "task", tools=9, images=1, flags=("x",))


def test_targets_and_tasks() -> None:
    assert meets({"targets": ["smart", "auto"]})
    assert not meets({"targets": ["smart"]})
    assert meets({"tasks": ["tag", "title"]}, task="title")
    assert not meets({"tasks": ["tag"]}, task="tags")
    assert not meets({"tasks": ["tag"]})


def test_one_of_the_flags_is_enough() -> None:
    assert meets({"flags": ["a", "b"]}, flags=("x", "b"))
    assert not meets({"flags": ["a", "b"]}, flags=("x",))
    assert not meets({"flags": ["a"]})


def test_words_are_decided_by_what_was_found_and_not_by_the_text() -> None:
    rule = {"words": ["prove"]}
    assert meets(rule, text_rules={"r": True})
    assert not meets(rule, text_rules={"r": False})
    # What nobody looked for was not found.
    assert not meets(rule, text_rules={"other": True})
    assert not meets(rule)


@pytest.mark.parametrize(
    ("condition", "facts"),
    [
        ("code", {"code": True}),
        ("reasoning", {"reasoning": True}),
        ("tools", {"tools": 2}),
        ("images", {"images": 1}),
    ],
)
def test_what_is_so_or_not_so_or_either_way(condition: str, facts: dict[str, Any]) -> None:
    assert meets({condition: True}, **facts)
    assert not meets({condition: True})
    assert meets({condition: False})
    assert not meets({condition: False}, **facts)
    assert meets({condition: None})
    assert meets({condition: None}, **facts)


def test_sizes_hold_at_their_ends() -> None:
    between = {"least_input_tokens": 10, "most_input_tokens": 20, "code": False}
    sizes = [tokens for tokens in range(30) if meets(between, input_tokens=tokens)]
    assert sizes == list(range(10, 21))
    assert meets({"least_input_tokens": 10, "code": False}, input_tokens=10**9)
    assert meets({"most_input_tokens": 10, "code": False}, input_tokens=0)


def test_all_conditions_must_hold() -> None:
    rule = {
        "targets": ["auto"],
        "tasks": ["tag"],
        "flags": ["x"],
        "words": ["prove"],
        "code": True,
        "reasoning": True,
        "tools": True,
        "images": True,
        "least_input_tokens": 50,
        "most_input_tokens": 150,
    }
    facts: dict[str, Any] = {
        "flags": ("x",),
        "text_rules": {"r": True},
        "code": True,
        "reasoning": True,
        "tools": 1,
        "images": 1,
        "input_tokens": 100,
    }
    assert meets(rule, task="tag", **facts)
    for name in facts:
        without = {**facts, name: getattr(Features(0), name)}
        assert not meets(rule, task="tag", **without)
    assert not meets(rule, **facts)
    assert not meets(rule, "smart", "tag", **facts)


# --- order ---------------------------------------------------------------------------------------


def test_the_first_that_fits_counts() -> None:
    rules = {
        "zebra": Rule(flags=["a"]),
        "middle": Rule(flags=["a", "b"]),
        "alpha": Rule(),
    }
    for flags, name in ((("a",), "zebra"), (("b",), "middle"), ((), "alpha")):
        assert first(rules, features=structs.replace(PLAIN, flags=flags)) == name
    assert first({"only": Rule(flags=["a"])}) is None
    assert first({}) is None


# Few values, so that calls and rules meet.
few = st.sampled_from([[], ["a"], ["b"], ["a", "b"]])
either = st.sampled_from([None, None, True, False])
sizes = st.sampled_from([None, None, 1, 50, 51, 99])
rules_drawn = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(
        Rule,
        targets=few,
        tasks=few,
        flags=few,
        words=few,
        code=either,
        reasoning=either,
        tools=either,
        images=either,
        least_input_tokens=sizes,
        most_input_tokens=sizes,
    ),
)
calls_drawn = st.builds(
    Features,
    input_tokens=st.sampled_from([0, 1, 49, 50, 51, 52, 98, 99, 100, 10**7]),
    images=st.integers(0, 2),
    tools=st.integers(0, 2),
    text_rules=st.dictionaries(st.sampled_from("abcdefgh"), st.booleans()),
    reasoning=st.booleans(),
    code=st.booleans(),
    flags=st.lists(st.sampled_from("abc"), unique=True).map(tuple),
)
names = st.sampled_from([None, "a", "b", "c"])


def is_met(name: str, rule: Rule, target: str, features: Features, task: str | None) -> bool:
    """Say what the settings say of a rule, one condition after the other."""
    return (
        (not rule.targets or target in rule.targets)
        and (not rule.tasks or task in rule.tasks)
        and (not rule.flags or not set(rule.flags).isdisjoint(features.flags))
        and (not rule.words or features.text_rules.get(name, False))
        and rule.code in (None, features.code)
        and rule.reasoning in (None, features.reasoning)
        and rule.tools in (None, features.tools > 0)
        and rule.images in (None, features.images > 0)
        and features.input_tokens >= (rule.least_input_tokens or 0)
        and (rule.most_input_tokens is None or features.input_tokens <= rule.most_input_tokens)
    )


@settings(max_examples=500)
@given(rules_drawn, st.sampled_from("abc"), calls_drawn, names)
def test_the_first_rule_all_of_whose_conditions_hold_is_met(
    rules: dict[str, Rule], target: str, features: Features, task: str | None
) -> None:
    met = [name for name, rule in rules.items() if is_met(name, rule, target, features, task)]
    hit = Rules(rules).first(target, features, Caller(task=task))
    assert hit == ((met[0], rules[met[0]]) if met else None)


# --- size alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        {"least_input_tokens": 5},
        {"most_input_tokens": 5},
        {"least_input_tokens": 5, "most_input_tokens": 9, "complexity": "complex"},
        {"targets": ["auto"], "most_input_tokens": 5, "use": "fast"},
    ],
)
def test_a_rule_by_size_alone_is_told(rule: dict[str, Any]) -> None:
    assert is_by_size_alone(Rule(**rule))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_with_any_other_condition_a_rule_is_not_by_size_alone(condition: str) -> None:
    value: Any = ["x"] if condition in ("tasks", "flags", "words") else True
    assert not is_by_size_alone(Rule(most_input_tokens=5, **{condition: value}))
    assert not is_by_size_alone(Rule(**{condition: value}))
    assert not is_by_size_alone(Rule())


def by_size(**more: Any) -> bool:
    return is_by_size_alone(Rule(**{"most_input_tokens": 5, **more}))


def test_that_a_call_brings_nothing_is_no_second_condition() -> None:
    """Nearly every call has no tools, no pictures, no code and no reasoning."""
    nothing = dict.fromkeys(("code", "reasoning", "tools", "images"), False)
    for name in nothing:
        assert by_size(**{name: False})
        assert not by_size(**{**nothing, name: True})
    assert by_size(**nothing)
    assert not by_size(flags=["x"], **nothing)


# --- the rules that are shipped ------------------------------------------------------------------

SHIPPED = shipped_rules()
TOOL = Tool("look_up", "looks it up", {"type": "object"})
CODE = "```python\n" + "value = compute(value)\n" * 200 + "```"
LONG = "The meeting went on about many things that nobody remembers now. " * 60


def judged(question: str | list[Any], **options: Any) -> tuple[Complexity | None, str | None]:
    """Return what `auto` takes a call for, and the rule that says so."""
    made = CallOptions(**options)
    features = measure([Message("user", question)], made, words=WordRules(SHIPPED))
    hit = Rules(SHIPPED).first("auto", features, Caller(task=made.task))
    return (None, None) if hit is None else (hit[1].complexity, hit[0])


@pytest.mark.parametrize(
    ("question", "options", "complexity"),
    [
        ("What is the capital of Peru?", {}, "simple"),
        ("hi", {}, "simple"),
        ("Thanks!", {}, "simple"),
        ("Translate to French: good morning", {}, "simple"),
        ("Is a whale a fish? Answer yes or no.", {}, "simple"),
        ("TL;DR: the cat sat on the mat and nothing else happened.", {}, "simple"),
        ("Who was Ada Lovelace?", {}, "simple"),
        (LONG, {"task": "classification"}, "simple"),
        ("anything", {"flags": ["simple"]}, "simple"),
        ("Prove that there are infinitely many primes.", {}, "complex"),
        ("What is a race condition, and how do I find mine?", {}, "complex"),
        ("Think step by step: who owns the fish?", {}, "complex"),
        ("Compare the trade-offs of both designs", {}, "complex"),
        (f"Why does it fail?\n{CODE}", {}, "complex"),
        ("Plan my week", {"reasoning": "high"}, "complex"),
        ("hello", {"reasoning": "medium"}, "complex"),
        ("hello", {"flags": ["complex", "simple"]}, "complex"),
        (LONG * 10, {"tools": [TOOL]}, "complex"),
        ("Write a toast for my sister's wedding", {}, None),
        ("Suggest three names for a bakery", {}, None),
        # Size says nothing by itself.
        (LONG * 10, {}, None),
        (LONG, {}, None),
        ("ok", {}, None),
        # What looks easy is not where there is much to read, code, or a tool to use.
        (f"What is this about? {LONG}", {}, None),
        ("What is this?\n```\nx = 1\n```", {}, None),
        ("What is the weather?", {"tools": [TOOL]}, None),
        ("hello", {"reasoning": "low"}, "simple"),
        (LONG * 10, {"task": "classification"}, None),
    ],
)
def test_what_auto_takes_a_prompt_for(
    question: str, options: dict[str, Any], complexity: Complexity | None
) -> None:
    assert judged(question, **options)[0] == complexity


def test_a_greeting_makes_no_hard_question_easy() -> None:
    asked = "Hi, our primary database is corrupted since the power failed, its log is damaged too. "
    asked += "What is the safest way to recover what was committed, and in which order would you "
    asked += "go about it with two replicas that lag behind by different amounts of time?"
    assert judged(asked) == (None, None)


def test_a_picture_is_looked_at_by_its_words_alone() -> None:
    parts = [Text("What is in this picture?"), Image(url="https://host/a.png")]
    assert judged(parts) == (None, None)  # a picture is more to read than easy words allow


def test_shipped_rules_are_for_auto_alone_and_none_goes_by_size_alone() -> None:
    assert SHIPPED
    for rule in SHIPPED.values():
        assert rule.targets == ["auto"]
        assert rule.complexity in ("simple", "complex")
        assert rule.use is None
        assert not is_by_size_alone(rule)


def test_every_shipped_rule_is_met_by_something() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("x", {"flags": ["complex"]}),
        ("x", {"flags": ["simple"]}),
        ("x", {"reasoning": "max"}),
        ("x", {"task": "tagging"}),
        ("prove it", {}),
        (CODE, {}),
        (LONG * 10, {"tools": [TOOL]}),
        ("hello", {}),
        ("translate it", {}),
    ]
    assert {judged(question, **options)[1] for question, options in calls} == set(SHIPPED)
