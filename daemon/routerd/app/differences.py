"""What a reload changed, in names and numbers.

Rules of this file: pure. Keys are compared by what they are sent as, and never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerd.app.assembling import InForce
from routerd.app.providers import LiveProvider, Wanted
from routerd.app.startup import Startup

__all__ = ["differences", "renewed_keys"]


def differences(before: InForce, after: InForce) -> dict[str, Any]:
    """Return what is not as before, as plain data.

    `silent` are servers of your own that the file names and that did not answer; `needs_restart`
    are settings that were changed and are not in force.
    """
    old, new = before.startup, after.startup
    both = before.providers.keys() & after.providers.keys()
    budgets_before = {budget.name: budget for budget in old.budgets}
    budgets_after = {budget.name: budget for budget in new.budgets}
    deployments = _served(after)
    return {
        "configuration": str(new.file) if new.file else None,
        "providers": {
            **_names(before.providers, after.providers),
            "changed": sorted(
                name
                for name in both
                if before.providers[name].entry != after.providers[name].entry
                or _keys(old.providers.get(name)) != _keys(new.providers.get(name))
            ),
        },
        "deployments": len(deployments),
        "deployments_before": len(_served(before)),
        "models": len(set(deployments.values())),
        "budgets": {
            **_names(budgets_before, budgets_after),
            "changed": sorted(
                name
                for name in budgets_before.keys() & budgets_after.keys()
                if budgets_before[name] != budgets_after[name]
            ),
        },
        "silent": list(after.silent),
        "needs_restart": list(after.needs_restart),
    }


def renewed_keys(before: Startup, after: Startup) -> set[tuple[str, str | None]]:
    """Return provider and name of the keys whose secret or address is another one now."""
    found: set[tuple[str, str | None]] = set()
    for name in before.providers.keys() & after.providers.keys():
        old, new = before.providers[name], after.providers[name]
        is_moved = old.entry.base_url != new.entry.base_url
        known = {key.limits.name: key.secrets for key in old.keys}
        found.update(
            (name, key.limits.name)
            for key in new.keys
            if is_moved or known.get(key.limits.name) != key.secrets
        )
    return found


def _names(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
    }


def _keys(item: Wanted | None) -> list[Any]:
    return [] if item is None else [(key.limits, key.secrets) for key in item.keys]


def _served(item: InForce) -> dict[str, str]:
    """Return the deployments that can be called, each with its model."""
    providers: Mapping[str, LiveProvider] = item.providers
    return {
        deployment.id: deployment.model
        for deployment in item.directory.deployments.values()
        if deployment.provider in providers
    }
