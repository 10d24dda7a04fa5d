"""A small world to rehearse: three vendors, a server at home, a shortcut for each trouble."""

from __future__ import annotations

from collections.abc import Iterable

from routerd.budget.budgets import Budgets
from routerd.budget.definitions import read_budgets
from routerd.decide import Book, PolicyDocument
from routerd.evaluate.world import World
from routerd.models.schema import ModelClass, Shortcut
from routerd.settings import Budget, Budgeting, PolicySettings
from routerd_proto.frames import CallOptions
from tests.daemon.decide.known import (
    CHEAP,
    DEAR,
    FREE,
    NOW,
    deployment,
    directory,
    model,
    provider,
)

__all__ = ["town"]

PROVIDERS = ("east", "home", "north", "west")


def town(
    providers: Iterable[str] = PROVIDERS,
    budgets: dict[str, Budget] | None = None,
    policies: dict[str, PolicySettings] | None = None,
    options: CallOptions | None = None,
) -> World:
    """Return a world.

    `smart` is served by west, then east, then degraded by north and home. `many` has four models,
    all at west, and is degraded to north and home: its third route is kept for north, and while
    nobody knows better none is at home. `alone` is at west only. `near` must stay on this machine.
    """
    names = ("big", "grand", "one", "two", "three", "four", "small", "tiny")
    known = directory(
        [*(provider(name) for name in ("east", "north", "west")), provider("home", "machine")],
        [model(name) for name in names],
        [
            deployment("west", "big", price=DEAR),
            deployment("east", "grand", price=DEAR),
            *(deployment("west", name, price=DEAR) for name in ("one", "two", "three", "four")),
            deployment("north", "small", price=CHEAP),
            deployment("home", "tiny", price=FREE),
        ],
        [
            ModelClass(name="best", description="", candidates=("big", "grand"), degraded="modest"),
            ModelClass(
                name="crowd",
                description="",
                candidates=("one", "two", "three", "four"),
                degraded="modest",
            ),
            ModelClass(
                name="modest", description="", candidates=("small", "tiny"), degraded="fail"
            ),
        ],
        [
            Shortcut(name="smart", description="", model_class="best"),
            Shortcut(name="many", description="", model_class="crowd"),
            Shortcut(name="alone", description="", candidates=("big",), degraded="fail"),
            Shortcut(name="near", description="", candidates=("tiny",), degraded="fail"),
        ],
    )
    return World(
        Book(known, PolicyDocument(providers=tuple(providers), policies=policies or {})),
        Budgets(read_budgets(budgets or {}, Budgeting())),
        lambda _deployments, _now: (),
        NOW.now,
        options or CallOptions(),
    )
