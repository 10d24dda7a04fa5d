"""The few words that several nouns share, and the limits of a plan."""

from __future__ import annotations

from typing import Final, Literal

__all__ = [
    "MAX_ATTEMPTS_PER_ROUTE",
    "MAX_ROUTES",
    "MOST_PER_IMAGE",
    "AttemptReason",
    "Boundary",
    "Complexity",
    "Kind",
    "SamplingParameters",
    "Script",
    "Unit",
]

Boundary = Literal["machine", "own-network", "vendor"]
AttemptReason = Literal["first", "retry", "repair", "fallback"]
SamplingParameters = Literal["yes", "no", "without_reasoning"]
Complexity = Literal["simple", "medium", "complex"]
# What a model does.
Kind = Literal["chat", "embedding", "rerank"]
# What vocabularies know differently well: Latin letters, and code; Cyrillic; Greek, Hebrew, Arabic;
# Chinese and Japanese; Korean; the scripts of India and what is east of it; what nobody has whole.
Script = Literal["latin", "cyrillic", "alphabets", "ideographs", "hangul", "syllables", "rare"]
# What a budget counts.
Unit = Literal["nanodollars", "calls", "tokens"]
# The largest picture at full detail takes 1,445 tokens (tiles) to 3,779 (patches) at OpenAI, 4,784
# at Anthropic, 2,240 at Gemini 3, 9,506 at Mistral: a test computes them. A model that bills more
# says so in the directory.
MOST_PER_IMAGE: Final = 16_384
MAX_ROUTES: Final = 3
MAX_ATTEMPTS_PER_ROUTE: Final = 2
