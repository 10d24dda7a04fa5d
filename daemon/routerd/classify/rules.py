"""Which rule a call meets: the first whose conditions all hold.

Rules of this file: pure, on the facts of a call alone, so that a past call meets the same rule
again without its text. Conditions are tested from the rarest to the most frequent, since most rules
do not fit most calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from routerd.domain import Caller, Features
from routerd.settings import Rule

__all__ = ["CONDITIONS", "Rules", "is_by_size_alone"]

Test = Callable[[str, Features, Caller], bool]
_Tested = tuple[str, Rule, tuple[Test, ...]]
# More than any prompt has.
NO_LIMIT: Final = 2**62
# What of a rule is a condition besides the size.
CONDITIONS: Final = ("tasks", "flags", "words", "code", "reasoning", "tools", "images")


class Rules:
    """The rules in order, each with its name, prepared for many calls."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._tests = tuple((name, rule, tuple(_tests(name, rule))) for name, rule in rules.items())
        self._targets = frozenset(target for rule in rules.values() for target in rule.targets)
        self._tasks = frozenset(task for rule in rules.values() for task in rule.tasks)
        self._possible: dict[tuple[str | None, str | None, bool, bool], tuple[_Tested, ...]] = {}

    def first(self, target: str, features: Features, caller: Caller) -> tuple[str, Rule] | None:
        """Return the first rule that a call to `target` meets, with its name."""
        for name, rule, tests in self._possible_for(target, features, caller):
            for test in tests:
                if not test(target, features, caller):
                    break
            else:
                return name, rule
        return None

    def _possible_for(self, target: str, features: Features, caller: Caller) -> tuple[_Tested, ...]:
        """Return the rules that target, task, and having flags or words at all, do not rule out.

        Names that no rule knows are as good as one another, so there are few of these lists.
        """
        task = caller.task
        known = target if target in self._targets else None
        key = (
            known,
            task if task in self._tasks else None,
            bool(features.flags),
            bool(features.text_rules),
        )
        possible = self._possible.get(key)
        if possible is None:
            possible = self._possible[key] = tuple(
                (name, rule, tests)
                for name, rule, tests in self._tests
                if (not rule.targets or target in rule.targets)
                and (not rule.tasks or task in rule.tasks)
                and (not rule.flags or features.flags)
                and (not rule.words or features.text_rules)
            )
        return possible


def is_by_size_alone(rule: Rule) -> bool:
    """Say whether nothing but the size of a call decides: too weak a sign to go by."""
    sizes = (rule.least_input_tokens, rule.most_input_tokens)
    others = (getattr(rule, name) for name in CONDITIONS)
    return any(size is not None for size in sizes) and all(item in (None, []) for item in others)


def _tests(name: str, rule: Rule) -> Iterable[Test]:
    """Return a test for each condition that the rule sets, those that fail most often first."""
    targets, tasks, flags = frozenset(rule.targets), frozenset(rule.tasks), frozenset(rule.flags)
    least, most = rule.least_input_tokens or 0, rule.most_input_tokens or NO_LIMIT
    code, reasoning, tools, images = rule.code, rule.reasoning, rule.tools, rule.images
    tests: tuple[tuple[object, Test], ...] = (
        (targets, lambda target, _features, _caller: target in targets),
        (tasks, lambda _target, _features, caller: caller.task in tasks),
        (flags, lambda _target, features, _caller: not flags.isdisjoint(features.flags)),
        (rule.words, lambda _target, features, _caller: features.text_rules.get(name, False)),
        (code is not None, lambda _target, features, _caller: features.code is code),
        (reasoning is not None, lambda _target, features, _caller: features.reasoning is reasoning),
        (tools is not None, lambda _target, features, _caller: (features.tools > 0) is tools),
        (images is not None, lambda _target, features, _caller: (features.images > 0) is images),
        (least, lambda _target, features, _caller: features.input_tokens >= least),
        (most != NO_LIMIT, lambda _target, features, _caller: features.input_tokens <= most),
    )
    return (test for is_set, test in tests if is_set)
