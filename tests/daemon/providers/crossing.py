"""Conversations in which vendors answer in turns, one of them twice at least: A to B to A.

Rules of this file: every piece of what is said, thought, signed or attached has a number in it, so
that it can be found again in any wire. Users attach pictures and papers and mark what to cache;
tools answer with words alone or with pictures too; answers come whole or in a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st

from routerd_proto.content import (
    CacheLifetime,
    Content,
    Document,
    Image,
    Message,
    Text,
    ToolCall,
    ToolResult,
)
from tests.daemon.providers.speaking import Block, Did, Speaker, Thought, Use, Words

__all__ = ["NAMES", "Answer", "Counting", "Said", "conversations", "tool_calls"]

NAMES = ("look_up", "find-it", "a")
# What servers of all kinds call a call: some begin anew in every answer, some write anything.
IDS = ("call_0", "functions.look_up:0", "toolu_01A", "", "Ω mega\n", "x" * 300, "abcdefghi")
SPOKEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
CACHES = st.sampled_from([None, None, "5m", "1h"])
ARGUMENTS = st.dictionaries(SPOKEN, st.integers(0, 9) | SPOKEN, max_size=2)


class Answer(NamedTuple):
    """An answer: who gave it, how it was written, and as what it is in the conversation."""

    author: Speaker
    written: dict[str, Any]
    message: Message


class Said(NamedTuple):
    """A conversation, and the answers in it."""

    messages: list[Message]
    answers: list[Answer]


class Counting:
    """Numbers what is said, so that each piece can be found again in any wire."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.count = self.calls = 0

    def mark(self, kind: str, more: str = "") -> str:
        self.count += 1
        return f"<{kind} {self.count}>{more}"

    def blocks(self) -> list[Block]:
        blocks: list[Block] = []
        kinds = st.sampled_from(["thought", "words", "words", "did", "use", "use"])
        for kind in self.draw(st.lists(kinds, min_size=1, max_size=5)):
            if kind == "thought":
                text = self.mark("thought") if self.draw(st.booleans()) else ""
                blocks.append(Thought(text, self.mark("signature")))
            elif kind == "words":
                signature = self.mark("signature") if self.draw(st.booleans()) else ""
                blocks.append(Words(self.mark("words", self.draw(SPOKEN)), signature))
            elif kind == "did":
                blocks.append(Did(self.mark("signature")))
            else:
                signature = self.mark("signature") if self.draw(st.booleans()) else ""
                call_id, name = self.draw(st.sampled_from(IDS)), self.draw(st.sampled_from(NAMES))
                blocks.append(Use(call_id, name, self.draw(ARGUMENTS), signature))
        speaks = any(isinstance(block, Words | Use) for block in blocks)
        # No whole answer ends with a thought, and Claude's vendors refuse one that does.
        if not speaks or isinstance(blocks[-1], Thought):
            blocks.append(Words(self.mark("words")))
        return blocks

    def asked(self) -> Message:
        """Have the user speak: words, and pictures and papers between them."""
        said: list[Content] = [Text(self.mark("words", self.draw(SPOKEN)), self.draw(CACHES))]
        for kind in self.draw(st.lists(st.sampled_from(["words", "image", "paper"]), max_size=3)):
            cache = self.draw(CACHES)
            if kind == "words":
                said.append(Text(self.mark("words"), cache))
            elif kind == "image":
                said.append(self.image(cache))
            else:
                paper = self.mark("paper").encode()
                said.append(Document(data=paper, media_type="text/plain", cache=cache))
        return Message("user", said)

    def image(self, cache: CacheLifetime | None = None) -> Image:
        return Image(data=self.mark("image").encode(), media_type="image/png", cache=cache)

    def result(self, call: ToolCall, number: int) -> ToolResult:
        """Answer a call, with words alone or with pictures too."""
        words = f"<result {number}>"
        content: str | list[Text | Image] = words
        if self.draw(st.booleans()):
            pictures = [self.image() for _ in range(self.draw(st.integers(0, 2)))]
            content = [Text(words), *pictures]
        is_error, cache = self.draw(st.booleans()), self.draw(CACHES)
        return ToolResult(call.id, content, is_error=is_error, cache=cache)

    def results(self, calls: list[ToolCall]) -> Iterator[Message]:
        results = [self.result(call, number) for number, call in enumerate(calls, self.calls)]
        self.calls += len(calls)
        results = self.draw(st.permutations(results))
        if self.draw(st.booleans()):
            yield Message("tool", results)
        else:
            yield from (Message("tool", [result]) for result in results)


@st.composite
def conversations(
    draw: Callable[[st.SearchStrategy[Any]], Any], speakers: tuple[Speaker, ...]
) -> Said:
    """Have the speakers answer in turns, one of them twice at least: A to B to A."""
    counting = Counting(draw)
    messages = [counting.asked()]
    if draw(st.booleans()):
        messages.insert(0, Message("system", [Text("Be brief.", draw(CACHES))]))
    answers: list[Answer] = []
    for speaker in speakers:
        blocks = counting.blocks()
        answer = speaker.say(blocks, stream=draw(st.booleans()))
        answers.append(Answer(speaker, speaker.write(blocks), answer))
        messages.append(answer)
        calls = tool_calls(answer)
        if calls:
            messages += counting.results(calls)
        if not calls or draw(st.booleans()):
            messages.append(counting.asked())
    return Said(messages, answers)


def tool_calls(message: Message) -> list[ToolCall]:
    return [part for part in message.content if isinstance(part, ToolCall)]
