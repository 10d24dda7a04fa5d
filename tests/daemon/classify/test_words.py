"""Which words stand in a text: whole ones, in any case, at its beginning and its end."""

# ruff: noqa: RUF001 - words and signs of other languages are what is looked for here
from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.classify.features import measure
from routerd.classify.words import LOOKED_AT, Texts, WordRules, holds_code, texts_of
from routerd.settings import Rule
from routerd_proto.content import Image, Message, Text
from routerd_proto.frames import CallOptions


def found(text: str, *words: str, system: str | None = None, **rule: Any) -> bool:
    """Say whether a question, or a system prompt, holds one of the words."""
    messages = [Message("user", text)] if text else []
    if system is not None:
        messages.insert(0, Message("system", system))
    rules = WordRules({"rule": Rule(words=list(words), **rule)})
    return rules.results(texts_of(messages)) == {"rule": True}


# --- words and phrases ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "prove",
        "Prove it",
        "please PROVE that",
        "can you prove?",
        "(prove)",
        "this,prove;that",
        "first\nprove\tit",
        '"prove"',
        "well-prove/it",
        "“prove”",
        "it—prove it…",
        "«prove»",
        "¿prove?",
        "\N{NO-BREAK SPACE}prove\N{NO-BREAK SPACE}",
    ],
)
def test_a_word_is_found_whatever_stands_around_it(text: str) -> None:
    assert found(text, "prove")


@pytest.mark.parametrize(
    "text", ["improve", "proven", "proves", "prove_it", "", "provE1", "prové", "pro ve"]
)
def test_a_part_of_a_word_is_none(text: str) -> None:
    assert not found(text, "prove")


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("think step by step.", "step by step"),
        ("Step  by\nSTEP", "step by step"),
        ("step-by-step", "step by step"),
        ("step by step", "step-by-step"),
        ("the trade-offs", "trade-offs"),
        ("tl;dr: what?", "tl;dr"),
        ("I don't know", "don't know"),
        ("I don’t know", "don't know"),
    ],
)
def test_a_phrase_is_its_words_whatever_stands_between_them(text: str, phrase: str) -> None:
    assert found(text, phrase)


@pytest.mark.parametrize(
    "text", ["footstep by step", "step by stepping", "step by", "step by a step", "by step step"]
)
def test_a_part_of_a_phrase_is_none(text: str) -> None:
    assert not found(text, "step by step")


def test_one_of_the_words_is_enough() -> None:
    words = ("alpha", "beta gamma", "delta")
    assert found("only delta", *words)
    assert found("beta, gamma", *words)
    assert not found("beta and gamma", *words)


# --- other scripts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Un RÉSUMÉ, merci", "résumé"),
        ("ДОКАЖИ это", "докажи"),
        ("«докажи»", "Докажи"),
        ("à démontrer: étape par étape !", "étape par étape"),
        ("Übersetze das", "übersetze"),
        ("请翻译这句话", "翻译"),
        ("この文を要約してください", "要約"),
        ("ช่วยแปลหน่อย", "แปล"),
        ("번역 해줘", "번역"),
    ],
)
def test_words_of_other_languages(text: str, word: str) -> None:
    assert found(text, word)


@pytest.mark.parametrize(
    ("text", "word"),
    [("кодекс", "код"), ("répétée", "été"), ("l'étapes par étape", "étape par étape")],
)
def test_only_scripts_without_spaces_are_looked_for_inside_words(text: str, word: str) -> None:
    assert not found(text, word)


@pytest.mark.parametrize("text", ["\udc80 prove \udfff", "\x00prove\x00 prove", "prove 🙂"])
def test_whatever_a_text_holds_is_looked_at(text: str) -> None:
    assert found(text, "prove")


# --- where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look_in", "in_system", "in_question"),
    [("system", True, False), ("question", False, True), ("either", True, True)],
)
def test_where_words_are_looked_for(look_in: str, *, in_system: bool, in_question: bool) -> None:
    assert found("nothing", "prove", system="prove", look_in=look_in) is in_system
    assert found("prove", "prove", system="nothing", look_in=look_in) is in_question


def test_the_question_is_the_last_message_of_the_user() -> None:
    texts = texts_of(
        [
            Message("system", "one"),
            Message("user", "earlier"),
            Message("assistant", "answer"),
            Message("system", "two"),
            Message("user", [Text("of"), Image(url="https://host/a.png"), Text("parts")]),
            Message("assistant", "begun"),
        ]
    )
    assert texts == Texts("one\ntwo", "of\nparts")
    assert texts_of([Message("assistant", "alone")]) == Texts("", "")


def test_words_of_two_messages_are_no_phrase_of_one() -> None:
    rules = WordRules({"rule": Rule(words=["step by"], look_in="either")})
    messages = [Message("system", "step"), Message("user", "by")]
    assert rules.results(texts_of(messages)) == {}


def test_only_rules_with_words_have_a_result() -> None:
    rules = WordRules({"none": Rule(code=True), "some": Rule(words=["prove"])})
    assert rules.results(texts_of([Message("user", "prove")])) == {"some": True}
    assert WordRules({}).results(texts_of([Message("user", "prove")])) == {}


def test_of_a_text_only_yes_and_no_are_kept() -> None:
    words = WordRules({"rule": Rule(words=["prove"])})
    features = measure([Message("user", "prove the-secret")], CallOptions(), words=words)
    assert features.text_rules == {"rule": True}
    assert "secret" not in repr(features)


# --- long texts ----------------------------------------------------------------------------------

FILLER = "word " * LOOKED_AT


def test_a_long_text_is_looked_at_at_both_ends_and_not_between() -> None:
    assert found(f"prove {FILLER}", "prove")
    assert found(f"{FILLER} prove", "prove")
    assert not found(f"{FILLER} prove {FILLER}", "prove")
    assert found("x " * (LOOKED_AT // 2 - 3) + "prove", "prove")


def test_the_ends_of_a_long_text_are_no_neighbours() -> None:
    half = "x " * (LOOKED_AT // 4 - 3)
    text = f"{half} step{FILLER}by{half}"
    assert not found(text, "step by")


@given(st.text(), st.integers(1, 50_000))
def test_however_long_a_text_is_so_much_is_looked_at(text: str, times: int) -> None:
    long = text * times
    texts = texts_of([Message("system", long), Message("system", long), Message("user", long)])
    for cut in (texts.system, texts.question):
        assert len(cut) <= LOOKED_AT + 1
    if len(long) <= LOOKED_AT:
        assert texts.question == long


@given(st.sampled_from(["prove", "step by step", "été", "翻译"]), st.text(), st.text())
def test_a_word_between_spaces_is_always_found(word: str, before: str, after: str) -> None:
    text = f"{before} {word} {after}"
    if len(text) <= LOOKED_AT:
        assert found(text, word)


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma", ",", ".", "—"]), max_size=30))
def test_a_phrase_is_found_where_its_words_follow_each_other(words: list[str]) -> None:
    spoken = [word for word in words if word.isalpha()]
    pairs = list(pairwise(spoken))
    assert found(" ".join(words), "alpha beta") is (("alpha", "beta") in pairs)


# --- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "What does this do?\n```\nx = 1\n```",
        "def add(a, b):\n    return a + b\nimport os",
        "#include <stdio.h>\nint main() {\n}",
        "const f = (x) => x;\nfunction g() {\n}",
        "<div><p>hello</p></div> class Foo ",
        "import sys\nclass Foo :",
    ],
)
def test_what_is_code(question: str) -> None:
    assert holds_code(question)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Tell me about the import business in Rotterdam.",
        "Which class should I attend, and why?",
        "The function of the heart is to pump blood.",
        "He said: I'd rather not; she agreed.",
        "Is a => b true in logic?",
        "Ich lerne Deutsch def.",
    ],
)
def test_what_is_prose(question: str) -> None:
    assert not holds_code(question)
