"""How far our estimate of tokens, and our bound, are from what real vocabularies count.

    .venv/bin/python bench/tokens.py [--json FILE]

Rules of this file: real text, in several languages and in code, all of it in this repository. The
truth is counted by a package for tests that carries two published vocabularies of OpenAI; those of
other vendors are not to be had offline, and their models are why rates are learned. Errors are of
the whole text, in per cent: the estimate's own, what is left of it when a model's rate was learned
on the other texts of its kind, and by how much the bound is above the truth.
"""

from __future__ import annotations

import argparse
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
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

__all__ = [
    "MODEL_TEXTS",
    "NEAR",
    "bound_of",
    "error_of",
    "main",
    "read_texts",
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


def is_other(text: str) -> bool:
    """Return whether a text is of the other of the two kinds that rates are learned for."""
    return measure([Message("user", text)], CallOptions()).other_script


def rows_of(texts: dict[str, str], count: Count) -> list[dict[str, Any]]:
    """Return a row a text; a rate is learned from all other texts."""
    counted = {name: count(text) for name, text in texts.items()}
    estimated = {name: tokens_in(text.encode()) for name, text in texts.items()}
    rows = []
    for name, text in texts.items():
        kind = is_other(text)
        rates = [
            counted[other] / estimated[other]
            for other in texts
            if other != name and is_other(texts[other]) == kind
        ]
        rate = sum(rates) / len(rates)
        rows.append(
            {
                "text": name,
                "tokens": counted[name],
                "estimate": estimated[name] / counted[name] - 1,
                "learned": rate * estimated[name] / counted[name] - 1,
                "bound": bound_of(text) / counted[name],
            }
        )
    return rows


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
    """Print one table a vocabulary; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tokens", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    texts = read_texts()
    found = {name: rows_of(texts, vocabulary(name)) for name in ENCODINGS}
    for name, rows in found.items():
        heads = ["text", "tokens", "estimate", "with a learned rate", "bound / truth"]
        lines = [
            [
                row["text"],
                f"{row['tokens']:,}",
                f"{row['estimate']:+.0%}",
                f"{row['learned']:+.0%}",
                f"{row['bound']:.1f}",
            ]
            for row in rows
        ]
        print(f"{name}\n\n" + "\n".join(aligned([heads, *lines])) + "\n")
    for size in (200, 2_000, 20_000, 2_000_000):
        text = (texts["Markdown"] * (size // len(texts["Markdown"]) + 1))[:size]
        print(f"an estimate of {size:,} bytes takes {microseconds(text):.1f} us")
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
