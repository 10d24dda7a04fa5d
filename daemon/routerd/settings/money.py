"""The settings that are about money: budgets, free tiers, several keys, kept answers.

Rules of this file: those of `schema`. Amounts of money are dollars, as people write them; they are
turned into whole nanodollars where they are used, never through floating point.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from routerd.settings.section import Section
from routerd.settings.tokens import TokenCommand, TokenMetadata, TokenSeconds

__all__ = [
    "Budget",
    "Budgeting",
    "CachedShortcut",
    "Caching",
    "Dollars",
    "FreeTier",
    "KeySettings",
    "Percent",
    "Positive",
    "Spender",
]

Spender = Literal["tenant", "team", "agent", "user", "feature", "provider", "model"]
Dollars = int | float | str
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Percent = Annotated[float, Meta(gt=0, le=100)]


class Budgeting(Section, frozen=True):
    """What holds for all budgets."""

    time_zone: Annotated[
        str,
        Meta(
            description="Where a day and a month begin, as a name of the IANA database such as "
            "Europe/Berlin."
        ),
    ] = "UTC"
    soft_percent: Annotated[
        float,
        Meta(
            gt=0,
            le=100,
            description="From which share of a cap on a budget counts as nearly spent: it is told "
            "once, and decisions see it.",
        ),
    ] = 80.0
    default_daily_dollars: Annotated[
        float,
        Meta(
            ge=0,
            description="Cap on each day that holds while vendors can bill and no budget of yours "
            "caps dollars. 0: no such cap.",
        ),
    ] = 10.0
    unknown_price: Annotated[
        Literal["refuse", "allow"],
        Meta(
            description="Whether a model without a known price may be used under a cap in dollars. "
            "Its calls could not be counted against it."
        ),
    ] = "refuse"
    output_tokens: Annotated[
        int,
        Meta(
            ge=1,
            description="Output limit of a call under a cap in dollars or tokens where neither the "
            "caller nor the shortcut sets one: without a limit nothing bounds its cost. Reasoning "
            "counts as output.",
        ),
    ] = 16_384
    least_output_tokens: Annotated[
        Positive | None,
        Meta(
            description="Where a cap leaves less than a call may cost, lower its output limit, "
            "down to this many tokens, and say so. Unset: never.",
        ),
    ] = None


class Budget(Section, frozen=True):
    """One budget: whose, for how long, how much. It caps what its filters match, all together."""

    tenant: Annotated[str | None, Meta(description="Only what this tenant spends.")] = None
    team: Annotated[str | None, Meta(description="Only what this team spends.")] = None
    agent: Annotated[str | None, Meta(description="Only what this agent spends.")] = None
    user: Annotated[str | None, Meta(description="Only what this user spends.")] = None
    feature: Annotated[str | None, Meta(description="Only what this feature spends.")] = None
    provider: Annotated[str | None, Meta(description="Only what is spent at this provider.")] = None
    model: Annotated[str | None, Meta(description="Only what is spent on this model.")] = None
    each: Annotated[
        Spender | None,
        Meta(
            description="Whether every one of these has this budget of its own, from its first "
            "call on; those that another budget of the same window names are left out."
        ),
    ] = None
    window: Annotated[
        str,
        Meta(
            pattern="^(day|month|[1-9][0-9]{0,4}[mhd])$",
            description="What the caps are for: a day, a month, or any stretch of minutes, hours "
            "or days, such as 1m, 24h or 30d.",
        ),
    ] = "day"
    dollars: Annotated[Dollars | None, Meta(description="Cap in dollars.")] = None
    calls: Annotated[
        Count | None,
        Meta(
            description="Cap in calls; of a provider or a model, in requests. A call counts once, "
            "from its first request on."
        ),
    ] = None
    tokens: Annotated[
        Count | None, Meta(description="Cap in tokens, input and output together.")
    ] = None
    soft_percent: Annotated[Percent | None, Meta(description="Unset: that of [budgeting].")] = None


class CachedShortcut(Section, frozen=True):
    """A shortcut whose answers are kept and given again to identical calls of the same tenant."""

    seconds: Annotated[float, Meta(gt=0, description="How long an answer is kept.")]
    private: Annotated[bool, Meta(description="Whether answers to private calls are kept too.")] = (
        False
    )


class Caching(Section, frozen=True):
    """Answers kept in memory for identical calls; only for the shortcuts named here."""

    max_bytes: Annotated[
        int,
        Meta(ge=0, description="Memory for kept answers; those not used for longest go first."),
    ] = 64 * 1024 * 1024
    shortcuts: dict[str, CachedShortcut] = field(default_factory=dict)


class FreeTier(Section, frozen=True):
    """What a provider gives for nothing each day, for one of its models or, as `*`, for each."""

    calls: Annotated[Positive | None, Meta(description="Requests a day.")] = None
    tokens: Annotated[
        Positive | None, Meta(description="Tokens a day, input and output together.")
    ] = None
    resets_at: Annotated[
        str,
        Meta(
            pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
            description="The time at which the provider begins a new day.",
        ),
    ] = "00:00"
    time_zone: Annotated[str, Meta(description="Of that time, such as America/Los_Angeles.")] = (
        "UTC"
    )
    then: Annotated[
        Literal["paid", "refused"],
        Meta(description="Whether the key goes on for money once this is used up, or is refused."),
    ] = "paid"


class KeySettings(Section, frozen=True):
    """One of several keys of a provider."""

    key_env: Annotated[str | None, Meta(description="The environment variable that holds it.")] = (
        None
    )
    key_file: Annotated[
        str | None,
        Meta(
            description="The file that holds it. A systemd credential named PROVIDER.KEY is found "
            "without this."
        ),
    ] = None
    token_command: TokenCommand = None
    token_seconds: TokenSeconds = 300.0
    token_metadata: TokenMetadata = None
    calls_a_minute: Annotated[
        Positive | None, Meta(description="Requests a minute that the provider takes with it.")
    ] = None
    tokens_a_minute: Annotated[
        Positive | None, Meta(description="Tokens a minute that the provider takes with it.")
    ] = None
    free: dict[str, FreeTier] = field(default_factory=dict)
