"""The configuration of a daemon that is rehearsed with: the user's own, led to simulated providers.

Rules of this file: pure. Who serves must come out as it would with the user's own file, so only
addresses, keys and places are others, answers are not kept, and what counts calls has more room: a
rehearsal makes more of them in a minute than many a day has. Where providers are slow, all wait for
them as short a time: how long does not decide who serves. What is written is read by the daemon's
own loader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from routerd.domain import Boundary
from routerd.settings import (
    BatchTimeouts,
    Budget,
    Caching,
    Discovery,
    FreeTier,
    InteractiveTimeouts,
    KeySettings,
    ProviderSettings,
    Settings,
    Timeouts,
)
from routerd.simulate import VENDORS

__all__ = ["Actor", "as_toml", "impatient", "staged"]

PATHS: Final = {
    "openai": "/openai/v1",
    "openai-responses": "/openai-responses/v1",
    "anthropic": "/anthropic",
    "cohere": "/cohere",
    "gemini": "/gemini",
    "voyage": "/voyage/v1",
}
# Nobody listens there: for providers whose wire no simulator speaks.
NOWHERE: Final = "http://127.0.0.1:9"
MORE: Final = 1_000
# How long calls wait in place of minutes; simulated providers that are well answer at once.
SHORT_SECONDS: Final = 2.0

Limits = TypeVar("Limits", Timeouts, InteractiveTimeouts, BatchTimeouts)


class Actor(Struct, frozen=True):
    """A provider that is to be simulated.

    `models` are those that a server of your own lists, None for a vendor, who has any.
    """

    name: str
    adapter: str
    boundary: Boundary
    dialect: str | None = None
    models: tuple[str, ...] | None = None

    @property
    def is_spoken(self) -> bool:
        """Say whether a simulator speaks its wire."""
        # Vertex is another service, with addresses of its own.
        return self.adapter in VENDORS and self.adapter in PATHS and self.dialect != "vertex"

    def address(self, base_url: str) -> str:
        """Return where it is found at a simulator."""
        return base_url + PATHS[self.adapter] if self.is_spoken else NOWHERE


def staged(
    settings: Settings,
    cast: Iterable[Actor],
    base_urls: Mapping[str, str],
    *,
    folder: Path,
    default_cap: str | None = None,
) -> Settings:
    """Return settings whose providers are simulators at these addresses, by name.

    `folder` is what the files of `directory` are relative to. `default_cap` is the daily default
    in dollars where it holds: simulated providers bill nothing, so that it must be written down.
    """
    providers = {name: table for name, table in settings.providers.items() if not table.enabled}
    for actor in cast:
        table = settings.providers.get(actor.name, ProviderSettings(keyless=True))
        providers[actor.name] = structs.replace(
            table,
            adapter=actor.adapter,
            dialect=actor.dialect,
            boundary=actor.boundary,
            base_url=actor.address(base_urls.get(actor.name, "")),
            simulated=True,
            free=_roomier(table.free),
            keys={name: _unhurried(key) for name, key in table.keys.items()},
        )
    budgets = {
        name: structs.replace(budget, calls=_more(budget.calls))
        for name, budget in settings.budgets.items()
    }
    if default_cap is not None:
        budgets["default daily cap"] = Budget(dollars=default_cap)
    return structs.replace(
        settings,
        providers=providers,
        budgets=budgets,
        promises={},
        # A kept answer would hide who serves now.
        cache=Caching(),
        discovery=Discovery(local_servers=False),
        directory=[str((folder / name).absolute()) for name in settings.directory],
    )


def impatient(settings: Settings) -> Settings:
    """Return settings by which every call leaves who is slow in a moment."""

    def hurried(limits: Limits) -> Limits:
        return structs.replace(
            limits,
            first_content=SHORT_SECONDS,
            thinking=SHORT_SECONDS,
            whole_answer=SHORT_SECONDS,
        )

    return structs.replace(
        settings,
        timeouts=hurried(settings.timeouts),
        interactive_timeouts=hurried(settings.interactive_timeouts),
        batch_timeouts=hurried(settings.batch_timeouts),
    )


def _unhurried(key: KeySettings) -> KeySettings:
    return structs.replace(key, calls_a_minute=None, tokens_a_minute=None, free=_roomier(key.free))


def _roomier(tiers: Mapping[str, FreeTier]) -> dict[str, FreeTier]:
    return {
        name: structs.replace(tier, calls=_more(tier.calls), tokens=_more(tier.tokens))
        for name, tier in tiers.items()
    }


def _more(count: int | None) -> int | None:
    return None if count is None else count * MORE


def as_toml(settings: Settings) -> str:
    """Write settings as a file that reads as the same ones."""
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    return "".join(
        f"{_key(name)} = {_value(value)}\n" for name, value in plain.items() if value is not None
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = [
            f"{_key(name)} = {_value(item)}" for name, item in value.items() if item is not None
        ]
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    # JSON's texts, numbers and truths are TOML's, but for one character.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return _value(name)
