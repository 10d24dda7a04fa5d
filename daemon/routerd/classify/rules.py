"""Which rule a call meets: the first whose conditions all hold.

Rules of this file: pure, on the facts of a call alone, so that a past call meets the same rule
again without its text. A set of rules is a whole number with a bit for each, the first rule the
lowest: what a fact of a call rules out is worked out beforehand, so every condition of every rule
is tested by a few "and"s, whatever the call is like and however many rules there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from routerd.domain import Caller, Features
from routerd.settings import Rule

__all__ = ["CONDITIONS", "Rules", "is_by_size_alone"]

# What of a rule is a condition besides the size.
CONDITIONS: Final = ("tasks", "flags", "words", "code", "reasoning", "tools", "images")
# Those that are so or not so. Nearly every call brings none of them, so that it brings none says
# hardly anything.
SWITCHES: Final = ("code", "reasoning", "tools", "images")


class _Names(NamedTuple):
    """The rules that do not ask for a name of one kind, and those that ask for each."""

    unasked: int
    asking: dict[str, int]


class Rules:
    """The rules in order, each with its name, prepared for many calls."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = tuple(rules.items())
        listed = tuple(rules.values())
        self._flags = _names([rule.flags for rule in listed])
        # A rule that looks for words asks for its own name among those that found one.
        self._words = _names([[name] if rule.words else [] for name, rule in self._rules])
        # One target and one task: those who ask for it, and those who ask for none.
        self._any_target, self._targets = _one_of(_names([rule.targets for rule in listed]))
        self._any_task, self._tasks = _one_of(_names([rule.tasks for rule in listed]))
        self._switches = tuple(
            _those(_holds(rule, facts) for rule in listed) for facts in range(2 ** len(SWITCHES))
        )
        # Between two of these sizes the same rules hold.
        self._sizes = sorted(
            {rule.least_input_tokens or 0 for rule in listed}
            | {rule.most_input_tokens + 1 for rule in listed if rule.most_input_tokens is not None}
        )
        self._of_size = [
            _those(_takes(rule, size) for rule in listed) for size in (-1, *self._sizes)
        ]

    def first(self, target: str, features: Features, caller: Caller) -> tuple[str, Rule] | None:
        """Return the first rule that a call to `target` meets, with its name."""
        flags, asking = self._flags
        for name in features.flags:
            if name in asking:
                flags |= asking[name]
        facts = 0
        if features.code or features.reasoning or features.tools or features.images:
            facts = (
                features.code
                | features.reasoning << 1
                | (features.tools > 0) << 2
                | (features.images > 0) << 3
            )
        met = (
            flags
            & self._targets.get(target, self._any_target)
            & self._tasks.get(caller.task, self._any_task)
            & self._switches[facts]
            & self._of_size[bisect_right(self._sizes, features.input_tokens)]
        )
        # What was found costs most to go through: only where somebody is left who asks for it.
        if met and met & ~self._words.unasked:
            met &= self._finding(features.text_rules)
        # Of all bits the lowest.
        return self._rules[(met & -met).bit_length() - 1] if met else None

    def _finding(self, found: Mapping[str, bool]) -> int:
        """Return the rules that look for no words, or whose words were found."""
        words, looking = self._words
        for name, is_found in found.items():
            if is_found and name in looking:
                words |= looking[name]
        return words


def is_by_size_alone(rule: Rule) -> bool:
    """Say whether nothing but the size of a call decides: too weak a sign to go by.

    That a call brings no tools, say, is no second sign: hardly any does.
    """
    sizes = (rule.least_input_tokens, rule.most_input_tokens)
    others = (getattr(rule, name) for name in CONDITIONS)
    return any(size is not None for size in sizes) and not any(others)


def _those(are: Iterable[bool]) -> int:
    """Return the set of the rules of which something is so, from what is said of each in order."""
    return sum(1 << place for place, is_so in enumerate(are) if is_so)


def _names(asked: Sequence[Sequence[str]]) -> _Names:
    """Return who asks for which names, from what each rule asks for, in order."""
    every = {name for names in asked for name in names}
    return _Names(
        _those(not names for names in asked),
        {name: _those(name in names for names in asked) for name in every},
    )


def _one_of(names: _Names) -> tuple[int, dict[str | None, int]]:
    """Return which rules take any name, and which take each of those that are asked for."""
    return names.unasked, {name: names.unasked | those for name, those in names.asking.items()}


def _holds(rule: Rule, facts: int) -> bool:
    """Say whether a rule takes a call with these of `SWITCHES`, the first the lowest bit."""
    wanted = (getattr(rule, name) for name in SWITCHES)
    return all(
        item is None or item is bool(facts >> place & 1) for place, item in enumerate(wanted)
    )


def _takes(rule: Rule, size: int) -> bool:
    """Say whether a rule takes a call of so many tokens."""
    most = rule.most_input_tokens
    return size >= (rule.least_input_tokens or 0) and (most is None or size <= most)
