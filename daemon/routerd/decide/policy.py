"""Which policy a call falls under, and what it says once everything it inherits is filled in.

Rules of this file: pure. The policies are joined when they are read; a call only looks its own up.
What contradicts itself is a PolicyMistake that names the setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from routerd.domain import Caller
from routerd.settings import BALANCE, Balance, PolicySettings

__all__ = ["DEFAULT", "Policies", "Policy", "PolicyMistake"]

DEFAULT: Final = "default"
# What of a policy says who may serve, and in what order while nothing moves.
CHOOSING: Final = (
    "classes",
    "models",
    "without",
    "moving_aliases",
    "private_reaches",
    "prefer",
    "balance",
)
# Who a policy is for; not inherited.
MEMBERS: Final = ("tenants", "teams", "agents")
# How precisely a policy names a call: an agent counts for more than any team, and so on.
WORTH: Final = {"agents": 4, "teams": 2, "tenants": 1}


class PolicyMistake(ValueError):  # noqa: N818 - what it is
    """A setting of the policies that cannot hold; `key` is its place in the file."""

    def __init__(self, key: str, expected: str) -> None:
        super().__init__(expected)
        self.key = key
        self.expected = expected


class Policy(Struct, frozen=True):
    """What holds for a call. None of `classes` and `models`: any may serve."""

    name: str = DEFAULT
    classes: frozenset[str] | None = None
    models: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    shortcuts: dict[str, str] = {}
    moving_aliases: bool = False
    private_reaches: frozenset[str] = frozenset()
    region: str | None = None
    interactive_ms: int = 3_000
    prefer: Literal["order", "price", "latency"] = "order"
    balance: tuple[Balance, ...] = BALANCE
    soft_percent: float | None = None
    near_cap: Literal["cheaper", "same"] = "cheaper"
    at_cap: Literal["free", "refuse"] = "free"
    raw_beyond_hold: bool = False


class _Members(NamedTuple):
    """Whom a policy is for, and how precisely it says so: of a kind that is empty anybody."""

    policy: str
    tenants: frozenset[str]
    teams: frozenset[str]
    agents: frozenset[str]
    worth: int

    def share_with(self, other: _Members) -> bool:
        """Say whether a call may be of both, where both name the same kinds."""
        return all(
            not mine or mine & its
            for mine, its in (
                (self.tenants, other.tenants),
                (self.teams, other.teams),
                (self.agents, other.agents),
            )
        )


class Policies:
    """All policies, joined with what they inherit; PolicyMistake where that cannot be.

    `chooses_as` names for each the first that has the same candidates in the same order.
    """

    def __init__(self, settings: Mapping[str, PolicySettings]) -> None:
        self._settings = {DEFAULT: PolicySettings(), **settings}
        self.by_name = {name: self._joined(name) for name in self._settings}
        self._default = self.by_name[DEFAULT]
        # Of each the first that chooses among candidates as it does.
        first: dict[tuple[Any, ...], str] = {}
        self.chooses_as = {
            name: first.setdefault(tuple([getattr(policy, field) for field in CHOOSING]), name)
            for name, policy in self.by_name.items()
        }
        self._members = [
            _Members(
                name,
                frozenset(item.tenants),
                frozenset(item.teams),
                frozenset(item.agents),
                sum(WORTH[kind] for kind in MEMBERS if getattr(item, kind)),
            )
            for name, item in self._settings.items()
            if any(getattr(item, kind) for kind in MEMBERS)
        ]
        # The most precise first.
        self._members.sort(key=lambda members: -members.worth)
        self._check_members()
        # Those for each tenant, in that order, and under None those for any.
        self._of_tenant: dict[str | None, list[tuple[int, _Members]]] = {}
        for place, members in enumerate(self._members):
            for tenant in members.tenants or (None,):
                self._of_tenant.setdefault(tenant, []).append((place, members))
        self._found: dict[tuple[str | None, str | None, str | None], Policy] = {}

    def of(self, caller: Caller) -> Policy:
        """Return the policy of a call."""
        if not self._members:
            return self._default
        key = (caller.tenant, caller.team, caller.agent)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MANY:
                self._found.clear()
            found = self._found[key] = self._find(*key)
        return found

    def _find(self, tenant: str | None, team: str | None, agent: str | None) -> Policy:
        those = self._of_tenant.get(None, [])
        if tenant is not None and tenant in self._of_tenant:
            those = sorted([*self._of_tenant[tenant], *those], key=itemgetter(0))
        for _, members in those:
            if (not members.teams or team in members.teams) and (
                not members.agents or agent in members.agents
            ):
                return self.by_name[members.policy]
        return self._default

    def _joined(self, name: str) -> Policy:
        """Fill in what a policy leaves to those it inherits from."""
        path = [name]
        while (before := self._before(path[-1])) is not None:
            if before not in self._settings:
                known = ", ".join(self._settings)
                place = f"policies.{path[-1]}.inherits"
                raise PolicyMistake(place, f"{before!r} is no policy; known: {known}")
            if before in path:
                circle = " > ".join((*path, before))
                raise PolicyMistake(f"policies.{name}.inherits", f"goes in a circle: {circle}")
            path.append(before)
        said: dict[str, Any] = {}
        for one in reversed(path):
            item = self._settings[one]
            own = {
                field: value
                for field in Policy.__struct_fields__
                if field != "name" and (value := getattr(item, field)) is not None
            }
            if "shortcuts" in own:
                # Each name by itself: a policy that changes one keeps the others.
                own["shortcuts"] = {**said.get("shortcuts", {}), **own["shortcuts"]}
            said |= own
        for field in ("classes", "models", "without", "private_reaches"):
            if field in said:
                said[field] = frozenset(said[field])
        if "balance" in said:
            said["balance"] = tuple(said["balance"])
        return Policy(name=name, **said)

    def _before(self, name: str) -> str | None:
        if name == DEFAULT:
            return None
        return self._settings[name].inherits or DEFAULT

    def _check_members(self) -> None:
        """Refuse what would leave it to chance which of two policies a call falls under."""
        if any(getattr(self._settings[DEFAULT], kind) for kind in MEMBERS):
            raise PolicyMistake(f"policies.{DEFAULT}", "is for everybody; expected no members")
        if self._settings[DEFAULT].inherits:
            raise PolicyMistake(f"policies.{DEFAULT}.inherits", "inherits from nobody")
        # Who is as precise names the same kinds: both are for a call whose names both have.
        seen: dict[tuple[int, str], list[_Members]] = {}
        for members in self._members:
            names = sorted(members.tenants or members.teams or members.agents)
            for name in names:
                for other in seen.get((members.worth, name), ()):
                    if members.share_with(other):
                        why = f"is for calls of {other.policy!r} too"
                        raise PolicyMistake(f"policies.{members.policy}", why)
            for name in names:
                seen.setdefault((members.worth, name), []).append(members)


# Look-ups kept; more than there are agents at most places, and bounded where there are more.
MANY: Final = 10_000
