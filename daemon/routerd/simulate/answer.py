"""What a simulated model says: a pure function of the question, the same on every run.

No vendor's wire, no clock, no state. Tests compute the words of an answer with `expected_text`.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from routerd.simulate.exchange import Answer, Finish, Question, Tool, ToolCall
from routerd.simulate.schema import instance
from routerd.simulate.tokens import cut_into_tokens

__all__ = ["compose", "default_output_tokens", "expected_reasoning", "expected_text"]

# 128 tokens: one random byte chooses one. Between the plain words stand the things that break naive
# readers: letters of two and three bytes, emoji of four and more, quotes and backslashes that JSON
# escapes, and the line separators that JSON does not.
TOKENS = (
    " the", " a", " of", " and", " to", " in", " is", " that", " it", " for", " on", " with", " as",
    " by", " at", " from", " this", " we", " can", " will", " one", " two", " each", " every",
    " other", " more", " less", " first", " last", " next", " call", " model", " route", " stream",
    " token", " answer", " question", " reason", " number", " word", " line", " page", " river",
    " bridge", " lantern", " harbour", " winter", " garden", " signal", " engine", " paper",
    " window", " letter", " morning", " evening", " carries", " follows", " returns", " opens",
    " closes", " waits", " begins", " ends", " grows", " falls", " turns", " keeps", " finds",
    " quickly", " slowly", " quietly", " often", " never", " always", " here", " there", " small",
    " large", " bright", " dark", " old", " new", " warm", " cold", " clear",
    ",", ",", ",", ".", ".", ".", ";", ":", "!", "?", ".\n", ".\n\n", "\n- ", " (so", ")",
    ' "quoted"', " back\\slash", " it's", " 3.14", " 42%", " 100", " café", " naïve", " Straße",
    " señal", " žluť", " Ελλάδα", " мир", " שלום", " 東京", " 한국어", " हिन्दी", " ∑", " →", " €",
    " 😀", " 🚀", " 👩‍💻", " 🇪🇺", " e\u0301", "\u2028", "\u0085", "\t",
)  # fmt: skip
FIRST_WORDS = ("Well", "Sure", "Here", "Today", "Über", "Así", "✅", "Yes")
EVERY_TOOL = re.compile(r"\b(both|all|every|each)\b[\w ]{0,20}\btools?\b", re.IGNORECASE)


def default_output_tokens(prompt: str) -> int:
    """Return the length of an answer where nothing sets it: 40 to 119 tokens."""
    return 40 + int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4]) % 80


def expected_text(model: str, prompt: str, output_tokens: int | None = None) -> str:
    """Return the text with which `model` answers a last user message `prompt`, word for word.

    `output_tokens` is the pacing's, or the caller's limit where that is smaller (reasoning off).
    """
    return "".join(text_tokens(model, prompt, output_tokens))


def expected_reasoning(model: str, prompt: str, tokens: int) -> str:
    """Return the reasoning that `model` shows before its answer to `prompt`."""
    return "".join(random_tokens(f"reasoning\0{model}\0{prompt}", tokens))


def text_tokens(model: str, prompt: str, count: int | None) -> tuple[str, ...]:
    """Return the answer's tokens; fewer tokens are the beginning of more."""
    wanted = default_output_tokens(prompt) if count is None else count
    return random_tokens(f"answer\0{model}\0{prompt}", wanted)


def random_tokens(seed: str, count: int) -> tuple[str, ...]:
    """Choose tokens by the seed, the first one a word that may open a sentence."""
    if count < 1:
        return ()
    chosen = hashlib.shake_256(seed.encode()).digest(count)
    first = FIRST_WORDS[chosen[0] % len(FIRST_WORDS)]
    return (first, *(TOKENS[byte & 127] for byte in chosen[1:]))


def compose(question: Question, output_tokens: int | None = None) -> Answer:
    """Answer the question: with tool calls, with JSON that fits its schema, or with text.

    `output_tokens` is the length of a text answer before the caller's limit cuts it.
    """
    room = question.limit
    thought = question.reasoning_tokens
    if room is not None:
        thought = min(thought, room)
        room -= thought
    reasoning = random_tokens(f"reasoning\0{question.model}\0{question.said}", thought)
    if called := called_tools(question):
        return _with_calls(question, called, reasoning, room)
    if question.schema is not None:
        tokens = cut_into_tokens(filled(question, question.schema, "schema"))
    else:
        tokens = text_tokens(question.model, question.said, output_tokens)
    text, stop = cut_at_stop(tokens, question.stops)
    finish: Finish = "stop" if stop is None else "stop_sequence"
    if room is not None and len(text) > room:
        text, stop, finish = text[:room], None, "length"
    return Answer(finish=finish, reasoning=reasoning, text=text, stop=stop)


def _with_calls(
    question: Question, called: tuple[Tool, ...], reasoning: tuple[str, ...], room: int | None
) -> Answer:
    calls: list[ToolCall] = []
    aloud = cut_into_tokens(question.aloud)
    if room is not None:
        aloud = aloud[:room]
        room -= len(aloud)
    for tool in called:
        arguments = cut_into_tokens(filled(question, tool.schema, tool.name))
        if room is not None and len(arguments) > room:
            calls += [ToolCall(tool.name, arguments[:room])] if room else []
            return Answer(finish="length", reasoning=reasoning, text=aloud, calls=tuple(calls))
        calls.append(ToolCall(tool.name, arguments))
        room = None if room is None else room - len(arguments)
    return Answer(finish="tool_calls", reasoning=reasoning, text=aloud, calls=tuple(calls))


def filled(question: Question, schema: object, purpose: str) -> str:
    """Fill in a schema as JSON text, for this model and prompt."""
    fitting = schema if isinstance(schema, dict | bool) else {}
    data = instance(fitting, f"{purpose}\0{question.model}\0{question.said}")
    return msgspec.json.encode(data).decode()


def called_tools(question: Question) -> tuple[Tool, ...]:
    """Choose the tools to call.

    Those the prompt names (or every one, where it says "both tools", "all the tools"), unless their
    results are already there; a tool the caller insists on always.
    """
    tools = question.tools
    if question.tool_choice == "none" or not tools:
        return ()
    if question.tool_choice == "named":
        return tuple(tool for tool in tools if tool.name == question.tool_named)
    wanted = tools if EVERY_TOOL.search(question.said) else ()
    wanted = wanted or tuple(tool for tool in tools if mentions(question.said, tool.name))
    if question.tool_choice == "required":
        wanted = wanted or tools[:1]
    elif question.tools_answered:
        return ()
    return wanted if question.parallel_calls else wanted[:1]


def mentions(text: str, name: str) -> bool:
    """Tell whether the name stands in the text as a whole word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def cut_at_stop(
    tokens: tuple[str, ...], stops: tuple[str, ...]
) -> tuple[tuple[str, ...], str | None]:
    """Cut the tokens before the first stop sequence, and say which one it was."""
    text = "".join(tokens) if stops else ""
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return tokens, None
    place, stop = min(found)
    kept: list[str] = []
    for token in tokens:
        if place < len(token):
            break
        kept.append(token)
        place -= len(token)
    return ((*kept, token[:place]) if place else tuple(kept)), stop
