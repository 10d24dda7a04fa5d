"""How many tokens a text is about, without any tokenizer.

Rules of this file: pure, and in microseconds: a few passes over bytes at the speed of memory, and
of a long text only samples are looked at. What a character takes depends on what it is: letters
come in words, digits and signs nearly alone, other scripts by the script. The weights were fitted
to the vocabulary o200k_base and rounded towards more tokens; `bench/tokens.py` prints the errors.
What one model counts otherwise is learned from what its provider reports: `health.token_rates`.
"""

from __future__ import annotations

from operator import mul
from typing import Final

__all__ = ["SAMPLES", "SAMPLE_BYTES", "estimate"]

# Hundredths of a token for a character of each class; a class has a letter, which stands for its
# characters.
LETTER: Final = 21  # a small one of ASCII: what is of no other class
ASCII_WEIGHTS: Final = (
    (b"A", 32),
    (b"0", 78),
    (b" ", 15),
    (b"n", 66),  # ends of lines, and tabs
    (b".", 75),
)
# Spaces and signs in a row are one token together. Never more than one of them weighs: then a text
# never counts less than its beginning.
PAIR_WEIGHTS: Final = ((b"  ", -15), (b"..", -70))
# Whatever it looks like, no text counts for less: not every vocabulary has long runs as one token.
LEAST_A_BYTE: Final = 1 / 8
OTHER_WEIGHTS: Final = (
    (b"l", 90),  # Latin letters with accents, which break words up
    (b"g", 50),  # Greek
    (b"c", 29),  # Cyrillic
    (b"h", 50),  # Hebrew
    (b"r", 39),  # Arabic, and what is written with its letters
    (b"i", 38),  # the scripts of India, and Thai
    (b"v", 90),  # rarer scripts
    (b"s", 90),  # signs, and letters for private use
    (b"k", 90),  # kana, and the signs of East Asia
    (b"z", 90),  # ideographs
    (b"o", 78),  # Hangul
    (b"e", 200),  # emoji, and what is rarer still
)


def _beyond_letters(weights: tuple[tuple[bytes, int], ...]) -> tuple[list[bytes], list[int]]:
    """Return what is counted, and by how many hundredths more each weighs than a letter."""
    counted = [(letter, weight - LETTER) for letter, weight in weights] + list(PAIR_WEIGHTS)
    return [what for what, _ in counted], [more for _, more in counted]


# Side by side, so that all is counted and weighed without a step of Python's for each.
ASCII_ONLY: Final = _beyond_letters(ASCII_WEIGHTS)
ALL: Final = _beyond_letters(ASCII_WEIGHTS + OTHER_WEIGHTS)
# By the first byte of a character in UTF-8: which class it is of. All others of it are left out.
FIRST_BYTES: Final = {
    "n": (0x00, 0x1F),
    " ": (0x20, 0x20),
    ".": (0x21, 0x7F),
    "0": (0x30, 0x39),
    "A": (0x41, 0x5A),
    "a": (0x61, 0x7A),
    "l": (0xC2, 0xCD),
    "g": (0xCE, 0xCF),
    "c": (0xD0, 0xD5),
    "h": (0xD6, 0xD7),
    "r": (0xD8, 0xDF),
    "i": (0xE0, 0xE0),
    "v": (0xE1, 0xE1),
    "s": (0xE2, 0xE2),
    "k": (0xE3, 0xE3),
    "z": (0xE4, 0xE9),
    "o": (0xEA, 0xED),
    "e": (0xF0, 0xFF),
}
# Bytes for a character: Latin text has fewer than 1.1, any other script more than 1.7.
OTHER_SCRIPT_BYTES: Final = 1.4
SAMPLE_BYTES: Final = 512
SAMPLES: Final = 8


def _classes() -> bytes:
    table = bytearray(b"s" * 256)
    for letter, (first, last) in FIRST_BYTES.items():
        table[first : last + 1] = letter.encode() * (last + 1 - first)
    return bytes(table)


CLASSES: Final = _classes()
CONTINUED: Final = bytes(range(0x80, 0xC0))


def estimate(data: bytes) -> tuple[float, bool]:
    """Return about how many tokens a text in UTF-8 is, and whether it is in another script.

    That is whether most of it is in no Latin letters.
    """
    size = taken = len(data)
    if not size:
        return 0.0, False
    if size > SAMPLE_BYTES * SAMPLES:
        step = (size - SAMPLE_BYTES) // (SAMPLES - 1)
        data = b"".join([data[at : at + SAMPLE_BYTES] for at in range(0, step * SAMPLES, step)])
        taken = SAMPLE_BYTES * SAMPLES
    classes = data.translate(CLASSES, CONTINUED)
    characters = len(classes)
    counted, weights = ASCII_ONLY if characters == taken else ALL
    hundredths = LETTER * characters + sum(map(mul, weights, map(classes.count, counted)))
    tokens, least = hundredths * size / (100 * taken), size * LEAST_A_BYTE
    return tokens if tokens > least else least, taken > OTHER_SCRIPT_BYTES * characters  # noqa: FURB136 - no call
