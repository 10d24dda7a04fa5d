"""The settings that say what has to hold on a bad day, for `routerd drill` to judge.

Rules of this file: those of `schema`. Nothing here changes who serves a call.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, field

from routerd.settings.section import Section

__all__ = ["HARDSHIPS", "Hardship", "Promise"]

Hardship = Literal[
    "one_provider",
    "two_providers",
    "slow_provider",
    "rate_limit",
    "budget_85",
    "budget_cap",
    "private",
]
HARDSHIPS: Final[tuple[Hardship, ...]] = get_args(Hardship)


class Promise(Section, frozen=True):
    """What shortcuts are to survive. `routerd drill` ends with exit code 1 where one would not."""

    survives: Annotated[
        list[Hardship],
        Meta(
            min_length=1,
            description="What they are served in spite of: one_provider (any one is down), "
            "two_providers (any two are), slow_provider (any one lets calls wait too long), "
            "rate_limit (any one answers 429), budget_85 (85 % of every cap in dollars is spent), "
            "budget_cap (all of it is), private (the call is private).",
        ),
    ]
    shortcuts: Annotated[
        list[str],
        Meta(description="The shortcuts, classes or models it is for. Empty: every shortcut."),
    ] = field(default_factory=list)
    degraded: Annotated[
        bool,
        Meta(description="Whether an answer that is degraded keeps it."),
    ] = True
