"""Every setting: its meaning, its unit, what None means, and why the default is what it is.

Rules of this file: a setting exists only if something enforces it. The description here is the one
text about it: `routerd init` writes it into the starter file, and docs/configuration.md is checked
against it. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from routerd.domain import Boundary
from routerd.settings.health import Health
from routerd.settings.money import (
    Budget,
    Budgeting,
    Caching,
    Dollars,
    FreeTier,
    KeySettings,
    Positive,
)
from routerd.settings.promises import Promise
from routerd.settings.routing import Experiment, PolicySettings, Rule, Shadow
from routerd.settings.section import Section
from routerd.settings.timeouts import BatchTimeouts, InteractiveTimeouts, Timeouts
from routerd.settings.tokens import TokenCommand, TokenMetadata, TokenSeconds

__all__ = [
    "Discovery",
    "Egress",
    "Failover",
    "Ledger",
    "Limits",
    "Log",
    "ProviderSettings",
    "Settings",
    "Socket",
]


class Socket(Section, frozen=True):
    """Where apps reach the daemon. A descriptor passed by systemd takes precedence over `path`."""

    path: Annotated[
        str | None,
        Meta(
            description="Path of the Unix socket. Unset: $ROUTERD_SOCKET, else "
            "$XDG_RUNTIME_DIR/routerd/routerd.sock, else /run/routerd/routerd.sock."
        ),
    ] = None
    mode: Annotated[
        str,
        Meta(
            pattern="^0?[0-7]{3}$",
            description="File mode of the socket. 0660 lets the owner and the group connect.",
        ),
    ] = "0660"
    max_connections: Annotated[
        int,
        Meta(ge=1, description="Open connections at most; one more is told so and closed."),
    ] = 4096
    max_frame_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Largest frame read from an app. 16 MiB holds a dozen pictures.",
        ),
    ] = 16 * 1024 * 1024
    first_frame_seconds: Annotated[
        float,
        Meta(gt=0, description="A connection that said nothing for so long is closed."),
    ] = 5.0
    frame_seconds: Annotated[
        float,
        Meta(gt=0, description="A frame that began must be complete within so many seconds."),
    ] = 30.0
    idle_seconds: Annotated[
        float,
        Meta(gt=0, description="A kept connection without a call is closed after so long."),
    ] = 600.0
    slow_reader_seconds: Annotated[
        float,
        Meta(gt=0, description="An app that reads nothing of its answer for so long is cut off."),
    ] = 60.0


class Limits(Section, frozen=True):
    """How much the daemon takes on."""

    in_flight: Annotated[
        int,
        Meta(ge=1, description="Calls running at once; one more waits in the queue."),
    ] = 2048
    queue: Annotated[
        int,
        Meta(
            ge=0,
            description="Calls that may wait for a place; one more is refused and told when to "
            "try again. A queue that is longer than what passes in `queue_seconds` helps nobody. "
            "0: none waits.",
        ),
    ] = 512
    queue_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a call waits for a place at most, in seconds; a caller that "
            "allows less time in all waits less.",
        ),
    ] = 10.0
    drain_seconds: Annotated[
        float,
        Meta(ge=0, description="How long running calls may go on after SIGTERM."),
    ] = 60.0


class Failover(Section, frozen=True):
    """When a route gets its second attempt, and when the backup is asked at once."""

    longest_wait_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="Longest wait a provider may ask for that is waited for on the same route; "
            "with a longer one the backup is asked at once.",
        ),
    ] = 3.0
    pause_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="Pause before a second attempt where the provider names none; long enough "
            "for one bad moment of a load balancer to pass.",
        ),
    ] = 0.2


class Ledger(Section, frozen=True):
    """The record of every call."""

    path: Annotated[
        str | None,
        Meta(
            description="The database file. Unset: $STATE_DIRECTORY/ledger.db under systemd, else "
            "$XDG_STATE_HOME/routerd/ledger.db, else ~/.local/state/routerd/ledger.db."
        ),
    ] = None
    queue_limit: Annotated[
        int,
        Meta(
            ge=1,
            description="Records kept in memory while the disk does not take them; more are "
            "counted as lost.",
        ),
    ] = 10_000
    keep_days: Annotated[
        int,
        Meta(
            ge=0,
            description="How long single calls are kept, at least; the sums of every month stay "
            "for ever. 0: calls too.",
        ),
    ] = 400
    texts_of: Annotated[
        list[str],
        Meta(
            description="Tenants whose prompts and answers are kept too, as long as their calls. "
            "Those of private calls never are."
        ),
    ] = field(default_factory=list)


class Log(Section, frozen=True):
    """What is written to stderr. Never a key, a prompt or an answer."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important line that is written."),
    ] = "info"
    calls: Annotated[bool, Meta(description="Whether every call gets a line at level info.")] = True


class Egress(Section, frozen=True):
    """How providers are reached. Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY)."""

    engine: Annotated[
        Literal["aiohttp", "httpx"],
        Meta(
            description="What carries requests. aiohttp is several times cheaper; httpx is for "
            "HTTP/2 and SOCKS proxies, which aiohttp does not speak."
        ),
    ] = "aiohttp"
    http2: Annotated[
        bool, Meta(description="Offer HTTP/2 to providers; only with the engine httpx.")
    ] = False
    ca_file: Annotated[
        str | None,
        Meta(description="Certificates to trust, PEM. Unset: those of the system."),
    ] = None
    warm_connections: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Connections opened to each provider before the first call. 0: none.",
        ),
    ] = 2
    warm_every_seconds: Annotated[
        float,
        Meta(gt=0, description="How often idle connections are used once, so that they stay open."),
    ] = 60.0


class Discovery(Section, frozen=True):
    """What is looked for at the start."""

    local_servers: Annotated[
        bool,
        Meta(
            description="Look for Ollama, vLLM and llama.cpp on their usual local ports. "
            "$ROUTERD_LOCAL_SERVERS (kind=URL,...) names other places; empty names none."
        ),
    ] = True


class ProviderSettings(Section, frozen=True):
    """One provider. What is left out comes from the directory, if the provider is known there."""

    enabled: Annotated[bool, Meta(description="Whether calls may go there.")] = True
    adapter: Annotated[
        str | None,
        Meta(
            description="The wire format it speaks: openai, openai-responses, anthropic, gemini, "
            "bedrock or cohere."
        ),
    ] = None
    dialect: Annotated[
        str | None,
        Meta(description="Which habits of that format, for openai, openai-responses and gemini."),
    ] = None
    base_url: Annotated[
        str | None, Meta(description="Its address; a host alone gets the format's usual path.")
    ] = None
    key_env: Annotated[
        str | None, Meta(description="The environment variable that holds its key.")
    ] = None
    key_file: Annotated[
        str | None,
        Meta(
            description="The file that holds its key. A systemd credential of the provider's "
            "name is found without this."
        ),
    ] = None
    token_command: TokenCommand = None
    token_seconds: TokenSeconds = 300.0
    token_metadata: TokenMetadata = None
    keyless: Annotated[bool, Meta(description="Whether it takes no key.")] = False
    boundary: Annotated[
        Boundary | None,
        Meta(description="Where text sent there ends up: machine, own-network or vendor."),
    ] = None
    contracted: Annotated[
        bool,
        Meta(
            description="For a vendor: whether a contract lets it see internal calls. Private ones "
            "it never sees."
        ),
    ] = False
    simulated: Annotated[
        bool, Meta(description="Whether it is a simulator; every reply then says so.")
    ] = False
    max_in_flight: Annotated[
        Positive | None,
        Meta(
            description="Requests running there at once; calls go to their backup or wait. Unset: "
            "three quarters of limits.in_flight, so that one slow provider leaves places for the "
            "others; all of it for a provider that is the only one.",
        ),
    ] = None
    watch_silence: Annotated[
        bool | None,
        Meta(
            description="Whether it is asked for a stream where the caller wants the answer in one "
            "piece, as long as a backup stands by: `first_content` and `between_parts` then hold, "
            "and silence is not waited out. Unset: a server of your own is, a vendor only by calls "
            "whose latency target is interactive or in milliseconds.",
        ),
    ] = None
    discount_percent: Annotated[
        float,
        Meta(
            ge=0,
            lt=100,
            description="What your contract takes off every price there, to four decimals.",
        ),
    ] = 0.0
    input_dollars: Annotated[
        Dollars | None,
        Meta(description="For a server of your own: what a million input tokens cost you."),
    ] = None
    output_dollars: Annotated[
        Dollars | None,
        Meta(description="For a server of your own: what a million output tokens cost you."),
    ] = None
    hourly_dollars: Annotated[
        Dollars | None,
        Meta(
            description="For a server of your own: what an hour of it costs you, charged by the "
            "time of each request."
        ),
    ] = None
    free: dict[str, FreeTier] = field(default_factory=dict)
    keys: dict[str, KeySettings] = field(default_factory=dict)


class Settings(Section, frozen=True):
    """The whole configuration."""

    socket: Socket = Socket()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    interactive_timeouts: InteractiveTimeouts = InteractiveTimeouts()
    batch_timeouts: BatchTimeouts = BatchTimeouts()
    failover: Failover = Failover()
    health: Health = Health()
    ledger: Ledger = Ledger()
    log: Log = Log()
    egress: Egress = Egress()
    discovery: Discovery = Discovery()
    budgeting: Budgeting = Budgeting()
    cache: Caching = Caching()
    directory: Annotated[
        list[str],
        Meta(
            description="Files of your own that add to or override the directory of models, "
            "classes and shortcuts; relative to this file."
        ),
    ] = field(default_factory=list)
    providers: dict[str, ProviderSettings] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    policies: dict[str, PolicySettings] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    shadows: dict[str, Shadow] = field(default_factory=dict)
    promises: dict[str, Promise] = field(default_factory=dict)
