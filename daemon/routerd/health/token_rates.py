"""What a model counts otherwise than our estimate, learned from what its provider reports.

Rules of this file: plain and synchronous. A rate is in thousandths, of a model wherever it is
served: its vocabulary is its own. Vocabularies differ little in Latin letters and code, and by
factors in other scripts, by other ones in each kind of them, so they are learned apart. A rate has
bounds, so that no odd report hides a window or closes it. It is kept for the next process whenever
it has moved enough to matter; what a simulator counts is another vocabulary's, and is forgotten
with this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, get_args

from routerd.domain import Record, Script, Usage

__all__ = ["TokenRates"]

# Shorter prompts say more of templates than of texts.
LEAST_TOKENS: Final = 200
# A vendor's own words about tools are some hundred tokens, however short the prompt is: from here
# on they are no more than a tenth of it.
LEAST_WITH_TOOLS: Final = 5_000
# How much one call moves a rate: five of them are two thirds of it.
NEWEST_COUNTS: Final = 0.2
LEAST_RATE: Final = 400
MOST_RATE: Final = 4000
# What is nearer to the estimate is not worth telling every decision.
TOLD_FROM: Final = 40
MOST_RATES: Final = 2000


class KeepRate(Protocol):
    """Remember a rate for the next process."""

    def __call__(self, model: str, thousandths: int, script: Script) -> None:
        """Take it; never waits."""


class TokenRates:
    """The rates of all models that calls went to.

    `told` has those that differ from 1,000 by enough to matter, by kind of script and model.
    `known` are those that an earlier process learned.
    """

    def __init__(
        self, known: Mapping[tuple[str, Script], int] | None = None, keep: KeepRate | None = None
    ) -> None:
        self.told: dict[Script, dict[str, int]] = {script: {} for script in get_args(Script)}
        self._rates: dict[tuple[str, Script], float] = {}
        self._kept: dict[tuple[str, Script], int] = {}
        self._keep = keep
        for kind, thousandths in list((known or {}).items())[:MOST_RATES]:
            if kind[1] not in self.told:
                continue  # of a script that only another version tells apart
            self._kept[kind] = bounded = min(MOST_RATE, max(LEAST_RATE, thousandths))
            self._set(kind, bounded)

    def learn(self, record: Record) -> None:
        """Compare what providers counted of a call's prompt with what was estimated of it."""
        features = record.features
        if features is None or features.input_tokens < LEAST_TOKENS or record.cached:
            return
        if features.images or features.document_files:
            return  # they are estimated apart
        if features.tools and features.input_tokens < LEAST_WITH_TOOLS:
            return  # what a vendor says of tools by itself would be taken for the text's
        if features.kind != "chat" and len(record.attempts) > 1:
            return  # each is a part of what was estimated
        for attempt in record.attempts:
            usage = attempt.usage
            if usage is not None and attempt.cost_basis == "measured":
                kind = (attempt.model, features.script)
                self._learn(kind, _prompt_of(usage), features.input_tokens)
                if not attempt.simulated and self._keep is not None:
                    self._keep_if_moved(kind, self._keep)

    def _learn(self, kind: tuple[str, Script], counted: int, estimated: int) -> None:
        if not counted or (kind not in self._rates and len(self._rates) >= MOST_RATES):
            return
        seen = min(MOST_RATE, max(LEAST_RATE, 1000 * counted / estimated))
        before = self._rates.get(kind, 1000.0)
        self._set(kind, before + NEWEST_COUNTS * (seen - before))

    def _keep_if_moved(self, kind: tuple[str, Script], keep: KeepRate) -> None:
        rate = round(self._rates.get(kind, 1000.0))
        if abs(rate - self._kept.get(kind, 1000)) >= TOLD_FROM:
            self._kept[kind] = rate
            keep(kind[0], rate, kind[1])

    def _set(self, kind: tuple[str, Script], rate: float) -> None:
        self._rates[kind] = rate
        model, script = kind
        if abs(rate - 1000) >= TOLD_FROM:
            self.told[script][model] = round(rate)
        else:
            self.told[script].pop(model, None)


def _prompt_of(usage: Usage) -> int:
    return (
        usage.input_tokens
        + usage.cache_read_tokens
        + usage.cache_write_tokens
        + usage.cache_write_long_tokens
    )
