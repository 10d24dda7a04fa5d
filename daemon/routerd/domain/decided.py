"""What a decision is made from, and what it says."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from routerd.domain.words import Complexity, Unit

__all__ = ["BudgetRoom", "Dropped", "FreeQuota", "Plan", "Route", "Snapshot"]


class BudgetRoom(Struct, frozen=True):
    """What one cap of a budget leaves at the moment of a decision, in whole `unit`s.

    `budget` is its name in the configuration, `scope` says in words whose it is ("tenant acme").
    `soft` is the mark from which on it is nearly used up; `resets_at` is in seconds since the
    epoch. With a `provider` or a `model` it concerns only the candidates of that.
    """

    budget: str
    scope: str
    unit: Unit
    limit: int
    spent: int
    held: int
    soft: int
    resets_at: float
    provider: str | None = None
    model: str | None = None


class FreeQuota(Struct, frozen=True):
    """What is left of a free tier: requests and tokens, None where that is not limited.

    `exhausted_means` says whether the deployment is still to be had, for money, once it is used up.
    """

    deployment: str
    key: str
    calls_left: int | None
    tokens_left: int | None
    resets_at: float
    exhausted_means: Literal["paid", "refused"] = "paid"


class Snapshot(Struct, frozen=True):
    """The state of the system at the moment of a decision, as plain data.

    `now` is seconds since the epoch. `rooms` are the caps that hold for the call, `free` the free
    tiers of its candidates. `surcharges` are, by deployment, the thousandths by which its bound is
    raised, because it was billed above its bound before. By deployment too: `latency_ms` to the
    first content as last seen, the requests `in_flight`, and `headroom`, the thousandths of its
    rate limits that are left. `unhealthy` says of providers and deployments why nothing is sent
    there, `unhealthy_seconds` for how long at least; what is not in it is not tried at all. Of
    these, `last_resorts` only rest by our own reckoning, their provider named no time: what else
    would fail may be tried there. `gone` says of deployments that their provider has them no more.
    `session_on` is the deployment that served the call's session last. `token_rates` are, by model,
    the thousandths of the estimated tokens that its provider counts of such text.
    """

    now: float
    rooms: tuple[BudgetRoom, ...] = ()
    free: tuple[FreeQuota, ...] = ()
    surcharges: dict[str, int] = {}
    latency_ms: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    headroom: dict[str, int] = {}
    unhealthy: dict[str, str] = {}
    gone: dict[str, str] = {}
    session_on: str | None = None
    unhealthy_seconds: dict[str, float] = {}
    last_resorts: tuple[str, ...] = ()
    token_rates: dict[str, int] = {}


class Route(Struct, frozen=True):
    """One entry of a plan. Never the same deployment twice in a plan.

    `degraded` says why it is not what was asked for, None if it is. `bound_nanodollars` is what
    one request can cost at most at its price, None where that is not known; `bound_tokens` is the
    same in tokens, None where nothing bounds them. `max_output_tokens` is the limit to send, None
    for the caller's own; `lowered_by` names the budget that made it smaller than it would be.
    `free` says that a free tier had room for it. `surcharge` is in the bounds, in thousandths.
    `code` says what put it in its place, `detail` with which numbers.
    """

    deployment: str
    model: str
    provider: str
    degraded: str | None = None
    bound_nanodollars: int | None = None
    bound_tokens: int | None = None
    max_output_tokens: int | None = None
    lowered_by: str | None = None
    free: bool = False
    surcharge: int = 1000
    code: str = "order"
    detail: str = ""


class Dropped(Struct, frozen=True):
    """A candidate that may not serve, with the coded reason and the numbers compared.

    `budget` and `unit` name the cap that has no room for it, where that is the reason.
    """

    deployment: str
    code: str
    detail: str = ""
    budget: str | None = None
    unit: Unit | None = None


class Plan(Struct, frozen=True):
    """The decision before anything is sent.

    `rule` says in words what chose the candidates, `serves` is the name they stand behind.
    `nearly_spent` names the budgets beyond their soft mark. `arm` is the experiment's, as
    `experiment/arm`; `shadows` are those that copy the call.
    """

    target: str
    rule: str
    model_class: str | None
    routes: tuple[Route, ...]
    dropped: tuple[Dropped, ...] = ()
    nearly_spent: tuple[str, ...] = ()
    serves: str = ""
    policy: str = "default"
    complexity: Complexity | None = None
    arm: str | None = None
    shadows: tuple[str, ...] = ()
