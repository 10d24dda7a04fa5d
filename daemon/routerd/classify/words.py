"""Which words stand in a call's text: what is kept of it is yes or no.

Rules of this file: pure. However long a prompt is, so much of it is looked at and no more: of each
text its beginning and its end, where a task is usually told.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from routerd.settings import Rule
from routerd_proto.content import Message, Text

__all__ = ["LOOKED_AT", "WordRules", "holds_code", "texts_of"]

# Characters of each text that are looked at, half of them at either end.
LOOKED_AT: Final = 4_000
# Everything that ends a word; letters with marks and other scripts are left as they are.
SPACES: Final = str.maketrans(dict.fromkeys(string.punctuation.replace("_", ""), " "))
# What hardly any prose holds and nearly all code does.
CODE: Final = (
    "```",
    "def ",
    "class ",
    "function ",
    "import ",
    "#include",
    "</",
    "=>",
    "();",
    "{\n",
)
# One such thing may stand in prose; a fence alone is said to be code.
FENCE: Final = CODE[0]
ENOUGH: Final = 2


class Texts(NamedTuple):
    """The text of a call that rules look at, cut."""

    system: str
    question: str


class _Words(NamedTuple):
    """What one rule looks for: words alone, and what only a search finds."""

    name: str
    look_in: Literal["system", "question", "either"]
    words: frozenset[str]
    phrases: tuple[str, ...]


class WordRules:
    """The rules that look for words, prepared to be asked for all at once."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = tuple(_prepared(name, rule) for name, rule in rules.items() if rule.words)

    def results(self, texts: Texts) -> dict[str, bool]:
        """Return by its name whether each rule finds one of its words."""
        if not self._rules:
            return {}
        system, question = _Looked(texts.system), _Looked(texts.question)
        return {
            rule.name: (
                (rule.look_in != "question" and system.holds(rule))
                or (rule.look_in != "system" and question.holds(rule))
            )
            for rule in self._rules
        }


class _Looked:
    """A text, split into words once for all rules."""

    def __init__(self, text: str) -> None:
        self._words = text.lower().translate(SPACES).split()
        self._set = frozenset(self._words)
        self._line: str | None = None

    def holds(self, rule: _Words) -> bool:
        if not self._words:
            return False
        if not rule.words.isdisjoint(self._set):
            return True
        if not rule.phrases:
            return False
        if self._line is None:
            self._line = f" {' '.join(self._words)} "
        line = self._line
        return any(phrase in line for phrase in rule.phrases)


def texts_of(messages: Sequence[Message]) -> Texts:
    """Return what is looked at of the system prompt and of the last user message."""
    system = [_text(message) for message in messages if message.role == "system"]
    question = next((_text(item) for item in reversed(messages) if item.role == "user"), "")
    return Texts(_cut("\n".join(system) if len(system) != 1 else system[0]), _cut(question))


def holds_code(question: str) -> bool:
    """Say whether a question brings code along."""
    if FENCE in question:
        return True
    return sum(mark in question for mark in CODE) >= ENOUGH


def _prepared(name: str, rule: Rule) -> _Words:
    words, phrases = set(), []
    for text in rule.words:
        parts = text.lower().translate(SPACES).split()
        if len(parts) == 1 and parts[0].isascii():
            words.add(parts[0])
        elif parts:
            # Not all scripts put spaces between words, so theirs are looked for anywhere.
            line = " ".join(parts)
            phrases.append(f" {line} " if line.isascii() else line)
    return _Words(name, rule.look_in, frozenset(words), tuple(phrases))


def _text(message: Message) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, Text))


def _cut(text: str) -> str:
    if len(text) <= LOOKED_AT:
        return text
    return f"{text[: LOOKED_AT // 2]}\n{text[-LOOKED_AT // 2 :]}"
