"""Whether the entries of a directory fit together.

Rules of this file: no reading, no converting. A reference to something that is not there, or a pair
of fields that contradict each other, is a SettingsError that names the file and the key.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from routerd.errors import SettingsError
from routerd.models.entries import Entries, Origin, key_of
from routerd.models.local import normalise
from routerd.models.schema import FAIL

__all__ = ["check_entries"]


def check_entries(entries: Entries, origin: Origin) -> None:
    """Raise SettingsError for the first contradiction."""
    checker = _Checker(entries, origin)
    checker.check_models()
    checker.check_deployments()
    checker.check_classes()
    checker.check_shortcuts()


class _Checker:
    """Holds what every check needs."""

    def __init__(self, entries: Entries, origin: Origin) -> None:
        self._entries = entries
        self._origin = origin

    def check_models(self) -> None:
        names: dict[str, str] = {}
        for model in self._entries.models.values():
            place = ("models", model.id)
            self._expect(model.model_class, self._entries.classes, "class", *place, "model_class")
            for name in ("backup", "secondary_backup", "replacement"):
                other = getattr(model, name)
                if other is not None:
                    self._expect(other, self._entries.models, "model", *place, name)
                    if other == model.id:
                        raise self._wrong("expected another model than itself", *place, name)
            if model.backup is not None and model.backup == model.secondary_backup:
                raise self._wrong("is the backup already", *place, "secondary_backup")
            for name in model.local_names:
                other = names.setdefault(normalise(name), model.id)
                if other != model.id:
                    message = f"{name!r} is a name of {other!r} already"
                    raise self._wrong(message, *place, "local_names")

    def check_deployments(self) -> None:
        for deployment in self._entries.deployments.values():
            place = ("deployments", deployment.id)
            self._expect(deployment.model, self._entries.models, "model", *place, "model")
            providers = self._entries.providers
            self._expect(deployment.provider, providers, "provider", *place, "provider")
            if not deployment.id.startswith(f"{deployment.provider}/"):
                message = f"expected a name that begins with {deployment.provider + '/'!r}"
                raise self._wrong(message, *place)

    def check_classes(self) -> None:
        classes = self._entries.classes
        for name, model_class in classes.items():
            place = ("classes", name)
            self._check_candidates(model_class.candidates, *place)
            self._check_degraded(model_class.degraded, *place)
            seen = [name]
            while (following := classes[seen[-1]].degraded) in classes:
                if following in seen:
                    path = " > ".join((*seen, following))
                    raise self._wrong(f"goes in a circle: {path}", *place, "degraded")
                seen.append(following)

    def check_shortcuts(self) -> None:
        for name, shortcut in self._entries.shortcuts.items():
            place = ("shortcuts", name)
            if (shortcut.model_class is None) == (not shortcut.candidates):
                raise self._wrong("expected either `class` or `candidates`", *place)
            if shortcut.model_class is not None:
                self._expect(shortcut.model_class, self._entries.classes, "class", *place, "class")
                if shortcut.degraded is not None:
                    raise self._wrong("belongs to `candidates`; a class has its own", *place)
            self._check_candidates(shortcut.candidates, *place)
            if shortcut.degraded is not None:
                self._check_degraded(shortcut.degraded, *place)

    def _check_candidates(self, candidates: tuple[str, ...], *place: str) -> None:
        for index, candidate in enumerate(candidates):
            where = (*place, "candidates", str(index))
            self._expect(candidate, self._entries.models, "model", *where)
            if candidate in candidates[:index]:
                raise self._wrong(f"{candidate!r} is named twice", *where)

    def _check_degraded(self, degraded: str, *place: str) -> None:
        if degraded != FAIL:
            self._expect(degraded, self._entries.classes, "class", *place, "degraded")

    def _expect(self, name: str, known: Collection[str], kind: str, *place: str) -> None:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise self._wrong(f"{name!r} is no known {kind}{hint}", *place)

    def _wrong(self, expected: str, *place: str) -> SettingsError:
        return SettingsError(expected, file=self._origin.file_of(*place), key=key_of(*place))
