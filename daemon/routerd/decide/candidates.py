"""Candidates as a plan meets them: what a call compares of each is a plain number already.

Rules of this file: pure. Here stands what depends on directory, policy, sensitivity and day alone,
so that it is worked out once and not for every call. Who is left out, and why, is `judging`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from routerd.decide.reasons import CAN
from routerd.domain import MAX_ROUTES, MOST_PER_IMAGE, Dropped
from routerd.models.directory import Resolution
from routerd.models.pricing import Price, dearest_rates
from routerd.models.schema import Deployment

__all__ = [
    "DEAREST",
    "NO_LIMIT",
    "WIDEST_WINDOW",
    "Candidate",
    "Equals",
    "Group",
    "Placed",
    "Prepared",
    "Usual",
    "candidate_of",
]

# Reasons with the name of the policy in them.
NAMES_POLICY: Final = frozenset({"policy", "moving_alias"})
# Larger than any window: stands for one that nobody knows.
NO_LIMIT: Final = 2**62
# Stands for a price that nobody knows: all others come first.
DEAREST: Final = 2**62
# What is taken for a window nobody knows where money is bounded by it: wider than any there is.
WIDEST_WINDOW: Final = 2**21


class Candidate(Struct, frozen=True, eq=False):
    """A deployment that may serve, as far as that is settled.

    `id`, `model` and `provider` are the deployment's. `can` has a bit for each capability. `price`
    is nanodollars for three million tokens in and one out, `DEAREST` where that is not known.
    `more_tokens` are what its directory entry adds to a prompt's bound, `more_an_image` what a
    picture adds beyond what it takes anywhere. `expected_ms` is the time to the first content that
    somebody measured. `rates` are nanodollars per million tokens in and out at most, for prompts of
    at most `rates_until` tokens; None where the price is not that plain. No request passes
    `most_prompt` and `most_output` tokens. `degraded` says why it is not what was asked for.
    `beyond` is what is said of it once there are enough routes.
    """

    id: str
    model: str
    provider: str
    deployment: Deployment
    can: int
    most_input: int
    window: int
    price: int
    more_tokens: int
    more_an_image: int
    expected_ms: int | None
    rates: tuple[int, int] | None
    rates_until: int
    most_prompt: int
    most_output: int
    degraded: str | None
    beyond: Dropped


class Placed(Struct, frozen=True, eq=False):
    """A candidate in its place, with what put it there."""

    candidate: Candidate
    code: str
    detail: str


class Equals(Struct, frozen=True, eq=False):
    """Deployments of one model that follow each other, with what they are compared by in columns.

    `weights` is empty where all weigh the same, `prices` where all cost the same.
    """

    placed: tuple[Placed, ...]
    ids: tuple[str, ...]
    prices: tuple[int, ...]
    expected_ms: tuple[int | None, ...]
    weights: tuple[int, ...]

    @classmethod
    def of(cls, placed: Sequence[Placed]) -> Equals:
        """Put what is compared of each into columns."""
        candidates = [item.candidate for item in placed]
        prices = tuple([item.price for item in candidates])
        weights = tuple([item.deployment.weight for item in candidates])
        return cls(
            tuple(placed),
            tuple([item.id for item in candidates]),
            prices if len(set(prices)) > 1 else (),
            tuple([item.expected_ms for item in candidates]),
            weights if len(set(weights)) > 1 else (),
        )


class Group(Struct, frozen=True, eq=False):
    """Candidates that one step of a target's path offers, and those it cannot.

    `has_equals` says that deployments of one model follow each other, `equals` are these by the
    place of the first of them. `is_asked` says that it is what was asked for. What all of them can,
    and the least any of them takes, settles most calls for the whole group at once. `again` are
    those that a rule for choosing left out before, and that are judged here once more, for what
    stands in: only the later judgement counts. `each_beyond` is what is said of each of the
    candidates where it is beyond.
    """

    candidates: tuple[Placed, ...]
    dropped: tuple[Dropped, ...]
    has_equals: bool
    is_asked: bool
    all_can: int
    least_input: int
    least_window: int
    again: frozenset[str] = frozenset()
    each_beyond: tuple[Dropped, ...] = ()
    equals: dict[int, Equals] = {}


class Usual(Struct, frozen=True, eq=False):
    """Who serves where nothing moves, in order, and what is `said` of all others.

    It holds for a call that all of the groups it was taken from may serve; these are told of
    together, as a `Group` is.
    """

    first: tuple[Placed, ...]
    said: tuple[Dropped, ...]
    has_equals: bool
    all_can: int
    least_input: int
    least_window: int


class Prepared(Struct, frozen=True, eq=False):
    """The groups of a target in order; `until` is the first day on which they are others.

    `near_cap` are the same where money is short: first those that stand in and cost less than what
    was asked for, then that, then the others. `usual` is None where a plan has to be made anew for
    each call.
    """

    resolution: Resolution
    groups: tuple[Group, ...]
    near_cap: tuple[Group, ...]
    until: date | None
    usual: Usual | None = None

    @property
    def names_policy(self) -> bool:
        """Whether a reason against somebody names the policy."""
        return any(item.code in NAMES_POLICY for group in self.groups for item in group.dropped)


def _blended(deployment: Deployment) -> int:
    """Return what three million tokens in and one out cost; what writes nothing has no output."""
    price = deployment.price
    if price is None or price.input is None:
        return DEAREST
    if price.output is None:
        return DEAREST if deployment.kind == "chat" else 3 * price.input
    return 3 * price.input + price.output


def _plain_rates(price: Price | None) -> tuple[tuple[int, int] | None, int]:
    """Return what bounds nearly every request by two products, and up to which prompt it does."""
    if price is None or price.changes or price.per_hour or price.discount_ppm:
        return None, 0
    rates = dearest_rates(price)
    long = price.long_context
    return rates, (0 if rates is None else NO_LIMIT if long is None else long.above)


def _bits(deployment: Deployment) -> int:
    """Return what a deployment can, as the bits of `CAN`."""
    able = deployment.capabilities
    bits = sum(bit for name, bit in CAN.items() if getattr(able, name, False))
    # The pages of a document are looked at as pictures are.
    if deployment.documents is not None and able.vision:
        bits |= CAN["documents"]
        if deployment.documents == "url":
            bits |= CAN["document_urls"]
    return bits


def candidate_of(deployment: Deployment, degraded: str | None, detail: str) -> Candidate:
    """Return a deployment that may serve, with all that does not depend on a call."""
    # What the directory adds to a prompt takes its place in the window.
    added = deployment.prompt_tokens
    window = (deployment.context_window or NO_LIMIT) - added
    speed, image_tokens = deployment.speed, deployment.image_tokens_bound
    return Candidate(
        deployment.id,
        deployment.model,
        deployment.provider,
        deployment,
        _bits(deployment),
        min((deployment.max_input_tokens or NO_LIMIT) - added, window),
        window,
        _blended(deployment),
        deployment.prompt_tokens_bound,
        0 if image_tokens is None else max(0, image_tokens - MOST_PER_IMAGE),
        None
        if speed is None or speed.first_token_seconds is None
        else int(speed.first_token_seconds * 1000),
        *_plain_rates(deployment.price),
        deployment.max_input_tokens or deployment.context_window or WIDEST_WINDOW,
        deployment.max_output_tokens or deployment.context_window or WIDEST_WINDOW,
        degraded,
        Dropped(
            deployment.id,
            "beyond_three",
            f"a plan has at most {MAX_ROUTES} routes{'; ' if detail else ''}{detail}",
        ),
    )
