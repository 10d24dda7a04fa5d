"""Which models a rule for choosing puts first, and the words that say why.

Rules of this file: pure, and run once when a directory is built. A deployment's total is the
weighted mean of its model's scores, with points taken off for its price. What is not known:

- A dimension without a score is taken from the model of the same class that is nearest in blended
  price (as a ratio) and has one; at equal distance the higher score. None of the class has one: it
  counts as nothing. So a new model does not lose by silence to an old one of its class and price.
- Only what a vendor sells is compared so: a server of one's own has no price that says anything.
- An unknown price counts as the dearest of the class.
- Equal totals, to a tenth of a point: the model with more expected scores first (it is the newer
  one), then the cheaper, then the order of the class.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import log2
from typing import Final, NamedTuple, get_args

from msgspec import Struct

from routerd.models.amounts import NANODOLLARS_PER_DOLLAR, format_dollars
from routerd.models.pricing import Price
from routerd.models.schema import DIMENSIONS, Choice, Deployment, Dimension, Model

__all__ = ["Market", "blended", "rank"]

# Prices below this (nanodollars per million tokens) are alike, so that what is free is not
# infinitely better.
LEAST_PRICE: Final = NANODOLLARS_PER_DOLLAR // 100


def blended(price: Price | None) -> int | None:
    """Return nanodollars per million tokens, three of input to one of output; None: not known."""
    if price is None or price.input is None or price.output is None:
        return None
    return (3 * price.input + price.output) // 4


class Judged(NamedTuple):
    """A score as it counts; `like` is the model it was taken from, empty where it is its own."""

    value: float
    like: str


class _Peers(NamedTuple):
    """The scores of one class in one dimension, by price: one a price, the highest."""

    prices: list[float]
    scores: list[Judged]


class Market(Struct, frozen=True):
    """What a directory knows of prices and scores, as far as ranking compares them.

    `dearest` is by class: blended, and output alone. `prices` are by model, of what vendors sell.
    """

    models: Mapping[str, Model]
    prices: Mapping[str, int]
    dearest: Mapping[str, tuple[int, int]]
    peers: Mapping[tuple[str, str], _Peers]

    @classmethod
    def of(cls, models: Mapping[str, Model], deployments: Iterable[Deployment]) -> Market:
        """Collect what the deployments of vendors say."""
        prices: dict[str, int] = {}
        dearest: dict[str, tuple[int, int]] = {}
        for item in deployments:
            price = blended(item.price)
            if item.boundary != "vendor" or item.price is None or price is None:
                continue
            prices[item.model] = min(price, prices.get(item.model, price))
            name = models[item.model].model_class
            most, output = dearest.get(name, (0, 0))
            dearest[name] = (max(most, price), max(output, item.price.output or 0))
        return cls(models, prices, dearest, _peers(models, prices))

    def price_of(self, deployment: Deployment) -> tuple[int | None, bool]:
        """Return a blended price, and whether it is known; None where the class has none either."""
        known = blended(deployment.price)
        if known is not None:
            return known, True
        most = self.dearest.get(self.models[deployment.model].model_class)
        return (most[0] if most else None), False

    def output_price(self, deployment: Deployment) -> int | None:
        """Return the price of output alone, by the same rule."""
        if deployment.price is not None and deployment.price.output is not None:
            return deployment.price.output
        most = self.dearest.get(self.models[deployment.model].model_class)
        return most[1] if most else None

    def score(self, model: Model, dimension: Dimension, *, sold: bool) -> Judged | None:
        """Return a model's score, its own or the expected one; None where nothing says anything."""
        own = getattr(model.scores, dimension)
        if own is not None:
            return Judged(own.value, "")
        peers = self.peers.get((model.model_class, dimension))
        if peers is None or not sold:
            return None
        price = self.prices.get(model.id)
        if price is None:
            price = self.dearest[model.model_class][0]
        return _nearest(peers, _doublings(price))


class _Entry(NamedTuple):
    """A deployment with what decides its place; `place` is where it came in."""

    deployment: Deployment
    total: float
    expected: int
    price: float
    place: int
    text: str

    @property
    def order(self) -> tuple[float, int, float, int]:
        return (-self.total, -self.expected, self.price, self.place)


def rank(
    choice: Choice, candidates: Sequence[Deployment], market: Market
) -> list[tuple[Deployment, str]]:
    """Return the deployments that fit a rule, the best first, each with why it stands there.

    The deployments of one model stay together, at the place of the best of them.
    """
    by_model: dict[str, list[_Entry]] = {}
    for place, deployment in enumerate(candidates):
        if _fits(choice, deployment, market):
            entry = _judge(choice, deployment, market, place)
            if entry is not None:
                by_model.setdefault(deployment.model, []).append(entry)
    groups = [sorted(entries, key=lambda entry: entry.order) for entries in by_model.values()]
    groups.sort(key=lambda entries: entries[0].order)
    return [(entry.deployment, entry.text) for entries in groups for entry in entries]


def _fits(choice: Choice, deployment: Deployment, market: Market) -> bool:
    """Say whether a deployment can do and costs what a rule asks for."""
    if not all(getattr(deployment.capabilities, name) for name in choice.needs):
        return False
    least = choice.least_context_tokens
    if least is not None and (deployment.context_window or 0) < least:
        return False
    most = choice.most_output_dollars
    if most is None:
        return True
    output = market.output_price(deployment)
    return output is not None and output <= most * NANODOLLARS_PER_DOLLAR


def _judge(choice: Choice, deployment: Deployment, market: Market, place: int) -> _Entry | None:
    """Return a deployment's total and its words; None where a score is below the least."""
    model = market.models[deployment.model]
    sold = deployment.boundary == "vendor"
    sum_of_scores, expected, words = 0.0, 0, []
    for name in get_args(Dimension):
        weight, least = choice.weights.get(name, 0), choice.least.get(name)
        if not weight and least is None:
            continue
        judged = market.score(model, name, sold=sold)
        if least is not None and (judged is None or judged.value < least):
            return None
        sum_of_scores += weight * (judged.value if judged is not None else 0)
        expected += judged is not None and bool(judged.like)
        words.append(_words(name, judged))
    price, known = market.price_of(deployment)
    doublings = _doublings(price) if price is not None else 0.0
    off = choice.price_weight * doublings
    mean = sum_of_scores / (sum(choice.weights.values()) or 1)
    total = round(mean - off, 1)
    if choice.price_weight and price is not None:
        about = "" if known else ", not known and taken as the dearest of its class"
        words.append(f"{off:.1f} off for {format_dollars(price)} a million tokens{about}")
    text = f"score {total:.1f}: {', '.join(words)}" if words else "in the order of its class"
    return _Entry(deployment, total, expected, doublings, place, text)


def _words(dimension: str, judged: Judged | None) -> str:
    if judged is None:
        return f"{dimension} not known in its class"
    if judged.like:
        why = f"expected from its class and price (like {judged.like})"
        return f"{dimension} {judged.value:.1f} {why}"
    return f"{dimension} {judged.value:.1f}"


def _peers(models: Mapping[str, Model], prices: Mapping[str, int]) -> dict[tuple[str, str], _Peers]:
    """Return the scores of every class in every dimension, in the order of prices."""
    best: dict[tuple[str, str], dict[float, Judged]] = {}
    for name, price in prices.items():
        model = models[name]
        for dimension in DIMENSIONS:
            score = getattr(model.scores, dimension)
            if score is None:
                continue
            at = best.setdefault((model.model_class, dimension), {})
            place = _doublings(price)
            if place not in at or score.value > at[place].value:
                at[place] = Judged(score.value, name)
    return {
        key: _Peers(sorted(at), [at[place] for place in sorted(at)]) for key, at in best.items()
    }


def _nearest(peers: _Peers, place: float) -> Judged:
    """Return the score nearest to a price; at equal distance the higher one."""
    index = bisect_left(peers.prices, place)
    near = range(max(0, index - 1), min(index + 1, len(peers.prices)))
    return peers.scores[
        min(near, key=lambda i: (round(abs(peers.prices[i] - place), 9), -peers.scores[i].value))
    ]


def _doublings(price: int) -> float:
    """Return how often the least price doubles up to this one."""
    return log2(max(price, LEAST_PRICE) / LEAST_PRICE)
