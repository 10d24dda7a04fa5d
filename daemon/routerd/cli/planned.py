"""Which models a shortcut would be served by under the default policy, for `routerd shortcuts`.

Rules of this file: no daemon, no server and no key is asked. Who may serve is decided where calls
are decided; rules and experiments, which go by a call, are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from routerd.app.providers import found_in
from routerd.decide import Book, PolicyDocument, filled
from routerd.domain import Caller, Features, Snapshot
from routerd.models import Directory
from routerd.settings import PolicySettings, Settings

__all__ = ["planned_models", "providers_named"]


def providers_named(
    settings: Settings, directory: Directory, environ: Mapping[str, str], *, has_file: bool
) -> list[str]:
    """Return the providers that would be called: those of the file, or whose keys are there."""
    if not has_file:
        return list(found_in(environ, directory))
    return [name for name, item in settings.providers.items() if item.enabled]


def planned_models(
    directory: Directory, settings: Settings, providers: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return the models that may serve each shortcut, the first in order first.

    Of one that goes by complexity they are those of a medium call. Where none of what was asked for
    may serve, they are those that stand in.
    """
    policy = settings.policies.get("default", PolicySettings())
    names = tuple(providers)
    document = PolicyDocument(providers=names, policies={"default": policy})
    book = Book(directory, document)
    return {name: _models(book, name) for name in directory.shortcuts}


def _models(book: Book, shortcut: str) -> tuple[str, ...]:
    features = Features(0, kind=book.directory.resolve(shortcut).serves)
    choice = book.choose(shortcut, features, Caller())
    features = filled(features, choice.defaults)
    for group in book.prepared(choice, features, Snapshot(time.time())).groups:
        if group.candidates:
            found = (item.candidate.deployment.model for item in group.candidates)
            return tuple(dict.fromkeys(found))
    return ()
