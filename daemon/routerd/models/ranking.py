"""Which models a rule for choosing puts first, and the words that say why.

Rules of this file: pure, and run once when a directory is built. A deployment's total is the
weighted mean of its model's scores, with points taken off for its price. What is not known:

- A dimension without a score is taken from the model of the same class that is nearest in blended
  price (as a ratio) and has one; at equal distance the higher score. None of the class has one: it
  counts as nothing. So a new model does not lose by silence to an old one of its class and price.
- What is expected belongs to the model, wherever it is served: its price is the lowest of its
  deployments that is more than nothing, since what costs nothing (a server of one's own) says
  nothing of the weights. Where all of them are free it is nothing, and the cheapest of the class
  is the nearest.
- A least score leaves out whom somebody measured below it, never whom nobody measured.
- An unknown price counts as the dearest of the class.
- Equal totals, to a tenth of a point: the model with more expected scores first (it is the newer
  one), then the cheaper, then the order of the class.

Who is left out is told with the numbers that were compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import log2
from typing import Final, NamedTuple, get_args

from msgspec import Struct

from routerd.domain import Dropped
from routerd.models.amounts import NANODOLLARS_PER_DOLLAR, format_dollars
from routerd.models.pricing import Price
from routerd.models.schema import DIMENSIONS, Choice, Deployment, Dimension, Model

__all__ = ["Market", "Place", "Ranked", "blended", "rank"]

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

    `dearest` is by class: blended, and output alone. `prices` are by model: the lowest that is more
    than nothing, nothing where all that is known of it is free.
    """

    models: Mapping[str, Model]
    prices: Mapping[str, int]
    dearest: Mapping[str, tuple[int, int]]
    peers: Mapping[tuple[str, str], _Peers]

    @classmethod
    def of(cls, models: Mapping[str, Model], deployments: Iterable[Deployment]) -> Market:
        """Collect what the deployments say, wherever they are."""
        prices: dict[str, int] = {}
        dearest: dict[str, tuple[int, int]] = {}
        for item in deployments:
            price = blended(item.price)
            if item.price is None or price is None:
                continue
            paid = [known for known in (prices.get(item.model), price) if known]
            prices[item.model] = min(paid, default=0)
            if price:
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

    def score(self, model: Model, dimension: Dimension) -> Judged | None:
        """Return a model's score, its own or the expected one; None where nothing says anything."""
        own = getattr(model.scores, dimension)
        if own is not None:
            return Judged(own.value, "")
        peers = self.peers.get((model.model_class, dimension))
        if peers is None:
            return None
        price = self.prices.get(model.id)
        if price is None:
            price = self.dearest.get(model.model_class, (0, 0))[0]
        return _nearest(peers, _doublings(price))


# Where a deployment stands: the lower, the sooner. No two of one choice are equal.
Place = tuple[float, int, float, int]


class Ranked(NamedTuple):
    """A deployment with its place, and the words that say why it stands there."""

    deployment: Deployment
    place: Place
    text: str


def rank(
    choice: Choice, candidates: Sequence[Deployment], market: Market
) -> tuple[list[Ranked], list[Dropped]]:
    """Return the deployments that fit a rule, the best first, and the others, each with why.

    The deployments of one model stay together, at the place of the best of them.
    """
    by_model: dict[str, list[Ranked]] = {}
    left_out: list[Dropped] = []
    for number, deployment in enumerate(candidates):
        reason = _misfit(choice, deployment, market)
        if reason is None:
            ranked = _judge(choice, deployment, market, number)
            by_model.setdefault(deployment.model, []).append(ranked)
        else:
            left_out.append(Dropped(deployment.id, *reason))
    groups = [sorted(items, key=lambda item: item.place) for items in by_model.values()]
    groups.sort(key=lambda items: items[0].place)
    return [item for items in groups for item in items], left_out


def _misfit(choice: Choice, deployment: Deployment, market: Market) -> tuple[str, str] | None:
    """Return code and detail of the first thing a rule asks for that is not there."""
    missing = [name for name in choice.needs if not getattr(deployment.capabilities, name)]
    if missing:
        wanted = ", ".join(choice.needs)
        return "lacks_capability", f"the choice needs {wanted}; it has no {', '.join(missing)}"
    least = choice.least_context_tokens
    if least is not None and (deployment.context_window or 0) < least:
        window = deployment.context_window
        has = "an unknown number" if window is None else f"{window:,}"
        return "window_too_small", f"the choice needs {least:,} tokens of context; it has {has}"
    most = choice.most_output_dollars
    if most is not None:
        output = market.output_price(deployment)
        if output is None or output > most * NANODOLLARS_PER_DOLLAR:
            asks = "an unknown price" if output is None else format_dollars(output)
            return "too_dear", f"the choice pays ${most:g} a million tokens out; it takes {asks}"
    for name, lowest in choice.least.items():
        own = getattr(market.models[deployment.model].scores, name)
        # What is only expected excludes nobody: that would be to lose by silence.
        if own is not None and own.value < lowest:
            return "score_too_low", f"the choice needs {name} {lowest:g}; it has {own.value:.1f}"
    return None


def _judge(choice: Choice, deployment: Deployment, market: Market, number: int) -> Ranked:
    """Return a deployment's place and its words; it came in as the `number`th."""
    model = market.models[deployment.model]
    sum_of_scores, expected, words = 0.0, 0, []
    for name in get_args(Dimension):
        weight = choice.weights.get(name, 0)
        if not weight and name not in choice.least:
            continue
        judged = market.score(model, name)
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
    return Ranked(deployment, (-total, -expected, doublings, number), text)


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
