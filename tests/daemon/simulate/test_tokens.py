from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routerd.simulate.tokens import (
    CacheUse,
    Mark,
    PromptCache,
    count_tokens,
    cut_into_tokens,
    image_stand_in,
)

LONG = b"x" * 8192  # 2048 tokens


def test_a_token_is_four_bytes_begun() -> None:
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "é" * 3)] == [0, 1, 1, 2, 2]


@given(st.text())
def test_pieces_make_the_text_again(text: str) -> None:
    assert "".join(cut_into_tokens(text)) == text


def test_images_count_alike_and_differ() -> None:
    assert count_tokens(image_stand_in("a")) == count_tokens(image_stand_in("b" * 9999)) == 256
    assert image_stand_in("a") != image_stand_in("b")


def test_the_second_identical_long_prompt_is_read_from_the_cache() -> None:
    cache = PromptCache()
    assert cache.automatic("m", LONG, 0.0) == CacheUse(read=0, written=2048)
    assert cache.automatic("m", LONG, 1.0) == CacheUse(read=2048, written=0)
    assert cache.automatic("other", LONG, 1.0).read == 0


def test_a_longer_prompt_reads_the_part_that_was_seen() -> None:
    cache = PromptCache()
    cache.automatic("m", LONG, 0.0)
    assert cache.automatic("m", LONG + b"y" * 1024, 1.0) == CacheUse(read=2048, written=256)
    assert cache.automatic("m", LONG[:6000] + b"z" * 3000, 2.0).read == 1408


def test_short_prompts_are_not_cached_and_old_ones_forgotten() -> None:
    cache = PromptCache()
    short = b"x" * 4 * 1023
    for now in (0.0, 1.0):
        assert cache.automatic("m", short, now) == CacheUse()
    cache.automatic("m", LONG, 0.0)
    assert cache.automatic("m", LONG, 700.0).read == 0


def test_the_cache_is_bounded() -> None:
    cache = PromptCache(keep=5)
    cache.automatic("m", LONG, 0.0)
    cache.automatic("m", b"y" * 8192, 0.0)
    assert cache.automatic("m", LONG, 1.0).read == 0


def test_marked_prefixes_are_written_and_then_read() -> None:
    cache = PromptCache()
    marks = (Mark(8192, 300.0),)
    assert cache.marked("m", LONG + b"ab", (8192, 8194), marks, 0.0) == CacheUse(written=2048)
    assert cache.marked("m", LONG + b"cd", (8192, 8194), marks, 1.0) == CacheUse(read=2048)
    assert cache.marked("m", LONG + b"cd", (8192, 8194), (), 1.0) == CacheUse()
    assert cache.marked("m", LONG + b"cd", (8192, 8194), marks, 301.0) == CacheUse(written=2048)


def test_a_mark_further_on_reads_what_an_earlier_mark_wrote() -> None:
    cache = PromptCache()
    cache.marked("m", LONG, (8192,), (Mark(8192, 300.0),), 0.0)
    use = cache.marked("m", LONG + b"y" * 400, (8192, 8592), (Mark(8592, 3600.0),), 1.0)
    assert use == CacheUse(read=2048, written_long=100)


def test_marks_of_both_lives_split_what_is_written() -> None:
    prompt = LONG + b"y" * 800
    marks = (Mark(8192, 3600.0), Mark(8992, 300.0))
    use = PromptCache().marked("m", prompt, (8192, 8992), marks, 0.0)
    assert use == CacheUse(written=200, written_long=2048)


def test_a_mark_before_the_least_length_does_nothing() -> None:
    assert PromptCache().marked("m", b"x" * 400, (400,), (Mark(400, 300.0),), 0.0) == CacheUse()
