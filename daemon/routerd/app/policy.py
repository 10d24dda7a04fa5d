"""From the settings to the book that decisions are made by, with every mistake named.

Rules of this file: a name that stands for nothing, or two tables that contradict each other, is a
SettingsError here and never a surprise in a call. Nothing blocks but the reading of the shipped
rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

import msgspec

from routerd.app.startup import Startup
from routerd.classify.rules import CONDITIONS, is_by_size_alone
from routerd.decide import Book, PolicyDocument, PolicyMistake
from routerd.errors import SettingsError
from routerd.models import Directory
from routerd.settings import Experiment, Rule, Settings, shipped_rules

__all__ = ["build_book", "policy_text"]


def build_book(startup: Startup, directory: Directory, providers: Iterable[str]) -> Book:
    """Return the book of a start, or of a reload; SettingsError names file and key.

    `directory` has the models of local servers too, `providers` are those that can be called.
    """
    settings = startup.settings
    document = PolicyDocument(
        providers=tuple(sorted(providers)),
        contracted=tuple(
            sorted(name for name, item in settings.providers.items() if item.contracted)
        ),
        budgeting=settings.budgeting,
        rules=settings.rules
        | {name: rule for name, rule in shipped_rules().items() if name not in settings.rules},
        policies=settings.policies,
        experiments=settings.experiments,
        shadows=settings.shadows,
        budgets=settings.budgets,
        default_budgets=tuple(item.name for item in startup.budgets if item.is_default),
        cache=settings.cache,
        timeouts=settings.timeouts,
    )
    checker = _Checker(settings, directory, startup.file or "")
    checker.check_rules()
    checker.check_policies()
    checker.check_experiments()
    checker.check_shadows()
    checker.check_promises()
    try:
        return Book(directory, document)
    except PolicyMistake as mistake:
        raise SettingsError(mistake.expected, file=startup.file or "", key=mistake.key) from None


def policy_text(document: PolicyDocument) -> bytes:
    """Return a document as it is kept with the records: the same for the same, and without keys.

    The order of tables is part of it: of two rules the first counts, and lots fall on arms in turn.
    """
    return msgspec.json.encode(document)


class _Checker:
    """Holds what every check needs."""

    def __init__(self, settings: Settings, directory: Directory, file: Path | str) -> None:
        self._settings = settings
        self._directory = directory
        self._file = file
        self._targets = {
            *directory.shortcuts,
            *directory.classes,
            *directory.models,
            *directory.deployments,
        }

    def check_rules(self) -> None:
        for name, rule in self._settings.rules.items():
            place = f"rules.{name}"
            if is_by_size_alone(rule):
                sizes = "least_input_tokens and most_input_tokens"
                raise self._wrong(
                    f"decides by size alone, which says little about how hard a call is; expected "
                    f"another condition beside {sizes}. That something is false does not count: "
                    "nearly every call comes without code, tools, images and reasoning",
                    place,
                )
            if not rule.targets and all(getattr(rule, item) in (None, []) for item in CONDITIONS):
                raise self._wrong(
                    "has no condition, so that it would take every call; expected one", place
                )
            if rule.complexity is None and rule.use is None:
                raise self._wrong("says nothing; expected `use` or `complexity`", place)
            self._check_rule(rule, place)

    def _check_rule(self, rule: Rule, place: str) -> None:
        for index, target in enumerate(rule.targets):
            self._expect(target, self._known_names(), "target", f"{place}.targets[{index}]")
        if rule.use is not None:
            self._expect(rule.use, self._targets, "target", f"{place}.use")
        least, most = rule.least_input_tokens, rule.most_input_tokens
        if least is not None and most is not None and least > most:
            raise self._wrong(f"is above most_input_tokens ({most})", f"{place}.least_input_tokens")
        for index, text in enumerate(rule.words):
            if not any(character.isalnum() for character in text):
                raise self._wrong("holds no word", f"{place}.words[{index}]")

    def check_policies(self) -> None:
        directory = self._directory
        served = {*directory.models, *directory.deployments, *directory.providers}
        for name, policy in self._settings.policies.items():
            place = f"policies.{name}"
            for field, known, kind in (
                ("classes", directory.classes, "class"),
                ("models", directory.models, "model"),
                ("without", served, "model, deployment or provider"),
                ("private_reaches", directory.providers, "provider"),
            ):
                for index, item in enumerate(getattr(policy, field) or ()):
                    self._expect(item, known, kind, f"{place}.{field}[{index}]")
            for index, item in enumerate(policy.private_reaches or ()):
                boundary = directory.providers[item].boundary
                if boundary != "own-network":
                    raise self._wrong(
                        f"expected a provider in your own network; {item} is {boundary}",
                        f"{place}.private_reaches[{index}]",
                    )
            if policy.region is not None:
                self._check_region(policy.region, f"{place}.region")
            for shortcut, target in (policy.shortcuts or {}).items():
                self._expect(target, self._targets, "target", f"{place}.shortcuts.{shortcut}")

    def _check_region(self, region: str, key: str) -> None:
        """Refuse a region that nothing is in, since nothing would serve under that policy."""
        known = {item.region for item in self._directory.deployments.values() if item.region}
        # `eu` is known where `eu-west-1` is.
        if not any(f"{name}-".startswith(f"{region}-") for name in known):
            names = ", ".join(sorted(known)) or "none"
            raise self._wrong(
                f"no deployment of the directory is in {region!r}; known regions: {names}", key
            )

    def check_experiments(self) -> None:
        by_target: dict[str, str] = {}
        for name, experiment in self._settings.experiments.items():
            place = f"experiments.{name}"
            self._expect(experiment.target, self._targets, "target", f"{place}.target")
            other = by_target.setdefault(experiment.target, name)
            if other != name:
                raise self._wrong(f"is that of experiments.{other} too", f"{place}.target")
            self._check_arms(experiment, place)

    def _check_arms(self, experiment: Experiment, place: str) -> None:
        if not any(arm.weight for arm in experiment.arms.values()):
            raise self._wrong("expected an arm with a weight above 0", f"{place}.arms")
        for name, arm in experiment.arms.items():
            if arm.use is not None:
                self._expect(arm.use, self._targets, "target", f"{place}.arms.{name}.use")

    def check_shadows(self) -> None:
        for name, shadow in self._settings.shadows.items():
            self._expect(shadow.target, self._targets, "target", f"shadows.{name}.target")
            self._expect(shadow.use, self._targets, "target", f"shadows.{name}.use")

    def check_promises(self) -> None:
        for name, promise in self._settings.promises.items():
            for index, target in enumerate(promise.shortcuts):
                place = f"promises.{name}.shortcuts[{index}]"
                self._expect(target, self._known_names(), "shortcut", place)

    def _known_names(self) -> set[str]:
        """Return what an app may ask for: also names that a policy has for itself."""
        own = [name for item in self._settings.policies.values() for name in item.shortcuts or {}]
        return {*self._targets, *own}

    def _expect(self, name: str, known: Collection[str], kind: str, key: str) -> None:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise self._wrong(f"{name!r} is no known {kind}{hint}", key)

    def _wrong(self, expected: str, key: str) -> SettingsError:
        return SettingsError(expected, file=self._file, key=key)
