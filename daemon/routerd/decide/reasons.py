"""Why a candidate may not serve this call: what it lacks, or what holds right now.

Rules of this file: pure. A reason has a code that programs may count and a detail with the numbers
that were compared. What is settled before a call comes is in `candidates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from routerd.domain import Dropped, Features, Snapshot

if TYPE_CHECKING:
    from routerd.decide.candidates import Candidate, Group, Usual

__all__ = [
    "CAN",
    "INCAPABLE",
    "NOT_HERE",
    "UNHEALTHY",
    "all_may_serve",
    "expected_tokens",
    "least_likely",
    "needs_of",
    "reason_against",
    "shorter",
]

# A bit for each thing a call may need, so that one comparison tells whether any is missing.
CAN: Final = {
    "vision": 1,
    "tools": 2,
    "forced_tool_choice": 4,
    "json_schema": 8,
    "prefill": 16,
    # Documents that are not plain text; by their address, where they are not sent along.
    "documents": 32,
    "document_urls": 64,
    "logprobs": 128,
}
# The caller asked for what the model cannot do: another time, or another key, changes nothing.
INCAPABLE: Final = frozenset(
    {
        "no_vision",
        "no_tools",
        "no_forced_tool",
        "no_json_schema",
        "no_prefill",
        "no_documents",
        "no_logprobs",
        "no_chat",
        "no_embedding",
        "no_rerank",
        "window",
        "max_cost",
    }
)
# It may be able to another time; who is left when nobody else is may be tried all the same.
UNHEALTHY: Final = "unhealthy"
# The model is not to be had here, whatever the call asks of it.
NOT_HERE: Final = frozenset(
    {
        "provider_not_configured",
        "retired",
        "gone",
        # It makes other vectors than what was asked for does.
        "other_vectors",
        # What a shortcut's rule for choosing leaves out, see `models.ranking`.
        "lacks_capability",
        "window_too_small",
        "too_dear",
        "score_too_low",
    }
)


def needs_of(features: Features) -> int:
    """Return the capabilities a call needs, as bits."""
    if not (
        features.images
        or features.tools
        or features.forced_tool
        or features.output_schema
        or features.prefill
        or features.document_files
        or features.document_urls
        or features.logprobs
    ):
        return 0  # as nearly every call
    return (
        (1 if features.images else 0)
        | (2 if features.tools else 0)
        | (4 if features.forced_tool else 0)
        | (8 if features.output_schema else 0)
        | (16 if features.prefill else 0)
        | (32 if features.document_files else 0)
        | (64 if features.document_urls else 0)
        | (128 if features.logprobs else 0)
    )


def all_may_serve(
    group: Group | Usual, needs: int, features: Features, region: str | None, snapshot: Snapshot
) -> bool:
    """Say whether nothing speaks against any of a group, by what the weakest of it can and takes.

    Where that says no, each is to be asked for its own reason, and some may have none.
    """
    if needs & ~group.all_can or region or snapshot.unhealthy:
        return False
    # Of many texts each has a window of its own.
    tokens = features.longest_text or features.input_tokens
    if rates := snapshot.token_rates:
        tokens = tokens * max(1000, *rates.values()) // 1000  # for any of them
    wanted = features.max_output_tokens or 0
    return tokens <= group.least_input and tokens + wanted <= group.least_window


def reason_against(
    candidate: Candidate,
    needs: int,
    features: Features,
    max_output_tokens: int,
    region: str | None,
    snapshot: Snapshot,
) -> Dropped | None:
    """Return the first reason why a candidate may not serve, None if it may."""
    deployment = candidate.deployment
    if needs & ~candidate.can:
        return _missing(candidate, needs, features)
    tokens = features.longest_text or features.input_tokens
    if snapshot.token_rates:
        tokens = expected_tokens(tokens, candidate.model, snapshot)
    if tokens > candidate.most_input or tokens + max_output_tokens > candidate.window:
        return _too_small(candidate, tokens, max_output_tokens)
    if region is not None and not is_in(region, deployment.region):
        detail = f"it is in {deployment.region or 'no known region'}, the call asks for {region}"
        return Dropped(deployment.id, "region", detail)
    if snapshot.unhealthy:
        for name in (deployment.provider, deployment.id):
            why = snapshot.unhealthy.get(name)
            if why is not None:
                return Dropped(deployment.id, UNHEALTHY, f"{name}: {why}")
    return None


def least_likely(features: Features) -> Features:
    """Return the facts of a call whose prompt is as much shorter as an estimate may be too long."""
    return structs.replace(features, input_tokens=shorter(features.input_tokens))


def shorter(tokens: int) -> int:
    """Return the length of a prompt whose estimate is a quarter too high, as some are."""
    return tokens * 4 // 5


def expected_tokens(estimated: int, model: str, snapshot: Snapshot) -> int:
    """Return the estimate of a prompt as a model's provider will count it."""
    return estimated * snapshot.token_rates.get(model, 1000) // 1000


def is_in(wanted: str, region: str | None) -> bool:
    """Say whether a region is the wanted one or a part of it: `eu` holds `eu-west-1`."""
    return region is not None and (region == wanted or region.startswith(f"{wanted}-"))


def _missing(candidate: Candidate, needs: int, features: Features) -> Dropped:
    missing = needs & ~candidate.can
    details = {
        "vision": ("no_vision", f"{features.images} images in the call"),
        "tools": ("no_tools", f"{features.tools} tools in the call"),
        "forced_tool_choice": ("no_forced_tool", "the call forces a tool"),
        "json_schema": ("no_json_schema", "the call asks for a JSON schema"),
        "prefill": ("no_prefill", "the last message is the assistant's"),
        "logprobs": ("no_logprobs", "the call asks for log probabilities"),
        "documents": (
            "no_documents",
            f"{features.document_files} documents in the call that are not plain text",
        ),
        "document_urls": (
            "no_documents",
            f"{features.document_urls} documents by URL; it takes those that are sent along",
        ),
    }
    first = next(name for name, bit in CAN.items() if missing & bit)
    return Dropped(candidate.deployment.id, *details[first])


def _too_small(candidate: Candidate, tokens: int, wanted: int) -> Dropped:
    deployment = candidate.deployment
    limit = deployment.max_input_tokens
    tokens += deployment.prompt_tokens
    if limit is not None and tokens > limit:
        return Dropped(
            deployment.id, "window", f"about {tokens} tokens in by estimate, takes {limit}"
        )
    window = deployment.context_window
    detail = f"about {tokens} tokens in by estimate and {wanted} out, window {window}"
    return Dropped(deployment.id, "window", detail)
