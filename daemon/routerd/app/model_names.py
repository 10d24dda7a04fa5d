"""What deployments call their models at a provider, checked before anything is served.

Rules of this file: only a format that knows which names there are is asked; all others take any.
"""

from __future__ import annotations

from routerd.errors import SettingsError
from routerd.models.directory import Directory
from routerd.models.entries import key_of
from routerd.models.schema import Provider
from routerd.providers.base import Adapter, NamingAdapter

__all__ = ["check_names"]


def check_names(entry: Provider, adapter: Adapter, directory: Directory) -> None:
    """Raise SettingsError for the first deployment whose model no request can name."""
    if not isinstance(adapter, NamingAdapter):
        return
    for deployment in directory.deployments.values():
        if deployment.provider != entry.id:
            continue
        expected = adapter.wrong_name(deployment.provider_model)
        if expected is not None:
            key = key_of("deployments", deployment.id, "provider_model")
            told = f"{deployment.provider_model!r} is no name of a model there: {expected}"
            raise SettingsError(told, key=key)
