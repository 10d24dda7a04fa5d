"""Everything known of one model, in words: for a person who looks at one, or compares some.

Rules of this file: text only, one fact a line, in the same order for every model, so that two can
stand side by side. What is not known is an empty text, never a guess; every number has its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from routerd.models.amounts import format_dollars
from routerd.models.price import RATES, LongContextPrice, Price, Rates
from routerd.models.ranking import blended
from routerd.models.schema import DIMENSIONS, Capability, Deployment, Documents, Model, Score

__all__ = ["facts", "score_text", "sources"]

PINNED: Final = {
    "dated": "dated",
    "vendor": "fixed by its vendor",
    "moving": "a moving alias",
}
# The wire format of a provider carries them, and a model that sees reads them.
DOCUMENTS: Final[dict[Documents | None, str]] = {
    None: "plain text",
    "data": "sent along",
    "url": "sent along or by URL",
}


def facts(model: Model, deployment: Deployment | None) -> list[tuple[str, str]]:
    """Return names and texts; the same names for every model."""
    price = deployment.price if deployment is not None else None
    serving = deployment or model
    return [
        ("deployment", deployment.id if deployment is not None else "none here"),
        ("vendor", model.vendor),
        ("class", deployment.model_class if deployment is not None else model.model_class),
        ("kind", model.kind),
        ("pinned", PINNED[model.pinned]),
        ("boundary", deployment.boundary if deployment is not None else ""),
        ("region", (deployment.region or "") if deployment is not None else ""),
        ("context window", _number(serving.context_window)),
        ("most input", _number(serving.max_input_tokens)),
        ("most output", _number(serving.max_output_tokens)),
        ("dimensions", _number(model.embedding_dimensions)),
        *_capabilities(serving),
        ("documents", DOCUMENTS[deployment.documents] if deployment is not None else ""),
        *_prices(price),
        *_speed(deployment),
        *((f"score {name}", score_text(getattr(model.scores, name))) for name in DIMENSIONS),
        ("backups", ", ".join(filter(None, (model.backup, model.secondary_backup)))),
        ("retires", str(serving.retires_on or "")),
        ("replacement", model.replacement or ""),
    ]


def score_text(score: Score | None) -> str:
    """Write a score with its benchmark and how far to trust it: `79.3 (0.90) LiveBench Coding`."""
    if score is None:
        return ""
    how = "" if score.method == "direct" else f", {score.method.replace('_', ' ')}"
    variant = f", {score.variant}" if score.variant else ""
    benchmark = score.benchmark.partition(" @")[0]
    return f"{score.value:.1f} ({score.confidence:.2f}) {benchmark}{how}{variant}"


def sources(model: Model, deployment: Deployment | None) -> list[tuple[str, str]]:
    """Return where the numbers are from."""
    found = [("limits and capabilities", model.source)]
    if deployment is not None and deployment.price is not None:
        found.append(("prices", deployment.price.source))
    if deployment is not None and deployment.speed is not None:
        speed = deployment.speed
        found.append(("speed", f"{speed.source} ({speed.confidence:.2f})"))
    for name in DIMENSIONS:
        score = getattr(model.scores, name)
        if score is not None:
            found.append((f"score {name}", f"{score.benchmark}, {score.version}"))
    return found


def _capabilities(serving: Model | Deployment) -> Iterator[tuple[str, str]]:
    for name in get_args(Capability):
        yield name.replace("_", " "), "yes" if getattr(serving.capabilities, name) else "no"
    yield "sampling", serving.capabilities.sampling.replace("_", " ")


def _prices(price: Price | None) -> Iterator[tuple[str, str]]:
    yield from ((f"{name.replace('_', ' ')} $/M", _rate(price, name)) for name in RATES)
    yield "per query $", _dollars(price.per_query if price is not None else None)
    yield "blended $/M", _dollars(blended(price))
    tier: LongContextPrice | None = price.long_context if price is not None else None
    if tier is None:
        yield "long context", ""
    else:
        rates = f"{_rate(tier, 'input')} in, {_rate(tier, 'output')} out"
        yield "long context", f"above {tier.above:,} tokens: {rates}"


def _speed(deployment: Deployment | None) -> Iterator[tuple[str, str]]:
    speed = deployment.speed if deployment is not None else None
    rate = speed.output_tokens_per_second if speed is not None else None
    first = speed.first_token_seconds if speed is not None else None
    yield "tokens a second", f"{rate:g}" if rate is not None else ""
    yield "first token", f"{first:g} s" if first is not None else ""


def _rate(rates: Rates | None, name: str) -> str:
    return _dollars(getattr(rates, name) if rates is not None else None)


def _dollars(nanodollars: int | None) -> str:
    return format_dollars(nanodollars) if nanodollars is not None else ""


def _number(value: int | None) -> str:
    return f"{value:,}" if value is not None else ""
