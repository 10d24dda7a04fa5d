"""About how many tokens: near the truth on real text, and never absurd on any."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.tokens import (
    ENCODINGS,
    MODEL_TEXTS,
    NEAR,
    bound_of,
    error_of,
    odd_texts,
    read_texts,
    rows_of,
    script_of,
    tokens_in,
    vocabulary,
)
from routerd.classify.tokens import LEAST_A_BYTE, SAMPLE_BYTES, SAMPLES
from routerd.domain import Script

TEXTS = read_texts()
ODD = odd_texts()
# The weights were not fitted to it, and it knows other scripts badly.
OLDER = "cl100k_base"
# The newer vocabulary has its words, the older one less than its letters: it is between them.
FAR = {"georgian"}
# As many tokens as there are hardly matter to any window: what they are is not worth more work.
FEW_TOKENS_A_BYTE = 1 / 8
PIECES = st.sampled_from(
    [" ", "..", "}", "a", "Z", "7", "\n", "é", "Ж", "ب", "ह", "字", "한", "😀", "ሰ"]
)
# And runs of any of them, longer than what is looked at again.
RUNS = st.tuples(PIECES, st.integers(1, 70)).map(lambda drawn: drawn[0] * drawn[1])


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - FAR))
def test_the_estimate_is_near_what_a_real_vocabulary_counts(name: str) -> None:
    assert abs(error_of(TEXTS[name], vocabulary("o200k_base"))) <= NEAR


@pytest.mark.parametrize("name", ODD)
def test_the_estimate_of_what_is_no_language_is_near_or_small(name: str) -> None:
    text, count = ODD[name], vocabulary("o200k_base")
    assert error_of(text, count) > -NEAR
    assert error_of(text, count) < NEAR or tokens_in(text.encode()) < len(text) / 4
    if count(text) < FEW_TOKENS_A_BYTE * len(text):
        assert tokens_in(text.encode()) <= FEW_TOKENS_A_BYTE * len(text)


def test_a_rate_learned_elsewhere_in_a_kind_of_script_makes_every_other_text_better() -> None:
    rows = [row for row in rows_of(TEXTS, {}, vocabulary(OLDER)) if row["script"] != "latin"]
    assert {row["script"] for row in rows} == set(get_args(Script)) - {"latin"}
    for row in rows:
        assert abs(row["learned"]) < abs(row["estimate"]), row["text"]
        assert abs(row["learned"]) < 0.3, row["text"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(st.text() | st.lists(PIECES | RUNS).map("".join))
def test_no_text_has_more_tokens_than_its_bound(encoding: str, text: str) -> None:
    assert vocabulary(encoding)(text) <= bound_of(text)


@given(st.lists(PIECES | RUNS, max_size=40).map("".join), PIECES | RUNS)
@example(" " * 23, " ")
@example(" " * 24, " ")
@example("-" * 24, "--")
@example("7777", "7")
@example("\n" * 24, "\n")
@example("a" * 30 + "Z", "7")
def test_more_text_never_counts_less(text: str, more: str) -> None:
    if len((text + more).encode()) <= SAMPLE_BYTES * SAMPLES:  # of longer ones, samples
        assert tokens_in((text + more).encode()) >= tokens_in(text.encode()) - 1e-9


@given(st.text(max_size=100))
def test_no_text_counts_for_nothing_or_for_more_than_its_bytes(text: str) -> None:
    size = len(text.encode())
    assert LEAST_A_BYTE * size <= tokens_in(text.encode()) <= size


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_are_counted_all_the_same(data: bytes) -> None:
    assert tokens_in(data) >= LEAST_A_BYTE * len(data)


@pytest.mark.parametrize("name", MODEL_TEXTS)
def test_a_long_text_is_estimated_from_samples(name: str) -> None:
    once = TEXTS[name].encode()
    times = 2 * SAMPLE_BYTES * SAMPLES // len(once) + 1
    assert tokens_in(once * times) == pytest.approx(tokens_in(once) * times, rel=0.05)


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("english", "latin"),
        ("french", "latin"),
        ("vietnamese_letter", "latin"),
        ("Python", "latin"),
        ("russian", "cyrillic"),
        ("arabic", "alphabets"),
        ("hebrew_letter", "alphabets"),
        ("greek_letter", "alphabets"),
        ("hindi", "syllables"),
        ("thai_letter", "syllables"),
        ("georgian", "syllables"),
        ("chinese", "ideographs"),
        ("japanese", "ideographs"),
        ("korean", "hangul"),
        ("amharic", "rare"),
        ("inuktitut", "rare"),
    ],
)
def test_kinds_of_script_are_told_apart(name: str, script: Script) -> None:
    assert script_of(TEXTS[name]) == script
    assert script_of(TEXTS[name] * 40) == script


def test_hardly_a_sign_of_another_script_makes_no_other_of_a_text() -> None:
    assert script_of("") == "latin"
    assert script_of(TEXTS["english"] + "字") == "latin"
    assert script_of(TEXTS["korean"] + " in English, and 字") == "hangul"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        # A name of a class, a path and a German word are no random letters.
        ("AbstractContextManagerFactory", 5, 9),
        ("/usr/lib/python3/site-packages/routerd/classify", 9, 17),
        ("Donaudampfschifffahrtsgesellschaft", 7, 20),
        # Nor is what is indented.
        ("\n" + " " * 20 + "return", 2, 5),
        ("2026-11-29", 5, 8),
    ],
)
def test_what_is_long_but_no_run_counts_as_ever(text: str, least: int, most: int) -> None:
    assert least <= tokens_in(text.encode()) <= most


@pytest.mark.parametrize(
    "text", ["\N{GRINNING FACE}" * 50, "\N{RIGHTWARDS ARROW}" * 50, ("\u2500" * 60 + "\n") * 20]
)
def test_signs_alone_are_of_no_other_script(text: str) -> None:
    assert script_of(text) == "latin"
