"""How many tokens a text is about, without any tokenizer.

Rules of this file: pure, and in microseconds: a few passes over bytes at the speed of memory, and
of a long text only samples are looked at. What a character takes depends on what it is: letters
come in words, digits and signs nearly alone, other scripts by the script. Runs are no words: where
there is a long one it is looked at again. The weights were fitted to the vocabulary o200k_base and
rounded towards more tokens; `bench/tokens.py` prints the errors. What one model counts otherwise is
learned from what its provider reports, by kinds of script: `health.token_rates`.
"""

from __future__ import annotations

import re
from operator import mul
from typing import Final

from routerd.domain import Script

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
# Whatever it looks like, no text counts for less: hardly a token is longer.
LEAST_A_BYTE: Final = 1 / 64
OTHER_WEIGHTS: Final = (
    (b"l", 90),  # Latin letters with accents, which break words up
    (b"g", 50),  # Greek
    (b"c", 29),  # Cyrillic
    (b"h", 50),  # Hebrew
    (b"r", 39),  # Arabic, and what is written with its letters
    (b"i", 38),  # the scripts of India, and Thai
    (b"v", 70),  # Vietnamese letters, Georgian, Khmer
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
# Bytes for a character: Latin text has fewer than 1.1, Vietnamese 1.35, other scripts over 1.7.
OTHER_SCRIPT_BYTES: Final = 1.4
# The classes of each kind of script. Accents, signs and emoji stand in all of them.
SCRIPTS: Final[tuple[tuple[Script, tuple[bytes, ...]], ...]] = (
    ("ideographs", (b"z", b"k")),
    ("hangul", (b"o",)),
    ("cyrillic", (b"c",)),
    ("alphabets", (b"g", b"h", b"r")),
    ("syllables", (b"i", b"v")),
)
# What no vocabulary of today has whole: Ethiopic, Cherokee, Canadian syllables, Mongolian. So many
# hundredths more each.
RARE: Final = re.compile(rb"\xe1[\x88-\x99\xa0-\xa2]")
RARE_MORE: Final = 165
SAMPLE_BYTES: Final = 512
SAMPLES: Final = 8


def _classes() -> bytes:
    table = bytearray(b"s" * 256)
    for letter, (first, last) in FIRST_BYTES.items():
        table[first : last + 1] = letter.encode() * (last + 1 - first)
    return bytes(table)


CLASSES: Final = _classes()
CONTINUED: Final = bytes(range(0x80, 0xC0))

# Runs. A few of the same in a row weigh as always, what is behind them less: so a longer text never
# counts less than its beginning. Each pattern begins as a plain text does, which is found fast.
LINES: Final = b"n" * 24
SPACES: Final = b" " * 24
SIGNS: Final = b"." * 24
DIGITS: Final = b"0" * 5
LINE_RUNS: Final = re.compile(LINES + b"n+")
SPACE_RUNS: Final = re.compile(SPACES + b" +")
SIGN_RUNS: Final = re.compile(re.escape(SIGNS) + rb"\.+")
DIGIT_RUNS: Final = re.compile(DIGITS + b"0*")
LINE_LESS: Final = -56  # ten in a token
PAIR_OF_SPACES_LESS: Final = -12
PAIR_OF_SIGNS_LESS: Final = -70  # where it is one sign over and over, as lines are drawn with
DIGIT_LESS: Final = -44  # three in a token
# No word and hardly a name is as long: base64, random letters. Digits among them weigh as always,
# and so do those of hexadecimal numbers, as the weights of digits were fitted to them.
UNBROKEN: Final = b"x" * 32
UNBROKEN_RUNS: Final = re.compile(UNBROKEN + b"x*")
JOINED: Final = bytes(
    ord("x") if chr(code).isalnum() or code == ord("+") else 0 for code in range(128)
) + bytes(128)
HEXADECIMAL: Final = b"0123456789abcdefABCDEF"
UNBROKEN_MORE: Final = ((b"a", 33), (b"A", 33))
# Of fewer different characters it is no random text: vocabularies have runs of one letter.
FEWEST_DIFFERENT: Final = 3


def _more_for_runs(data: bytes, classes: bytes, joined: bytes) -> int:
    """Return by how many hundredths of a token what stands in long runs weighs more; often less."""
    more = 0
    if DIGITS in classes:
        runs = DIGIT_RUNS.findall(classes)
        more += DIGIT_LESS * (sum(map(len, runs)) - (len(DIGITS) - 1) * len(runs))
    if LINES in classes:
        runs = LINE_RUNS.findall(classes)
        more += LINE_LESS * (sum(map(len, runs)) - len(LINES) * len(runs))
    if SPACES in classes:
        pairs = sum([_pairs(len(run)) for run in SPACE_RUNS.findall(classes)])
        more += PAIR_OF_SPACES_LESS * pairs
    if SIGNS in classes:
        characters = data.translate(None, CONTINUED)  # in step with their classes
        runs = [characters[slice(*run.span())] for run in SIGN_RUNS.finditer(classes)]
        pairs = sum([_pairs(len(run) - len(run.lstrip(run[:1]))) for run in runs])
        more += PAIR_OF_SIGNS_LESS * pairs
    if UNBROKEN in joined:
        more += _more_for_unbroken(
            [data[slice(*it.span())] for it in UNBROKEN_RUNS.finditer(joined)]
        )
    return more


def _more_for_unbroken(runs: list[bytes]) -> int:
    """Return by how much more long runs of letters and digits weigh than as many in words."""
    letters = b"".join([run for run in runs if run.translate(None, HEXADECIMAL)])
    if len(set(letters)) < FEWEST_DIFFERENT:
        return 0
    kinds = letters.translate(CLASSES)
    return sum([weight * kinds.count(letter) for letter, weight in UNBROKEN_MORE])


def _pairs(length: int) -> int:
    """Return how many pairs begin behind the first 24 of a run: the first of a pair weighs."""
    return max(0, (length - 23) // 2)


def _script_of(classes: bytes) -> Script:
    """Return the kind of script that most characters of a text in no Latin letters are of."""
    counts = [(sum(map(classes.count, letters)), script) for script, letters in SCRIPTS]
    count, script = max(counts)
    return script if count else "latin"  # pictures, arrows and lines are of none


def estimate(data: bytes) -> tuple[float, Script]:
    """Return about how many tokens a text in UTF-8 is, and the kind of script of most of it."""
    size = taken = len(data)
    if not size:
        return 0.0, "latin"
    if size > SAMPLE_BYTES * SAMPLES:
        step = (size - SAMPLE_BYTES) // (SAMPLES - 1)
        data = b"".join([data[at : at + SAMPLE_BYTES] for at in range(0, step * SAMPLES, step)])
        taken = SAMPLE_BYTES * SAMPLES
    classes = data.translate(CLASSES, CONTINUED)
    characters = len(classes)
    counted, weights = ASCII_ONLY if characters == taken else ALL
    hundredths = LETTER * characters + sum(map(mul, weights, map(classes.count, counted)))
    joined = data.translate(JOINED) if taken >= len(UNBROKEN) else b""
    if (
        DIGITS in classes
        or SPACES in classes
        or LINES in classes
        or SIGNS in classes
        or UNBROKEN in joined
    ):
        hundredths += _more_for_runs(data, classes, joined)
    script: Script = "latin"
    if counted is ALL[0]:
        rare = len(RARE.findall(data)) if b"v" in classes else 0
        hundredths += RARE_MORE * rare
        if taken > OTHER_SCRIPT_BYTES * characters:
            script = "rare" if 2 * rare > characters else _script_of(classes)
    tokens, least = hundredths * size / (100 * taken), size * LEAST_A_BYTE
    return tokens if tokens > least else least, script  # noqa: FURB136 - no call
