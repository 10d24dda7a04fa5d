"""Whether the entries of a directory fit together.

Rules of this file: no reading, no converting. A reference to something that is not there, or a pair
of fields that contradict each other, is a SettingsError that names the file and the key.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from routerd.errors import SettingsError
from routerd.models.entries import Entries, Origin, key_of
from routerd.models.local import is_sent_on, normalise
from routerd.models.schema import (
    FAIL,
    ByComplexity,
    Defaults,
    Kind,
    Model,
    ModelClass,
    Shortcut,
)

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
                    self._check_stand_in(model, self._entries.models[other], *place, name)
            if model.backup is not None and model.backup == model.secondary_backup:
                raise self._wrong("is the backup already", *place, "secondary_backup")
            self._check_replacements(model)
            for name in model.local_names:
                other = names.setdefault(normalise(name), model.id)
                if other != model.id:
                    message = f"{name!r} is a name of {other!r} already"
                    raise self._wrong(message, *place, "local_names")

    def _check_replacements(self, model: Model) -> None:
        seen = [model.id]
        while (known := self._entries.models.get(seen[-1])) and known.replacement is not None:
            seen.append(known.replacement)
            if known.replacement == model.id:
                path = " > ".join(seen)
                raise self._wrong(f"goes in a circle: {path}", "models", model.id, "replacement")
            if known.replacement in seen[:-1]:
                return  # a circle of others, which is theirs to tell

    def _check_stand_in(self, model: Model, other: Model, *place: str) -> None:
        if other.kind != model.kind:
            raise self._wrong(f"{other.id!r} is for {other.kind}, not for {model.kind}", *place)
        if model.kind == "embedding" and place[-1] != "replacement":
            # Vectors of two models cannot be compared: an answer would be wrong, not worse.
            raise self._wrong("no other model makes the same vectors", *place)

    def check_deployments(self) -> None:
        for deployment in self._entries.deployments.values():
            place = ("deployments", deployment.id)
            self._expect(deployment.model, self._entries.models, "model", *place, "model")
            providers = self._entries.providers
            self._expect(deployment.provider, providers, "provider", *place, "provider")
            if deployment.model_class is not None:
                classes = self._entries.classes
                self._expect(deployment.model_class, classes, "class", *place, "model_class")
            if not deployment.id.startswith(f"{deployment.provider}/"):
                message = f"expected a name that begins with {deployment.provider + '/'!r}"
                raise self._wrong(message, *place)
            at = providers[deployment.provider]
            is_own = at.local_server or at.boundary != "vendor"
            if is_own and is_sent_on(deployment.provider_model, self._entries.listing):
                raise self._wrong(
                    f"{at.id} only sends {deployment.provider_model!r} on to its maker's cloud, "
                    "which is no server of your own: expected a model that runs there, or a "
                    "provider of its own with the boundary vendor",
                    *place,
                    "provider_model",
                )

    def check_classes(self) -> None:
        classes = self._entries.classes
        for name, model_class in classes.items():
            place = ("classes", name)
            self._check_candidates(model_class.candidates, *place, kind=model_class.kind)
            self._check_degraded(model_class.degraded, *place, kind=model_class.kind)
            seen = [name]
            while (following := classes[seen[-1]].degraded) in classes:
                if following in seen:
                    path = " > ".join((*seen, following))
                    raise self._wrong(f"goes in a circle: {path}", *place, "degraded")
                seen.append(following)

    def check_shortcuts(self) -> None:
        checks = {
            "model_class": self._check_model_class,
            "candidates": self._check_list,
            "choose": self._check_choose,
            "by_complexity": self._check_by_complexity,
            "alias_of": self._check_alias_of,
        }
        for name, shortcut in self._entries.shortcuts.items():
            place = ("shortcuts", name)
            served_by = [field for field in checks if getattr(shortcut, field)]
            if len(served_by) != 1:
                raise self._wrong(
                    "expected exactly one of `class`, `candidates`, `choose`, `by_complexity` and "
                    "`alias_of`",
                    *place,
                )
            if shortcut.degraded is not None and served_by[0] not in ("candidates", "choose"):
                raise self._wrong(
                    "belongs to `candidates` and `choose`; a class has its own", *place
                )
            checks[served_by[0]](shortcut, *place)

    def _check_model_class(self, shortcut: Shortcut, *place: str) -> None:
        self._expect(shortcut.model_class or "", self._entries.classes, "class", *place, "class")

    def _check_list(self, shortcut: Shortcut, *place: str) -> None:
        models = self._entries.models
        first = models.get(shortcut.candidates[0])
        kind = first.kind if first is not None else "chat"
        self._check_candidates(shortcut.candidates, *place, kind=kind)
        self._check_degraded(shortcut.degraded or FAIL, *place, kind=kind)

    def _check_choose(self, shortcut: Shortcut, *place: str) -> None:
        choice = shortcut.choose
        assert choice is not None  # noqa: S101 - this is what `served_by` found
        classes = self._entries.classes
        for index, name in enumerate(choice.classes):
            where = (*place, "choose", "classes", str(index))
            self._expect(name, classes, "class", *where)
            if classes[name].kind != classes[choice.classes[0]].kind:
                raise self._wrong(f"{name!r} is for {classes[name].kind}", *where)
        kind = classes[choice.classes[0]].kind
        self._check_degraded(shortcut.degraded or FAIL, *place, kind=kind)

    def _check_by_complexity(self, shortcut: Shortcut, *place: str) -> None:
        entries = self._entries
        targets: dict[str, Model | ModelClass | Shortcut] = {
            **entries.models,
            **entries.classes,
            **entries.shortcuts,
        }
        for field in ByComplexity.__struct_fields__:
            name = getattr(shortcut.by_complexity, field)
            where = (*place, "by_complexity", field)
            self._expect(name, targets, "shortcut, class or model", *where)
            target = targets[name]
            if isinstance(target, Shortcut) and (target.by_complexity or target.alias_of):
                raise self._wrong(f"{name!r} only leads to others", *where)
            if _kind_of(target, entries) != "chat":
                raise self._wrong(f"{name!r} is not for chat", *where)

    def _check_alias_of(self, shortcut: Shortcut, *place: str) -> None:
        shortcuts = self._entries.shortcuts
        name = shortcut.alias_of or ""
        self._expect(name, shortcuts, "shortcut", *place, "alias_of")
        if shortcuts[name].alias_of is not None:
            raise self._wrong(f"{name!r} is an alias itself", *place, "alias_of")
        if shortcut.defaults != Defaults() or shortcut.boundary is not None:
            raise self._wrong("an alias sets nothing of its own", *place)

    def _check_candidates(self, candidates: tuple[str, ...], *place: str, kind: Kind) -> None:
        for index, candidate in enumerate(candidates):
            where = (*place, "candidates", str(index))
            self._expect(candidate, self._entries.models, "model", *where)
            if candidate in candidates[:index]:
                raise self._wrong(f"{candidate!r} is named twice", *where)
            found = self._entries.models[candidate].kind
            if found != kind:
                raise self._wrong(f"{candidate!r} is for {found}, not for {kind}", *where)

    def _check_degraded(self, degraded: str, *place: str, kind: Kind) -> None:
        if degraded == FAIL:
            return
        self._expect(degraded, self._entries.classes, "class", *place, "degraded")
        found = self._entries.classes[degraded].kind
        if found != kind:
            raise self._wrong(f"{degraded!r} is for {found}, not for {kind}", *place, "degraded")

    def _expect(self, name: str, known: Collection[str], kind: str, *place: str) -> None:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise self._wrong(f"{name!r} is no known {kind}{hint}", *place)

    def _wrong(self, expected: str, *place: str) -> SettingsError:
        return SettingsError(expected, file=self._origin.file_of(*place), key=key_of(*place))


def _kind_of(target: Model | ModelClass | Shortcut, entries: Entries) -> Kind:
    """Return the kind of call a target serves; what is not known is found elsewhere."""
    if not isinstance(target, Shortcut):
        return target.kind
    if target.candidates:
        model = entries.models.get(target.candidates[0])
        return model.kind if model is not None else "chat"
    name = target.choose.classes[0] if target.choose is not None else target.model_class
    model_class = entries.classes.get(name or "")
    return model_class.kind if model_class is not None else "chat"
