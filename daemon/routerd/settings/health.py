"""When a provider counts as down, how it comes back, and when answers from stand-ins are too many.

Rules of this file: as in `schema`.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from routerd.settings.section import Section

__all__ = ["USUAL_HEALTH", "Health"]


class Health(Section, frozen=True):
    """When nothing is sent to a provider for a while. Callers' mistakes never count."""

    failures_in_a_row: Annotated[
        int,
        Meta(
            ge=1,
            description="Failures in a row (connection, time-out, 5xx, broken answer) after which "
            "an endpoint is left alone; a provider without another one is tripped.",
        ),
    ] = 3
    failure_percent: Annotated[
        float,
        Meta(
            gt=0,
            le=100,
            description="Share of a provider's requests that fail within the window and trip it, "
            "though some succeed in between.",
        ),
    ] = 50.0
    failure_volume: Annotated[
        int,
        Meta(ge=1, description="Requests in the window below which a share says nothing."),
    ] = 20
    window_seconds: Annotated[
        float, Meta(gt=0, description="How far back that share is counted.")
    ] = 60.0
    retest_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=10,
            description="How often a tripped provider is asked something unbilled, so that one "
            "call may try it; later only where the provider named a later time.",
        ),
    ] = 10.0
    degraded_percent: Annotated[
        float,
        Meta(
            gt=0,
            le=100,
            description="Share of a class's calls answered by a stand-in from which on an alert "
            "is raised.",
        ),
    ] = 30.0
    degraded_clear_percent: Annotated[
        float,
        Meta(ge=0, lt=100, description="The alert ends when that share falls below this."),
    ] = 20.0
    degraded_volume: Annotated[
        int, Meta(ge=1, description="Calls in the window below which that share says nothing.")
    ] = 10
    degraded_window_seconds: Annotated[
        float, Meta(gt=0, description="How far back that share is counted.")
    ] = 300.0


USUAL_HEALTH: Final = Health()
