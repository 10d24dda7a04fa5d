"""From the configuration's budgets to definitions: whose money, for how long, how much.

Rules of this file: every mistake is a SettingsError that names file and key. Dollars become whole
nanodollars here and nowhere later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from routerd.budget.windows import Window, parse_window, read_zone
from routerd.domain import Unit
from routerd.errors import SettingsError
from routerd.models.pricing import dollars_to_nanodollars
from routerd.settings import SHADOW_PREFIX, Budget, Budgeting, Shadow, Spender

__all__ = [
    "CALLERS",
    "DEFAULT_NAME",
    "SERVERS",
    "Definition",
    "Identity",
    "read_budgets",
    "shadow_feature",
]

# Who spends, in the order in which a call's names are passed around.
CALLERS: Final[tuple[Spender, ...]] = ("tenant", "team", "agent", "user", "feature")
# What a route decides.
SERVERS: Final[tuple[Spender, ...]] = ("provider", "model")
DEFAULT_NAME: Final = "default daily cap"

# What tells one counter from another: the filters, who has one each, and the window. Caps are not
# part of it, so that a changed cap finds what was spent.
Identity = tuple[tuple[tuple[Spender, str], ...], Spender | None, Window]


class Definition(Struct, frozen=True, kw_only=True):
    """One budget, checked. Caps are whole units, None where there is none.

    `apart` are the names of its `each` that have a budget of their own. `soft_percent` is the share
    of a cap from which on it is nearly spent.
    """

    name: str
    window: Window
    filters: tuple[tuple[Spender, str], ...] = ()
    each: Spender | None = None
    apart: frozenset[str] = frozenset()
    nanodollars: int | None = None
    calls: int | None = None
    tokens: int | None = None
    soft_percent: float = 80.0
    is_default: bool = False

    @property
    def identity(self) -> Identity:
        """What tells its counters from those of other budgets."""
        return self.filters, self.each, self.window

    def looks_at(self, dimension: Spender) -> bool:
        """Say whether it depends on one of the names of a call."""
        return dimension == self.each or any(name == dimension for name, _ in self.filters)

    @property
    def of_route(self) -> bool:
        """Whether it depends on who serves: its calls are requests then."""
        return any(self.looks_at(dimension) for dimension in SERVERS)

    def cap(self, unit: Unit) -> int | None:
        """Return its cap in a unit."""
        cap: int | None = getattr(self, unit)
        return cap

    def soft(self, cap: int) -> int:
        """Return the mark of a cap from which on it is nearly spent."""
        return -(-cap * round(self.soft_percent * 10_000) // 1_000_000)

    def scope(self, name: str | None) -> str:
        """Say in words whose a counter is: `tenant acme, user bob`."""
        parts = [f"{dimension} {value}" for dimension, value in self.filters]
        if self.each is not None:
            parts.append(f"{self.each} {name}" if name is not None else f"no {self.each} named")
        return ", ".join(parts) or "all calls"


def read_budgets(
    budgets: Mapping[str, Budget],
    budgeting: Budgeting,
    file: Path | str = "",
    *,
    known: Mapping[str, Collection[str]] | None = None,
    can_be_billed: bool = False,
    shadows: Mapping[str, Shadow] | None = None,
) -> tuple[Definition, ...]:
    """Check the budgets; with vendors that bill and no cap in dollars, add the daily default.

    `known` are the providers and models there are, by `provider` and `model`. Each of the `shadows`
    has a budget of its own. SettingsError names the first mistake.
    """
    try:
        zone = read_zone(budgeting.time_zone)
    except ValueError as error:
        raise SettingsError(str(error), file=file, key="budgeting.time_zone") from None
    default_cap = _nanodollars(
        budgeting.default_daily_dollars, file, "budgeting.default_daily_dollars"
    )
    definitions = [
        _read(name, budget, budgeting, zone, file, known or {}) for name, budget in budgets.items()
    ]
    _refuse_twins(definitions, file)
    if (
        can_be_billed
        and default_cap
        and not any(item.nanodollars is not None for item in definitions)
    ):
        definitions.append(
            Definition(
                name=DEFAULT_NAME,
                window=Window("day", zone),
                nanodollars=default_cap,
                soft_percent=budgeting.soft_percent,
                is_default=True,
            )
        )
    definitions += [
        Definition(
            name=shadow_feature(name),
            window=Window("day", zone),
            filters=(("feature", shadow_feature(name)),),
            nanodollars=_nanodollars(shadow.daily_dollars, file, f"shadows.{name}.daily_dollars"),
            soft_percent=budgeting.soft_percent,
        )
        for name, shadow in (shadows or {}).items()
    ]
    return tuple(_with_apart(item, definitions) for item in definitions)


def shadow_feature(shadow: str) -> str:
    """Return the feature that the copies of a shadow are counted under."""
    return f"{SHADOW_PREFIX}{shadow}"


def _read(
    name: str,
    budget: Budget,
    budgeting: Budgeting,
    zone: tzinfo,
    file: Path | str,
    known: Mapping[str, Collection[str]],
) -> Definition:
    key = f"budgets.{name}"
    filters = tuple(
        (dimension, value)
        for dimension in (*CALLERS, *SERVERS)
        if (value := getattr(budget, dimension)) is not None
    )
    for dimension, value in filters:
        if dimension in known and value not in known[dimension]:
            names = ", ".join(sorted(known[dimension])[:20])
            raise SettingsError(
                f"{value!r} is no known {dimension}; known: {names}",
                file=file,
                key=f"{key}.{dimension}",
            )
    if budget.each is not None and any(dimension == budget.each for dimension, _ in filters):
        raise SettingsError(
            f"names one {budget.each} already: each is for all of them",
            file=file,
            key=f"{key}.each",
        )
    if budget.dollars is None and budget.calls is None and budget.tokens is None:
        raise SettingsError("caps nothing: expected dollars, calls or tokens", file=file, key=key)
    return Definition(
        name=name,
        window=parse_window(budget.window, zone),
        filters=filters,
        each=budget.each,
        nanodollars=(
            None if budget.dollars is None else _nanodollars(budget.dollars, file, f"{key}.dollars")
        ),
        calls=budget.calls,
        tokens=budget.tokens,
        soft_percent=(
            budgeting.soft_percent if budget.soft_percent is None else budget.soft_percent
        ),
    )


def _nanodollars(dollars: float | str, file: Path | str, key: str) -> int:
    """Read dollars as they were written: 0.1 is a tenth, not what a float makes of it."""
    try:
        amount = dollars_to_nanodollars(str(dollars).replace("_", ""))
    except ValueError as error:
        raise SettingsError(str(error), file=file, key=key) from None
    if amount < 0:
        raise SettingsError("expected dollars, 0 or more", file=file, key=key)
    return amount


def _refuse_twins(definitions: list[Definition], file: Path | str) -> None:
    """Two budgets for the same spenders and window would only be one cap and a riddle."""
    seen: dict[Identity, str] = {}
    for item in definitions:
        other = seen.setdefault(item.identity, item.name)
        if other != item.name:
            raise SettingsError(
                f"is for the same spenders and window as budgets.{other}; write one budget",
                file=file,
                key=f"budgets.{item.name}",
            )


def _with_apart(budget: Definition, others: list[Definition]) -> Definition:
    """Find who has a budget of their own in place of one for each."""
    if budget.each is None:
        return budget
    own = {
        value
        for item in others
        if item.each is None and item.window == budget.window
        for dimension, value in item.filters
        if dimension == budget.each
        and tuple(pair for pair in item.filters if pair[0] != dimension) == budget.filters
    }
    return structs.replace(budget, apart=frozenset(own))
