"""The entries of the directory: models, deployments, providers, classes and shortcuts.

Rules of this file: each struct is one kind of table in the directory's TOML files, keyed there by
the name that `id` or `name` repeats here. What is not known is absent, never guessed. A key that is
not named here is refused, so that a typo is not lost.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from routerd.domain import Boundary, Capabilities
from routerd.models.pricing import Price
from routerd.models.prompt import PromptAdjustments
from routerd_proto.content import ReasoningEffort

__all__ = [
    "DIMENSIONS",
    "FAIL",
    "INTERACTIVE",
    "ByComplexity",
    "Capability",
    "Choice",
    "Defaults",
    "Deployment",
    "DeploymentEntry",
    "Dimension",
    "Documents",
    "Kind",
    "LatencyTarget",
    "LocalListing",
    "Model",
    "ModelClass",
    "Pinned",
    "Provider",
    "Score",
    "Scores",
    "Shortcut",
    "Speed",
]

# What a degraded path says where there is none.
FAIL: Final = "fail"

# The latency target of a call that says nothing else.
INTERACTIVE: Final = "interactive"

Kind = Literal["chat", "embedding", "rerank"]
# What a model either can or cannot; the fields of Capabilities that are yes or no.
Capability = Literal[
    "vision",
    "tools",
    "forced_tool_choice",
    "json_schema",
    "reasoning",
    "prefill",
    "logprobs",
]
Dimension = Literal[
    "reasoning",
    "coding",
    "math",
    "instruction_following",
    "tool_calling",
    "creative_writing",
    "factuality",
    "long_context",
]
Pinned = Literal["dated", "vendor", "moving"]
ScoreMethod = Literal["direct", "linked", "linked_extrapolated"]
# Which documents a wire format carries besides plain text: those that are sent along, or those and
# what only an address is given of.
Documents = Literal["data", "url"]
Tokens = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
Weight = Annotated[float, Meta(ge=0)]
Confidence = Annotated[float, Meta(ge=0, le=1)]
# How soon an answer is wanted: while somebody waits, whenever it is cheap, or within milliseconds.
LatencyTarget = Literal["interactive", "batch"] | Annotated[int, Meta(ge=1)]


class _Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An entry of the directory; a key it does not know is an error."""


class Score(_Entry, frozen=True, kw_only=True):
    """One published result: `value` is 0 to 100, `confidence` 0 to 1.

    `method` says whether the benchmark measured the model itself (direct) or another benchmark was
    put on its scale (linked; outside of the fitted range: linked_extrapolated). `variant` is the
    reasoning effort or mode that was measured, as the source names it.
    """

    value: Annotated[float, Meta(ge=0, le=100)]
    benchmark: str
    version: str
    confidence: Confidence
    method: ScoreMethod
    variant: str | None = None


class Scores(_Entry, frozen=True, kw_only=True):
    """What a model is good at; only figures on one comparable scale per dimension."""

    reasoning: Score | None = None
    coding: Score | None = None
    math: Score | None = None
    instruction_following: Score | None = None
    tool_calling: Score | None = None
    creative_writing: Score | None = None
    factuality: Score | None = None
    long_context: Score | None = None


DIMENSIONS: Final = Scores.__struct_fields__


class Model(_Entry, frozen=True, kw_only=True):
    """Pinned weights, wherever they are served.

    `pinned` says what holds the weights still: a date in the id, the vendor's word or a named
    release of open weights, or nothing (a moving alias). `max_input_tokens` and
    `max_output_tokens` are absent where `context_window` is the only limit.
    `image_tokens_bound` is what one picture can take, where that is more than is taken for any
    other model. `embedding_dimensions` is the length of a vector unless a call asks for another.
    `local_names` are the names local servers know it by, see `local.py`. `prompt` is how prompts
    are changed for it, wherever it is served.
    """

    id: Name
    vendor: Name
    model_class: Name
    kind: Kind = "chat"
    pinned: Pinned
    context_window: Tokens | None = None
    max_input_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    image_tokens_bound: Tokens | None = None
    embedding_dimensions: Tokens | None = None
    capabilities: Capabilities = Capabilities()
    scores: Scores = Scores()
    backup: str | None = None
    secondary_backup: str | None = None
    retires_on: date | None = None
    replacement: str | None = None
    local_names: tuple[str, ...] = ()
    prompt: PromptAdjustments | None = None
    source: str


class Speed(_Entry, frozen=True, kw_only=True):
    """How fast a deployment was when somebody measured it; a start, until own measurements are in.

    Only figures of these very metrics: the time of a whole request is neither.
    """

    output_tokens_per_second: Annotated[float, Meta(gt=0)] | None = None
    first_token_seconds: Annotated[float, Meta(gt=0)] | None = None
    source: str
    confidence: Confidence


class DeploymentEntry(_Entry, frozen=True, kw_only=True):
    """A deployment as a file describes it; class, limits and capabilities left out are the model's.

    `weight` is its share of the calls beside other deployments of the same model. `model_class` is
    for weights that are of another tier where they are hosted than at home.
    """

    id: Name
    model: Name
    model_class: Name | None = None
    provider: Name
    provider_model: Name
    region: str | None = None
    weight: Annotated[int, Meta(ge=1)] = 1
    price: Price | None = None
    speed: Speed | None = None
    context_window: Tokens | None = None
    max_input_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    capabilities: Capabilities | None = None
    retires_on: date | None = None


class Deployment(Struct, frozen=True, kw_only=True):
    """One model on one endpoint of one provider, with everything it takes over filled in.

    `provider_model` is the provider's id for it, `boundary` where a call's text ends up. Limits
    are tokens, None where not known; `max_input_tokens` and `max_output_tokens` are None where the
    window, which holds both, is the only limit. `replacement` is the model that stands in from
    `retires_on` on. `discovered` marks what a local server listed. `prompt` adds about
    `prompt_tokens` to a prompt, and never more than `prompt_tokens_bound`. `image_tokens_bound` is
    what one picture can take, None where that is no more than for others. `documents` are those
    that the provider takes, None: none but plain text.
    """

    id: str
    model: str
    provider: str
    provider_model: str
    boundary: Boundary
    capabilities: Capabilities
    kind: Kind = "chat"
    model_class: str = ""
    pinned: Pinned = "dated"
    region: str | None = None
    weight: int = 1
    price: Price | None = None
    speed: Speed | None = None
    context_window: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    retires_on: date | None = None
    replacement: str | None = None
    discovered: bool = False
    prompt: PromptAdjustments | None = None
    prompt_tokens: int = 0
    prompt_tokens_bound: int = 0
    image_tokens_bound: int | None = None
    documents: Documents | None = None


class Provider(_Entry, frozen=True, kw_only=True):
    """A vendor or a kind of local server, as far as it can be known beforehand.

    The adapter's path is appended to `base_url`. Without `key_env` no key is needed.
    `local_server` marks what may be looked for on this machine. `documents` are those that its wire
    format carries, absent: none but plain text.
    """

    id: Name
    adapter: Name
    dialect: str | None = None
    base_url: Annotated[str, Meta(pattern="^https?://[^/]+(/.*)?[^/]$")]
    key_env: str | None = None
    boundary: Boundary
    local_server: bool = False
    documents: Documents | None = None


class ModelClass(_Entry, frozen=True, kw_only=True):
    """A tier of models: `candidates` in order, and where to go when none of them can serve.

    All are of one `kind`. `degraded` is another class of that kind or "fail". `local` adds what
    your own servers list and `candidates` does not name, behind them; never what a vendor hosts.
    """

    name: Name
    description: str
    kind: Kind = "chat"
    candidates: tuple[str, ...]
    degraded: str
    local: bool = False


class Defaults(_Entry, frozen=True, kw_only=True):
    """What a shortcut sets where the caller does not. A model that cannot take it goes without.

    `latency` is for the choice of a deployment and is not sent to anybody.
    """

    max_output_tokens: Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    reasoning: ReasoningEffort | None = None
    latency: LatencyTarget | None = None


class Choice(_Entry, frozen=True, kw_only=True):
    """A rule that puts the models of some classes in order; `ranking.py` says how.

    `weights` and `least` are by dimension, of the scores. `price_weight` is how many points each
    doubling of the blended price takes off, `most_output_dollars` for a million tokens. `needs` are
    capabilities.
    """

    classes: Annotated[tuple[str, ...], Meta(min_length=1)]
    weights: dict[Dimension, Weight] = {}
    least: dict[Dimension, Annotated[float, Meta(ge=0, le=100)]] = {}
    price_weight: Weight = 0
    most_output_dollars: Annotated[float, Meta(gt=0)] | None = None
    needs: tuple[Capability, ...] = ()
    least_context_tokens: Tokens | None = None


class ByComplexity(_Entry, frozen=True, kw_only=True):
    """What stands in for a shortcut once it is known how hard a call is: names of targets."""

    simple: Name
    medium: Name
    complex: Name


class Shortcut(_Entry, frozen=True, kw_only=True):
    """The name an app asks for: a job. What serves it is exactly one of five.

    `class`, `candidates` in order, a rule to `choose` by, targets `by_complexity`, or `alias_of`
    another shortcut, with all that one sets. `boundary` is how far a call's text may go.
    `degraded` belongs to `candidates` and `choose`; a class has its own.
    """

    name: Name
    description: str
    model_class: str | None = field(default=None, name="class")
    candidates: tuple[str, ...] = ()
    choose: Choice | None = None
    by_complexity: ByComplexity | None = None
    alias_of: str | None = None
    degraded: str | None = None
    boundary: Boundary | None = None
    defaults: Defaults = Defaults()


class LocalListing(_Entry, frozen=True, kw_only=True):
    """Which ids a local server lists are no local chat models.

    All are parts of a normalised name (see `local.py`) between hyphens: `rerank` and `embedding`
    for models of these kinds, `not_chat` for what no kind of call is for, `not_local` for models
    that the server only forwards to somebody's cloud.
    """

    rerank: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()
    not_chat: tuple[str, ...] = ()
    not_local: tuple[str, ...] = ()
