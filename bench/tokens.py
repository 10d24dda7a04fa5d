"""How far our estimate of tokens, and our bound, are from what real vocabularies count.

    .venv/bin/python bench/tokens.py [--json FILE]

Rules of this file: real text, in several languages and in code, all of it in this repository. The
truth is counted by a package for tests that carries two published vocabularies of OpenAI; those of
other vendors are not to be had offline, and their models are why rates are learned. Errors are of
the whole text, in per cent: the estimate's own, what is left of it when a model's rate was learned
on the other texts in the same kind of script, and how many times the truth the bound is. What no
language is, long runs of one kind, is made here and teaches nothing. The table is that of
`docs/performance.md`.
"""

from __future__ import annotations

import argparse
import base64
import random
import string
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec

from bench.report import aligned
from routerd.classify.features import measure
from routerd.classify.tokens import estimate
from routerd.domain import Script
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

__all__ = [
    "ENCODINGS",
    "MODEL_TEXTS",
    "NEAR",
    "bound_of",
    "error_of",
    "main",
    "odd_texts",
    "read_texts",
    "rows_of",
    "script_of",
    "tokens_in",
    "vocabulary",
]

ROOT: Final = Path(__file__).resolve().parents[1]
LANGUAGES: Final = ROOT / "bench" / "texts"
# Code and data as they are in this repository; a change of them moves the numbers a little.
CODE: Final = {
    "Python": "daemon/routerd/decide/plan.py",
    "TOML": "daemon/routerd/models/data/models/openai.toml",
    "Markdown": "docs/money.md",
    "JSON": "tests/fixtures/exports/openai_usage_clean.json",
    "CSV": "tests/fixtures/plans/shortcuts.csv",
    "hashes": "requirements-dev.lock",
}
MODEL_TEXTS: Final = ("english", "Python", "chinese")
ENCODINGS: Final = ("o200k_base", "cl100k_base")
NEAR: Final = 0.25
"""The largest error that a text may have for the vocabulary that the weights were fitted to."""
MOST_CHARACTERS: Final = 40_000
REPEATS: Final = 200
Count = Callable[[str], int]


def read_texts() -> dict[str, str]:
    """Return all texts by name: languages first, then code."""
    texts = {path.stem: path.read_text("utf-8") for path in sorted(LANGUAGES.glob("*.txt"))}
    for name, path in CODE.items():
        texts[name] = (ROOT / path).read_text("utf-8")[:MOST_CHARACTERS]
    return texts


def odd_texts() -> dict[str, str]:
    """Return what is no language: runs of one kind, always the same."""
    chance = random.Random(20261129)

    def some(letters: str, number: int) -> str:
        return "".join(chance.choices(letters, k=number))

    return {
        "digits": some(string.digits, 12_000),
        "numbers": " ".join(some(string.digits, 16) for _ in range(300)),
        "base64": base64.b64encode(chance.randbytes(6_000)).decode(),
        "hexadecimal": chance.randbytes(4_000).hex(),
        "small letters": some(string.ascii_lowercase, 8_000),
        "letters": some(string.ascii_letters, 8_000),
        "one letter": "a" * 20_000,
        "spaces": " " * 70_000,
        "ends of lines": "\n" * 14_000,
        "dashes": "-" * 5_000,
        "Ethiopic": some("".join(map(chr, range(0x1200, 0x1248))), 2_000),
    }


@cache
def vocabulary(name: str) -> Count:
    """Return what counts a text by a real vocabulary."""
    with warnings.catch_warnings():
        # It opens its files in a way that Python 3.11 calls old.
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai  # noqa: PLC0415 - large, and for this alone

        encoding: Any = bpe_openai.get_encoding(name)
        encoding.encode_ordinary("a")  # this reads the file
    return lambda text: len(encoding.encode_ordinary(text))


def tokens_in(data: bytes) -> float:
    """Return the estimate of a text alone."""
    return estimate(data)[0]


def error_of(text: str, count: Count) -> float:
    """Return the error of the estimate as a share of the truth; above 0 is too many."""
    return tokens_in(text.encode()) / count(text) - 1


def bound_of(text: str) -> int:
    """Return the bound by which money is held for a message of this text."""
    bound = measure([Message("user", text)], CallOptions()).input_tokens_bound
    assert bound is not None  # there are no documents
    return bound


def script_of(text: str) -> Script:
    """Return the kind of script that rates are learned for."""
    return estimate(text.encode())[1]


def rows_of(texts: dict[str, str], odd: dict[str, str], count: Count) -> list[dict[str, Any]]:
    """Return a row a text; a rate is learned from all other texts in the same kind of script."""
    everything = texts | odd
    counted = {name: count(text) for name, text in everything.items()}
    estimated = {name: tokens_in(text.encode()) for name, text in everything.items()}
    rows = []
    for name, text in everything.items():
        script = script_of(text)
        rates = [
            counted[other] / estimated[other]
            for other in texts
            if other != name and script_of(texts[other]) == script
        ]
        rate = sum(rates) / len(rates)
        rows.append(
            {
                "text": name,
                "script": script,
                "tokens": counted[name],
                "estimate": estimated[name] / counted[name] - 1,
                "learned": rate * estimated[name] / counted[name] - 1,
                "bound": bound_of(text) / counted[name],
            }
        )
    return rows


def table_of(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the lines of a Markdown table, all vocabularies side by side."""
    heads = ["text", "script"]
    for name in found:
        heads += [f"{name}: tokens", "estimate", "learned elsewhere", "bound / truth"]
    lines = [heads]
    for rows in zip(*found.values(), strict=True):
        line = [rows[0]["text"], rows[0]["script"]]
        for row in rows:
            line += [f"{row['tokens']:,}", f"{row['estimate']:+.0%}", f"{row['learned']:+.0%}"]
            line.append(f"{row['bound']:,.1f}")
        lines.append(line)
    return aligned(lines)


def microseconds(text: str) -> float:
    """Return the CPU time of one estimate: the least of some batches."""
    data, best = text.encode(), float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(REPEATS):
            estimate(data)
        best = min(best, time.process_time() - began)
    return best / REPEATS * 1e6


def main(arguments: list[str]) -> int:
    """Print the table, and what an estimate costs; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tokens", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    texts, odd = read_texts(), odd_texts()
    found = {name: rows_of(texts, odd, vocabulary(name)) for name in ENCODINGS}
    print("\n".join(table_of(found)) + "\n")
    for size in (200, 2_000, 20_000, 2_000_000):
        text = (texts["Markdown"] * (size // len(texts["Markdown"]) + 1))[:size]
        print(f"an estimate of {size:,} bytes takes {microseconds(text):.1f} us")
    slowest, name = max((microseconds(text * 3), name) for name, text in (texts | odd).items())
    print(f"the slowest, of {name}, takes {slowest:.1f} us")
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
