"""The settings that decide who serves a call: rules, policies, experiments and shadows.

Rules of this file: those of `schema`. A table says what it changes and nothing else, so that the
file reads as the list of exceptions that it is.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, field

from routerd.domain import Complexity
from routerd.settings.money import Dollars, Percent
from routerd.settings.section import Section
from routerd_proto.content import ReasoningEffort

__all__ = [
    "BALANCE",
    "SHADOW_PREFIX",
    "Arm",
    "Balance",
    "Experiment",
    "PolicySettings",
    "Rule",
    "Shadow",
]

Balance = Literal["headroom", "weights", "price", "latency", "in_flight"]
Tokens = Annotated[int, Meta(ge=1)]

# What a shadow's copies are paid by: a feature of this name; no caller may use one like it.
SHADOW_PREFIX: Final = "shadow:"
# Who shares a call among equals where nobody says otherwise: see PolicySettings.balance.
BALANCE: Final[tuple[Balance, ...]] = ("headroom", "price", "latency", "in_flight")


class Rule(Section, frozen=True):
    """A rule: a call that meets all conditions is served as it says. The first that fits counts.

    Rules are read in the order of the file, before those that come with routerd. Size is no
    condition to decide by alone.
    """

    targets: Annotated[list[str], Meta(description="Names an app asked for. Empty: any.")] = field(
        default_factory=list
    )
    tasks: Annotated[
        list[str], Meta(description="Task tags, one of which the call has. Empty: any or none.")
    ] = field(default_factory=list)
    flags: Annotated[
        list[str], Meta(description="Flags, one of which the call has. Empty: any or none.")
    ] = field(default_factory=list)
    words: Annotated[
        list[str],
        Meta(
            description="Words or phrases, one of which stands in the text that `look_in` names; "
            "whole words, upper and lower case alike. Of a long text its beginning and end are "
            "looked at."
        ),
    ] = field(default_factory=list)
    look_in: Annotated[
        Literal["system", "question", "either"],
        Meta(
            description="Where `words` are looked for: the system prompt, the last user message, "
            "or either."
        ),
    ] = "either"
    least_input_tokens: Annotated[
        Tokens | None, Meta(description="At least about so many tokens in. Unset: any.")
    ] = None
    most_input_tokens: Annotated[
        Tokens | None, Meta(description="At most about so many tokens in. Unset: any.")
    ] = None
    code: Annotated[
        bool | None, Meta(description="Whether the question holds code. Unset: either way.")
    ] = None
    reasoning: Annotated[
        bool | None,
        Meta(description="Whether the call asks for medium or more reasoning. Unset: either way."),
    ] = None
    tools: Annotated[
        bool | None, Meta(description="Whether the call brings tools. Unset: either way.")
    ] = None
    images: Annotated[
        bool | None, Meta(description="Whether the call brings images. Unset: either way.")
    ] = None
    complexity: Annotated[
        Complexity | None,
        Meta(description="What the call is taken for; `auto` goes by it. Unset: nothing is said."),
    ] = None
    use: Annotated[
        str | None,
        Meta(description="The shortcut, class or model that serves it. Unset: what was asked for."),
    ] = None


class PolicySettings(Section, frozen=True):
    """Who may use what, and how. What is unset is as in the policy it inherits from.

    `[policies.default]` is everybody's; another is for the tenants, teams and agents it names. An
    agent's goes before a team's, a team's before a tenant's.
    """

    inherits: Annotated[
        str | None, Meta(description="The policy whose settings hold here too. Unset: default.")
    ] = None
    tenants: Annotated[
        list[str], Meta(description="Tenants it is for. Empty: none, or all of its teams' tenants.")
    ] = field(default_factory=list)
    teams: Annotated[
        list[str], Meta(description="Teams it is for; of `tenants` only, where those are named.")
    ] = field(default_factory=list)
    agents: Annotated[
        list[str],
        Meta(description="Agents it is for; of `tenants` and `teams` only, where those are named."),
    ] = field(default_factory=list)
    classes: Annotated[
        list[str] | None,
        Meta(description="Classes whose models may serve, beside `models`. Unset: all."),
    ] = None
    models: Annotated[
        list[str] | None,
        Meta(description="Models that may serve, beside those of `classes`. Unset: all."),
    ] = None
    without: Annotated[
        list[str] | None,
        Meta(description="Models, deployments and providers that may not serve. Unset: none."),
    ] = None
    shortcuts: Annotated[
        dict[str, str] | None,
        Meta(
            description="Shortcuts of its own: a name an app asks for, and the shortcut, class or "
            "model that serves it instead. Unset: none."
        ),
    ] = None
    moving_aliases: Annotated[
        bool | None,
        Meta(
            description="Whether a model may serve whose vendor can put other weights behind its "
            "id at any time. Unset: no, so that nothing changes unless you change it."
        ),
    ] = None
    private_reaches: Annotated[
        list[str] | None,
        Meta(
            description="Providers in your own network that private calls may go to, beside this "
            "machine. Unset: none."
        ),
    ] = None
    region: Annotated[
        str | None,
        Meta(
            description="The region whose deployments alone may serve, such as eu; a call may name "
            "another. Unset: any, the fastest of equals first."
        ),
    ] = None
    interactive_ms: Annotated[
        Tokens | None,
        Meta(
            description="Milliseconds to the first content that an interactive call waits for; who "
            "is known to be slower comes behind. Unset: 3000."
        ),
    ] = None
    prefer: Annotated[
        Literal["order", "price", "latency"] | None,
        Meta(
            description="What orders the candidates of a call: the class or shortcut itself, the "
            "lower price, or the shorter time to first content. Unset: order."
        ),
    ] = None
    balance: Annotated[
        list[Balance] | None,
        Meta(
            description="What shares calls among deployments of one model, the most important "
            "first: headroom (a tenth of its rate limit is left), weights (by lot), price, latency "
            "(as measured), in_flight (the fewest). Unset: headroom, price, latency, in_flight."
        ),
    ] = None
    soft_percent: Annotated[
        Percent | None,
        Meta(
            description="From which share of a budget on its calls count as nearly paid for. "
            "Unset: each budget's own mark."
        ),
    ] = None
    near_cap: Annotated[
        Literal["cheaper", "same"] | None,
        Meta(
            description="What happens from that mark on to calls that are not critical: a cheaper "
            "class serves, as the class declares its degraded path, or the same. Unset: cheaper."
        ),
    ] = None
    at_cap: Annotated[
        Literal["free", "refuse"] | None,
        Meta(
            description="What happens at a cap in dollars: what costs nothing may still serve (own "
            "servers, free tiers), or every call is refused. Unset: free."
        ),
    ] = None
    raw_beyond_hold: Annotated[
        bool | None,
        Meta(
            description="Whether `raw` may ask for what can cost more than is set aside for the "
            "call (tools that the vendor runs, `prediction`, other tiers): no cap bounds what such "
            "a call costs. Unset: no."
        ),
    ] = None


class Arm(Section, frozen=True):
    """One arm of an experiment: how many of its calls it gets, and what is different for them."""

    weight: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Its share, beside those of the other arms.")
    ]
    use: Annotated[
        str | None,
        Meta(description="The shortcut, class or model that serves. Unset: what was asked for."),
    ] = None
    max_output_tokens: Annotated[
        Tokens | None, Meta(description="Output limit where the call sets none. Unset: no change.")
    ] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(description="Temperature where the call sets none. Unset: no change."),
    ] = None
    reasoning: Annotated[
        ReasoningEffort | None,
        Meta(description="Reasoning effort where the call sets none. Unset: no change."),
    ] = None


class Experiment(Section, frozen=True):
    """Calls to one target, shared out among arms; the arm is on every record."""

    target: Annotated[str, Meta(description="The shortcut, class or model whose calls take part.")]
    sticky: Annotated[
        Literal["tenant", "user", "session", "call"],
        Meta(
            description="Who stays with an arm: all calls of a tenant, of a user, of a session, or "
            "each call for itself. Calls that name none are for themselves."
        ),
    ] = "user"
    arms: dict[str, Arm] = field(default_factory=dict)


class Shadow(Section, frozen=True):
    """A share of calls that is sent to a second model too. Its answer is recorded, not returned."""

    target: Annotated[str, Meta(description="The shortcut, class or model whose calls are copied.")]
    use: Annotated[str, Meta(description="The shortcut, class or model that gets the copy.")]
    percent: Annotated[Percent, Meta(description="The share of calls that is copied.")]
    daily_dollars: Annotated[
        Dollars,
        Meta(
            description="Cap on each day for the copies alone; they count in budgets that name "
            "nobody, and in no tenant's."
        ),
    ]
    in_flight: Annotated[
        int,
        Meta(ge=1, description="Copies running at once; one more is left out, and counted."),
    ] = 16
