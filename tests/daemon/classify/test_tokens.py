"""About how many tokens: near the truth on real text, and never absurd on any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tokens import MODEL_TEXTS, NEAR, bound_of, error_of, read_texts, tokens_in, vocabulary
from routerd.classify.tokens import SAMPLE_BYTES, SAMPLES, estimate

TEXTS = read_texts()
PIECES = st.sampled_from(
    [" ", "..", "}", "a", "Z", "7", "\n", "é", "Ж", "ب", "ह", "字", "한", "😀"]
)


@pytest.mark.parametrize("name", TEXTS)
def test_the_estimate_is_near_what_a_real_vocabulary_counts(name: str) -> None:
    assert abs(error_of(TEXTS[name], vocabulary("o200k_base"))) <= NEAR


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
@given(st.text() | st.lists(PIECES).map("".join))
def test_no_text_has_more_tokens_than_its_bound(encoding: str, text: str) -> None:
    assert vocabulary(encoding)(text) <= bound_of(text)


@given(st.lists(PIECES, max_size=40).map("".join), PIECES)
def test_more_text_never_counts_less(text: str, more: str) -> None:
    assert tokens_in((text + more).encode()) >= tokens_in(text.encode())


@given(st.text(max_size=100))
def test_no_text_counts_for_nothing_or_for_more_than_its_bytes(text: str) -> None:
    size = len(text.encode())
    assert size / 8 <= tokens_in(text.encode()) <= size


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_are_counted_all_the_same(data: bytes) -> None:
    assert tokens_in(data) >= len(data) / 8


@pytest.mark.parametrize("name", MODEL_TEXTS)
def test_a_long_text_is_estimated_from_samples(name: str) -> None:
    once = TEXTS[name].encode()
    times = 2 * SAMPLE_BYTES * SAMPLES // len(once) + 1
    assert tokens_in(once * times) == pytest.approx(tokens_in(once) * times, rel=0.05)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("english", False),
        ("french", False),
        ("Python", False),
        ("russian", True),
        ("arabic", True),
        ("hindi", True),
        ("japanese", True),
        ("korean", True),
    ],
)
def test_a_text_in_other_letters_is_told_apart(name: str, *, other: bool) -> None:
    data = TEXTS[name].encode()
    assert estimate(data)[1] is other
    assert estimate(data * 40)[1] is other
