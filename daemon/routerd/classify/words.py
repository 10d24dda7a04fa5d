"""Which words stand in a call's text: what is kept of it is yes or no.

Rules of this file: pure. However long a prompt is, so much of it is looked at and no more: of each
text its beginning and its end, where a task is usually told.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from routerd.settings import Rule
from routerd_proto.content import Content, Message, Text

__all__ = ["LOOKED_AT", "WordRules", "holds_code", "texts_of"]

# System prompts whose words are remembered, never themselves; and sets of words that were found.
MOST_PROMPTS: Final = 1_000
MOST_FINDINGS: Final = 1_000
# Characters of each text that are looked at, half of them at either end.
LOOKED_AT: Final = 4_000
# Everything that ends a word: of ASCII all but the underscore, then what word processors and other
# languages put there: signs of Latin-1, dashes and quotation marks, those of Chinese and Japanese.
MARKS: Final = ((0xA1, 0xA1), (0xAB, 0xAB), (0xBB, 0xBB), (0xBF, 0xBF), (0x2010, 0x2027))
WIDE_MARKS: Final = ((0x2039, 0x203A), (0x3001, 0x3002), (0x3008, 0x3011), (0xFF01, 0xFF1F))
SPACES: Final = dict.fromkeys(map(ord, string.punctuation.replace("_", "")), " ") | {
    code: " "
    for first, last in (*MARKS, *WIDE_MARKS)
    for code in range(first, last + 1)
    if not chr(code).isalnum()
}
# Of ASCII: what a mark becomes, and a capital letter. What is no space to bytes is one to text.
ASCII_LOWER: Final = bytes(
    ord(" " if chr(code).isspace() else SPACES.get(code, chr(code)).lower()) if code < 128 else code
    for code in range(256)
)
# Scripts that put no spaces between words: from Thai to Tibetan and Burmese, Khmer, and from the
# Japanese syllables to the last of the Chinese characters.
UNSPACED: Final = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# A fence alone is said to be code.
FENCE: Final = "```"
# Of what code holds, one thing may stand in prose.
ENOUGH: Final = 2

Word = str | bytes
# The words of a text that any rule looks for.
Finding = frozenset[Word]
NOTHING: Final[Finding] = frozenset()


class Texts(Struct, frozen=True):
    """The text of a call that rules look at, cut."""

    system: str
    question: str


class WordRules:
    """The rules that look for words, prepared to be asked for all at once.

    A text is split once, and what it holds is looked up: more rules make it no slower.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        rules = {name: rule for name, rule in rules.items() if rule.words}
        self._system = _Index(rules, "system")
        self._question = _Index(rules, "question")
        # What was found in system prompts, which are nearly always the same, by their hash.
        self._found: dict[tuple[int, int], tuple[str, ...]] = {}
        # What was returned before, by what was found: most calls of an app find the same.
        self._results: dict[tuple[tuple[str, ...], Finding], dict[str, bool]] = {}

    def results(self, texts: Texts) -> dict[str, bool]:
        """Return the names of the rules that find one of their words, each with True.

        It is nobody's to change: other calls have the same.
        """
        in_system = self._in_system(texts.system) if self._system.looks else ()
        found, words = self._question.find(texts.question)
        result = self._results.get((in_system, found))
        if result is not None:
            return result
        met, is_settled = self._question.met(found, words)
        result = dict.fromkeys([*in_system, *met], True)
        if is_settled:
            if len(self._results) >= MOST_FINDINGS:
                self._results.clear()
            self._results[in_system, found] = result
        return result

    def _in_system(self, text: str) -> tuple[str, ...]:
        # Python's hash has a secret of this process in it: nobody can aim at another's prompt.
        key = (hash(text), len(text))
        met = self._found.get(key)
        if met is None:
            if len(self._found) >= MOST_PROMPTS:
                self._found.clear()
            met = self._found[key] = tuple(self._system.met(*self._system.find(text))[0])
        return met


class _Index:
    """Which rules each word of one kind of text means."""

    def __init__(self, rules: Mapping[str, Rule], look_in: str) -> None:
        self._words: dict[str, list[str]] = {}
        # By their first word; those of scripts without spaces between words, for any text.
        self._phrases: dict[str, list[tuple[str, str]]] = {}
        self._anywhere: list[tuple[str, str]] = []
        for name, rule in rules.items():
            if rule.look_in in (look_in, "either"):
                for text in rule.words:
                    self._add(name, text.lower().translate(SPACES).split())
        self._known: Finding = frozenset((*self._words, *self._phrases))
        self._known_ascii: Finding = frozenset(
            map(str.encode, filter(str.isascii, self._words | self._phrases))
        )
        self.looks = bool(self._known or self._anywhere)

    def find(self, text: str) -> tuple[Finding, Sequence[Word]]:
        """Return which words of the rules stand in a text, and all of its words in order."""
        if not (text and self.looks):
            return NOTHING, ()
        if text.isascii():
            # Bytes are made, and looked up, in two thirds of the time.
            words: Sequence[Word] = text.encode().translate(ASCII_LOWER).split()
            return self._known_ascii.intersection(words), words
        words = text.lower().translate(SPACES).split()
        return self._known.intersection(words), words

    def met(self, found: Finding, words: Sequence[Word]) -> tuple[list[str], bool]:
        """Return the names of the rules whose words stand in a text, by what `find` returned.

        Beside them whether every text of these findings means the same rules.
        """
        hits = frozenset(map(_as_text, found))
        met = self._rules_of(hits, list(map(_as_text, words)))
        return met, not self._anywhere and self._phrases.keys().isdisjoint(hits)

    def _rules_of(self, hits: frozenset[str], words: list[str]) -> list[str]:
        met: list[str] = []
        line = ""
        for word in hits:
            met += self._words.get(word, ())
            for phrase, name in self._phrases.get(word, ()):
                line = line or f" {' '.join(words)} "
                if phrase in line:
                    met.append(name)
        if self._anywhere:
            line = line or " ".join(words)
            met += [name for text, name in self._anywhere if text in line]
        return met

    def _add(self, name: str, parts: list[str]) -> None:
        line = " ".join(parts)
        if UNSPACED.search(line):
            self._anywhere.append((line, name))  # nothing says where its words end
        elif len(parts) == 1:
            self._words.setdefault(line, []).append(name)
        elif parts:
            self._phrases.setdefault(parts[0], []).append((f" {line} ", name))


def _as_text(word: Word) -> str:
    return word if isinstance(word, str) else word.decode()


def texts_of(messages: Sequence[Message]) -> Texts:
    """Return what is looked at of the system prompt and of the last user message."""
    system: list[str] = []
    last: str | Sequence[Content] = ""
    for message in messages:
        role = message.role
        if role == "user":
            last = message.content
        elif role == "system":
            content = message.content
            system.append(content if isinstance(content, str) else _text(content))
    prompt = system[0] if len(system) == 1 else "\n".join(system)
    question = last if isinstance(last, str) else _text(last)
    return Texts(
        prompt if len(prompt) <= LOOKED_AT else _ends(prompt),
        question if len(question) <= LOOKED_AT else _ends(question),
    )


def holds_code(question: str) -> bool:
    """Say whether a question brings code along."""
    if "`" in question and FENCE in question:
        return True
    # What hardly any prose holds and nearly all code does: where there is a sign of it that is rare
    # in prose, that is looked for first, and found in a fraction of the time.
    found = (
        ("def " in question)
        + ("class " in question)
        + ("function " in question)
        + ("import " in question)
        + ("#" in question and "#include" in question)
        + ("<" in question and "</" in question)
        + (">" in question and "=>" in question)
        + (";" in question and "();" in question)
        + ("{" in question and "{\n" in question)
    )
    return found >= ENOUGH


def _text(content: Sequence[Content]) -> str:
    return "\n".join([part.text for part in content if isinstance(part, Text)])


def _ends(text: str) -> str:
    return f"{text[: LOOKED_AT // 2]}\n{text[-LOOKED_AT // 2 :]}"
