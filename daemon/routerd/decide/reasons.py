"""Why a candidate may not serve: one check after the other, each with its code.

Rules of this file: a reason has a code that programs may count and a detail with the numbers that
were compared. The checks run from what is settled for longest to what changes with the call.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import date
from typing import Final

from routerd.domain import Boundary, Dropped, Features
from routerd.models.schema import Deployment

__all__ = ["INCAPABLE", "NOT_HERE", "reason_against"]

# The caller asked for what the model cannot do: another time, or another key, changes nothing.
INCAPABLE: Final = frozenset(
    {"no_vision", "no_tools", "no_forced_tool", "no_json_schema", "no_prefill", "window"}
)
# The model is not to be had here, whatever the call asks of it.
NOT_HERE: Final = frozenset({"provider_not_configured", "retired"})


def reason_against(
    deployment: Deployment,
    allowed: Sequence[Boundary],
    providers: Container[str],
    features: Features,
    today: date,
) -> Dropped | None:
    """Return the first reason why `deployment` may not serve, None if it may.

    `allowed` are the boundaries the call's text may reach, the farthest last.
    """
    if deployment.provider not in providers:
        detail = f"no key or address for {deployment.provider}"
        return Dropped(deployment.id, "provider_not_configured", detail)
    if deployment.retires_on is not None and deployment.retires_on <= today:
        return Dropped(deployment.id, "retired", f"on {deployment.retires_on}")
    if deployment.boundary not in allowed:
        detail = f"its text goes to {deployment.boundary}, this call's at most to {allowed[-1]}"
        return Dropped(deployment.id, "boundary", detail)
    return _missing_capability(deployment, features) or _too_small(deployment, features)


def _missing_capability(deployment: Deployment, features: Features) -> Dropped | None:
    can = deployment.capabilities
    if features.images and not can.vision:
        return Dropped(deployment.id, "no_vision", f"{features.images} images in the call")
    if features.tools and not can.tools:
        return Dropped(deployment.id, "no_tools", f"{features.tools} tools in the call")
    if features.forced_tool and not can.forced_tool_choice:
        return Dropped(deployment.id, "no_forced_tool", "the call forces a tool")
    if features.output_schema and not can.json_schema:
        return Dropped(deployment.id, "no_json_schema", "the call asks for a JSON schema")
    if features.prefill and not can.prefill:
        return Dropped(deployment.id, "no_prefill", "the last message is the assistant's")
    return None


def _too_small(deployment: Deployment, features: Features) -> Dropped | None:
    needed, limit = features.input_tokens, deployment.max_input_tokens
    if limit is not None and needed > limit:
        return Dropped(deployment.id, "window", f"about {needed} tokens in, takes {limit}")
    window = deployment.context_window
    wanted = features.max_output_tokens or 0
    if window is not None and needed + wanted > window:
        detail = f"about {needed} tokens in and {wanted} out, window {window}"
        return Dropped(deployment.id, "window", detail)
    return None
