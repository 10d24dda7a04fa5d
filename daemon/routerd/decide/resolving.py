"""From the name an app asks for to what it stands for, and the defaults that come with it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import structs

from routerd.domain import Features
from routerd.errors import CallRefused
from routerd.models.directory import Directory, Resolution, UnknownTarget
from routerd.models.schema import Defaults
from routerd_proto.errors import error_info
from routerd_proto.frames import CallOptions

__all__ = ["filled", "resolve", "with_defaults"]

# There are as many as shortcuts and arms of experiments.
MOST_DEFAULTS: Final = 1_000


def resolve(directory: Directory, target: str) -> Resolution:
    """Return what a name stands for; CallRefused lists near matches of an unknown one."""
    try:
        return directory.resolve(target)
    except UnknownTarget as unknown:
        hint = f"; did you mean {', '.join(unknown.near)}?" if unknown.near else ""
        raise CallRefused(
            error_info(
                "unknown_target",
                f"there is no shortcut, class or model {unknown.target!r}{hint}",
                details={"near_matches": list(unknown.near)},
            )
        ) from None


def with_defaults(options: CallOptions, defaults: Defaults) -> CallOptions:
    """Fill in what the shortcut sets and the caller did not."""
    missing = {name: value for name, value in _set_by(defaults) if getattr(options, name) is None}
    return structs.replace(options, **missing) if missing else options


@lru_cache(MOST_DEFAULTS)
def _set_by(defaults: Defaults) -> tuple[tuple[str, Any], ...]:
    """Return what a shortcut sets, by the names of the options."""
    named = ((name, getattr(defaults, name)) for name in defaults.__struct_fields__)
    return tuple((name, value) for name, value in named if value is not None)


def filled(features: Features, defaults: Defaults) -> Features:
    """Return the facts of a call with what its shortcut sets and the caller did not."""
    limit, latency = defaults.max_output_tokens, defaults.latency
    if (limit is None or features.max_output_tokens is not None) and (
        latency is None or features.latency is not None
    ):
        return features
    return structs.replace(
        features,
        max_output_tokens=features.max_output_tokens or limit,
        latency=latency if features.latency is None else features.latency,
    )
