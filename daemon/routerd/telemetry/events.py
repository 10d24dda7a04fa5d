"""What happens in the daemon, as frozen structs, and the place that hands them to the hooks.

Rules of this file: an event says what happened, never what to do about it. It holds names, numbers
and codes: no key, no prompt, no answer, no message of a provider. Events are emitted on the event
loop's thread. A hook never acts, never waits, and never breaks a call: what it raises ends here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from routerd.domain import Record, Unit
from routerd_proto.frames import TraceContext

__all__ = [
    "BoundExceeded",
    "BudgetNearlySpent",
    "BugSeen",
    "CallFinished",
    "ConfigurationReloaded",
    "ConnectionRejected",
    "DaemonStarted",
    "DaemonStopped",
    "DaemonStopping",
    "DefaultBudgetApplied",
    "DegradedFalling",
    "DegradedRising",
    "EndpointRecovered",
    "EndpointTripped",
    "Event",
    "Events",
    "Hook",
    "IntentsLost",
    "LedgerDegraded",
    "LedgerMovedAside",
    "LedgerRecovered",
    "OtherModelAnswered",
    "OwnNetworkUnproven",
    "ProviderRecovered",
    "ProviderTripped",
    "ProviderUnreachable",
    "ProviderWarmed",
    "RecordsLost",
    "ReloadRefused",
    "ResetByHand",
    "RestartNeeded",
    "SpendRecovered",
    "TokenRenewed",
    "TokenUnrenewed",
    "TrippedByHand",
    "TripsUnreadable",
    "event_name",
]


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened; its tag is its name in logs."""


class DaemonStarted(Event, frozen=True, kw_only=True, tag="daemon_started"):
    """Calls are served from now on. `ready_us` counts from the start of the process's work."""

    version: str
    socket: str
    providers: tuple[str, ...]
    deployments: int
    ready_us: int


class DaemonStopping(Event, frozen=True, kw_only=True, tag="daemon_stopping"):
    """No new calls are taken; those in flight may end."""

    reason: str
    in_flight: int


class DaemonStopped(Event, frozen=True, kw_only=True, tag="daemon_stopped"):
    """Everything is closed."""


class ConfigurationReloaded(Event, frozen=True, kw_only=True, tag="configuration_reloaded"):
    """What was read anew is in force for every call from now on; the names are of what changed."""

    configuration: str | None
    providers_added: tuple[str, ...]
    providers_removed: tuple[str, ...]
    providers_changed: tuple[str, ...]
    deployments: int
    budgets: int


class ReloadRefused(Event, frozen=True, kw_only=True, tag="reload_refused"):
    """What was read anew is wrong, and what was there before stays in force."""

    reason: str


class RestartNeeded(Event, frozen=True, kw_only=True, tag="restart_needed"):
    """These settings were changed and are not in force before the next start."""

    settings: tuple[str, ...]


class ProviderWarmed(Event, frozen=True, kw_only=True, tag="provider_warmed"):
    """Connections to an address of a provider are open before a call needs them."""

    provider: str
    connections: int
    duration_us: int
    server: str = ""


class ProviderUnreachable(Event, frozen=True, kw_only=True, tag="provider_unreachable"):
    """No connection to an address of a provider could be opened; `detail` never quotes it."""

    provider: str
    error_class: str
    detail: str = ""
    server: str = ""


class TokenUnrenewed(Event, frozen=True, kw_only=True, tag="token_unrenewed"):
    """The source of a key's access token gives out none. Told once, when that begins."""

    provider: str
    key: str | None
    error_code: str


class TokenRenewed(Event, frozen=True, kw_only=True, tag="token_renewed"):
    """The source of a key's access token gives out tokens again."""

    provider: str
    key: str | None


class ProviderTripped(Event, frozen=True, kw_only=True, tag="provider_tripped"):
    """Nothing is sent to a provider before it was tested, in so many seconds."""

    provider: str
    reason: str
    retest_seconds: float


class ProviderRecovered(Event, frozen=True, kw_only=True, tag="provider_recovered"):
    """A provider that was tripped answered a call, and gets all of them again."""

    provider: str
    down_seconds: float


class EndpointTripped(Event, frozen=True, kw_only=True, tag="endpoint_tripped"):
    """Nothing is sent to one endpoint of a provider that has others."""

    provider: str
    server: str
    reason: str


class EndpointRecovered(Event, frozen=True, kw_only=True, tag="endpoint_recovered"):
    """One endpoint of a provider that has others answered a call again."""

    provider: str
    server: str
    down_seconds: float


class TrippedByHand(Event, frozen=True, kw_only=True, tag="tripped_by_hand"):
    """Somebody tripped something; nothing is sent there until it is reset by hand."""

    kind: str
    name: str


class ResetByHand(Event, frozen=True, kw_only=True, tag="reset_by_hand"):
    """Somebody reset something: it passes again, whatever was seen of it."""

    kind: str
    name: str


class TripsUnreadable(Event, frozen=True, kw_only=True, tag="trips_unreadable"):
    """What was tripped by hand is not known: its file cannot be read, or not be written."""

    path: str
    error_class: str


class DegradedRising(Event, frozen=True, kw_only=True, tag="degraded_rising"):
    """Stand-ins answer so many of a class's calls that somebody should look; told once."""

    model_class: str
    percent: float
    calls: int


class DegradedFalling(Event, frozen=True, kw_only=True, tag="degraded_falling"):
    """Stand-ins answer few of a class's calls again; told once."""

    model_class: str
    percent: float


class OtherModelAnswered(Event, frozen=True, kw_only=True, tag="other_model_answered"):
    """A deployment began to answer as another model, version or fingerprint than before.

    `before` is what was asked for or what answered until now.
    """

    deployment: str
    before: str
    answered: str


class CallFinished(Event, frozen=True, kw_only=True, tag="call_finished"):
    """A call ended, however it ended. `trace` is what the caller sent, valid or not."""

    record: Record
    trace: TraceContext | None = None


class ConnectionRejected(Event, frozen=True, kw_only=True, tag="connection_rejected"):
    """A connection was closed with a reason; `code` is the one its peer was told."""

    code: str
    peer_uid: int | None = None


class BugSeen(Event, frozen=True, kw_only=True, tag="bug_seen"):
    """An exception nobody expected ended a call."""

    decision_id: str
    error: BaseException


class LedgerDegraded(Event, frozen=True, kw_only=True, tag="ledger_degraded"):
    """The disk does not take records; they are kept in memory and tried again."""

    reason: str


class LedgerRecovered(Event, frozen=True, kw_only=True, tag="ledger_recovered"):
    """The disk takes records again, those that were kept included."""


class LedgerMovedAside(Event, frozen=True, kw_only=True, tag="ledger_moved_aside"):
    """The ledger's file was damaged. It now has the name `path`; a new one was begun."""

    path: str
    reason: str = ""


class BudgetNearlySpent(Event, frozen=True, kw_only=True, tag="budget_nearly_spent"):
    """What was spent of a cap has passed its soft mark; told once until it falls below again."""

    budget: str
    scope: str
    unit: Unit
    spent: int
    limit: int


class DefaultBudgetApplied(Event, frozen=True, kw_only=True, tag="default_budget_applied"):
    """Vendors can bill and no budget caps dollars: the daily default holds."""

    daily_cents: float
    hint: str = "write [budgets.NAME] to replace it, or set budgeting.default_daily_dollars"


class OwnNetworkUnproven(Event, frozen=True, kw_only=True, tag="own_network_unproven"):
    """A name that the internet may know is taken for a server in one's own network, as configured.

    Internal calls go there.
    """

    provider: str
    host: str
    hint: str = "names are not looked up: see that it leads into your network, or say vendor"


class BoundExceeded(Event, frozen=True, kw_only=True, tag="bound_exceeded"):
    """A provider billed more than was held: the bound of this deployment is raised from now on."""

    decision_id: str
    deployment: str
    held_nanodollars: int
    billed_nanodollars: int
    held_tokens: int
    billed_tokens: int
    surcharge_thousandths: int


class IntentsLost(Event, frozen=True, kw_only=True, tag="intents_lost"):
    """Requests whose cost a crash would hide: no disk took what was written before they were sent.

    `count` since the last such event.
    """

    count: int
    reason: str


class SpendRecovered(Event, frozen=True, kw_only=True, tag="spend_recovered"):
    """Calls that an earlier process had sent and not recorded are charged what was held for them.

    `nanodollars` is what that adds; an invoice may say less.
    """

    count: int
    nanodollars: int


class RecordsLost(Event, frozen=True, kw_only=True, tag="records_lost"):
    """Records of calls that nobody will find; `count` since the last such event."""

    count: int


Hook = Callable[[Event], None]


def event_name(event: Event) -> str:
    """Return the noun_verb name of an event."""
    return str(event.__struct_config__.tag)


class Events:
    """Hand every event to every hook, in the order the hooks were given."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks = tuple(hooks)
        self._told: set[str] = set()

    def emit(self, event: Event) -> None:
        """Tell all hooks; an error of one is told once on stderr and goes no further."""
        for hook in self._hooks:
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - telling what happened must not undo it
                self._tell(hook, event, error)

    def _tell(self, hook: Hook, event: Event, error: Exception) -> None:
        """Write one line without the logs, which may be the hook that failed."""
        kind = getattr(hook, "__qualname__", type(hook).__qualname__)
        if kind in self._told:
            return
        self._told.add(kind)
        line = {
            "level": "error",
            "event": "hook_failed",
            "hook": kind,
            "failed_on": event_name(event),
            "error": type(error).__name__,
        }
        try:
            sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
        except (OSError, ValueError):
            # Nobody reads stderr any more, and there is no other place to say so.
            return
