"""Chat Completions answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. Order within a delta:
reasoning, refusal, text, citations, tool calls. A stream is complete after `[DONE]` or a finish
reason. An error is looked for before choices, but what stands beside it is read all the same:
text is never lost, and the usage of a failed answer is billed too. Text that comes again as a whole
is not said again: of it only what no piece brought is given out, and where the pieces brought
something else, nothing is and a note says so. Where all comes in messages, see
`whole_messages`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import astuple

from routerd.domain import FinishReason, Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Outcome
from routerd.providers.body import BodyDecoder
from routerd.providers.failure import FailureRules
from routerd.providers.json_text import text_of
from routerd.providers.openai.beside import found_by, kinds_beside, sources_of
from routerd.providers.openai.extras import EXTRA_NOTE, to_go_back
from routerd.providers.openai.failure import is_output_limit, stream_failure
from routerd.providers.openai.logprobs import read_logprobs
from routerd.providers.openai.reasoning import ReasoningReader
from routerd.providers.openai.told import MOST_PIECES, OTHER_TEXT_NOTE, CountedText, TextKind, Told
from routerd.providers.openai.usage import read_usage
from routerd.providers.openai.whole_messages import WholeMessages
from routerd.providers.openai.wire import CHUNKS, Choice, Chunk, Delta, calls_in
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd.providers.tool_calls import ToolCallAssembler, ToolCallFragment
from routerd_proto.frames import CitationAdded, ReasoningDelta, RefusalDelta, TextDelta

__all__ = ["ChatDecoder"]

FINISHES: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    "abort": "error",  # vLLM, where it gave the answer up
    "insufficient_system_resource": "error",
}
# Of a usage: what says more than a sum does.
COUNTS: Final = frozenset({"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"})
# The kinds of a content part that may hold nothing at all.
EMPTY: Final = ("text", "output_text", "refusal", None)
UNSEEN: Final = object()
"""The index of the choice that is read, before there is any."""


class ChatDecoder(BodyDecoder[Chunk]):
    """Decode one answer, into `outcome` where one is given."""

    answers_as_events = True

    def __init__(
        self,
        vendor: str,
        rules: FailureRules,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            CHUNKS, vendor, stream=stream, max_body_bytes=max_body_bytes, outcome=outcome
        )
        self._rules = rules
        self._reasoning = ReasoningReader(vendor, self.outcome.notes)
        self._tool_calls = ToolCallAssembler()
        self._choice_index: Any = UNSEEN
        # Whether it is known who answers, and whether anything of that may still come.
        self._named, self._awaits_name = False, True
        self._text, self._refusal = CountedText(Told()), CountedText(Told())
        self._pieces = self._text.pieces
        self._source = ""  # where the text comes, if in no delta
        self._messages = WholeMessages(
            {"reasoning": self._reasoning.told, "refusal": self._refusal, "text": self._text}
        )
        self._held = self._messages.held

    def _take(self, name: bytes, chunk: Chunk, parts: list[Part]) -> bool:
        del name
        if self._awaits_name and (chunk.system_fingerprint is not None or not self._named):
            self._identify(chunk)
        if chunk.error:
            self._note_error(chunk.error)
        if chunk.usage is not None or chunk.x_groq is not None:
            self._take_usage(chunk)
        if chunk.choices is None:
            return chunk.usage is not None or chunk.error is not None
        for choice in chunk.choices:
            self._take_choice(choice, parts)
        if chunk.citations is not None or chunk.search_results is not None:
            for source in sources_of(chunk):
                self._cite_once(source, parts)
        return True

    def _take_end_mark(self, parts: list[Part]) -> None:
        self._done = True
        self._close(parts)

    def _close(self, parts: list[Part]) -> None:
        if self._held:  # of an answer that was cut too
            self._give(self._messages.release(), parts)
        super()._close(parts)

    def _end_content(self, parts: list[Part]) -> bool:
        if self._choice_index is UNSEEN:
            self._fail("the answer holds no choice")
            return False
        self._reasoning.close(parts)
        self._tool_calls.close(self.outcome.response_id or "", parts)
        return bool(self._tool_calls)

    def _identify(self, chunk: Chunk) -> None:
        """Note who answers, by the first chunk that says so: some say it late, or in pieces."""
        outcome = self.outcome
        if outcome.model is None:
            outcome.model = text_of(chunk.model)
        if outcome.response_id is None:
            outcome.response_id = text_of(chunk.id)
        if outcome.fingerprint is None:
            outcome.fingerprint = text_of(chunk.system_fingerprint)
        self._named = outcome.model is not None and outcome.response_id is not None
        self._awaits_name = not self._named or outcome.fingerprint is None

    def _take_choice(self, choice: Choice, parts: list[Part]) -> None:
        if choice.index != self._choice_index and not self._is_our_choice(choice.index):
            return
        delta = choice.delta
        if delta is None or choice.message is not None or choice.text is not None:
            self._take_whole_choice(choice, parts)
            if choice.finish_reason and self._held:
                self._give(self._messages.end(), parts)
        else:
            content = delta.content
            if (
                type(content) is str
                and content
                and not (
                    delta.tool_calls
                    or delta.reasoning_content
                    or delta.reasoning
                    or delta.reasoning_details
                    or delta.refusal
                    or delta.annotations
                    or delta.function_call
                    or delta.audio
                    or delta.images
                    or delta.executed_tools
                    or self._held
                )
            ):  # as nearly every piece is
                if self._reasoning.is_open:
                    self._reasoning.close(parts)
                pieces = self._pieces
                pieces.append(content)
                if len(pieces) >= MOST_PIECES:
                    self._text.count()
                parts.append(TextDelta(content))
            else:
                self._take_delta(delta, parts)
        if choice.logprobs is not None:
            self._tell_logprobs(read_logprobs(choice.logprobs), parts)
        if choice.error:
            self._note_error(choice.error)
        if choice.finish_reason is not None and (choice.finish_reason or self._may_end_by(choice)):
            self._take_finish(choice.finish_reason)

    # --- what comes whole -------------------------------------------------------------------------

    def _take_whole_choice(self, choice: Choice, parts: list[Part]) -> None:
        """Read a choice that has more than a piece, or none: some gateways put a message there.

        It is the message so far, or all of it at the end: what no piece brought is given out.
        """
        delta, message = choice.delta, choice.message
        content = message.content if message is not None else None
        if delta is not None:
            self._take_delta(delta, parts)
            content = content or delta.content
        if message is not None and message != delta:
            if self._has_told():
                self._complete(message, parts)
            else:
                self._source = "message"
                self._take_delta(message, parts)
                self._messages.begin()
        if not content:
            self._take_bare(choice.text, parts)

    def _take_bare(self, text: Any, parts: list[Part]) -> None:
        """Read text that stands in the choice itself: a piece, unless pieces came elsewhere."""
        if not isinstance(text, str) or not text:
            return
        if self._held:
            self._give(self._messages.release(), parts)
        if not self._has_told():
            self._source = "text"
        if self._source == "text":
            self._say(text, parts)
        elif rest := self._rest(self._text, text):
            self._say(rest, parts)

    def _has_told(self) -> bool:
        told = (self._text, self._refusal, self._reasoning.told, self._tool_calls)
        return any(told)

    def _complete(self, message: Delta, parts: list[Part]) -> None:
        """Give out what no piece brought of a message that comes whole."""
        reader, read = ChatDecoder(self.vendor, self._rules, stream=False), list[Part]()
        reader._take_delta(message, read)
        texts: dict[TextKind, str] = {
            "reasoning": "".join(part.reasoning for part in read if type(part) is ReasoningDelta),
            "refusal": "".join(part.refusal for part in read if type(part) is RefusalDelta),
            "text": "".join(part.text for part in read if type(part) is TextDelta),
        }
        calls = calls_in(message)
        if self._source == "message" and self._messages.are_alone():
            self._give(self._messages.take(texts, calls=bool(calls)), parts)
        else:
            told = (self._reasoning.told, self._refusal, self._text)
            kinds = zip(texts.items(), told, strict=True)
            self._give([(kind, self._rest(was, text)) for (kind, text), was in kinds], parts)
        for note in reader.outcome.notes:
            self._note(note)
        for part in read:
            if isinstance(part, CitationAdded):
                self._cite_once(part.citation, parts)
        if calls:
            self._reasoning.close(parts)
            if not self._tool_calls.complete(calls, self.outcome.response_id or "", parts):
                self._note(OTHER_TEXT_NOTE)

    def _give(self, texts: Iterable[tuple[TextKind, str]], parts: list[Part]) -> None:
        say = {"reasoning": self._reasoning.say, "refusal": self._refuse, "text": self._say}
        for kind, text in texts:
            if text:
                say[kind](text, parts)

    def _rest(self, told: CountedText, whole: str) -> str:
        """Return what is to be given out of a text that is whole."""
        rest = told.rest_of(whole)
        if rest is None:
            self._note(OTHER_TEXT_NOTE)
        return rest or ""

    # --- pieces -----------------------------------------------------------------------------------

    def _is_our_choice(self, index: Any) -> bool:
        """Return whether a choice belongs to the one answer that is read: the first one seen."""
        if self._choice_index is UNSEEN:
            self._choice_index = None
        if not isinstance(index, int) or isinstance(index, bool):
            return True
        if self._choice_index is None:
            self._choice_index = index
        if index == self._choice_index:
            return True
        self._note("more than one choice came; the first was read")
        return False

    def _take_delta(self, delta: Delta, parts: list[Part]) -> None:
        if self._held and any(astuple(delta)):
            self._give(self._messages.release(), parts)
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            self._reasoning.take(delta, parts)
        if isinstance(delta.refusal, str) and delta.refusal:
            self._refuse(delta.refusal, parts)
        if delta.content:
            self._take_content(delta.content, parts)
        if delta.audio or delta.images or delta.executed_tools:
            self._take_beside(delta, parts)
        if isinstance(delta.annotations, list):
            for annotation in delta.annotations:
                self._cite_once(annotation, parts)
        for fragment in calls_in(delta):
            self._take_call(fragment, parts)

    def _say(self, text: str, parts: list[Part]) -> None:
        self._reasoning.close(parts)
        self._text.add(text)
        parts.append(TextDelta(text))

    def _refuse(self, text: str, parts: list[Part]) -> None:
        self._reasoning.close(parts)
        self._refusal.add(text)
        parts.append(RefusalDelta(text))

    def _take_call(self, fragment: ToolCallFragment, parts: list[Part]) -> None:
        if self._reasoning.is_open:
            self._reasoning.close(parts)
        if not fragment.extra_content:
            self._tool_calls.take(fragment, self.outcome.response_id or "", parts)
            return
        taken: list[Part] = []
        self._tool_calls.take(fragment, self.outcome.response_id or "", taken)
        if (kept := to_go_back(fragment, taken, self.vendor)) is not None:
            self._end_reasoning(kept, parts)
        else:
            self._note(EXTRA_NOTE)
        parts += taken

    def _take_content(self, content: Any, parts: list[Part]) -> None:
        """Read text, or Mistral's list of content parts."""
        for item in content if isinstance(content, list) else [content]:
            text = item
            if isinstance(item, dict):
                if item.get("type") == "thinking":
                    self._reasoning.take_thinking(item.get("thinking"), parts)
                    continue
                if item.get("type") == "reference":
                    self._cite_once(item, parts)
                    continue
                text = self._text_in(item, parts)
            if isinstance(text, str) and text:
                self._say(text, parts)

    def _text_in(self, item: dict[str, Any], parts: list[Part]) -> Any:
        """Return the text of a content part; a refusal is told, and another kind noted."""
        text, refused = item.get("text"), item.get("refusal")
        if isinstance(text, dict):  # as the Assistants' format has it
            text = text.get("value")
        if isinstance(refused, str) and refused:
            self._refuse(refused, parts)
        elif not isinstance(text, str) and (text is not None or item.get("type") not in EMPTY):
            self._note_kind(text_of(item.get("type")) or "unknown")
        return text

    def _take_beside(self, delta: Delta, parts: list[Part]) -> None:
        """Read what stands beside the text: what was spoken is text where no text came."""
        audio = delta.audio
        spoken = text_of(audio.get("transcript")) if isinstance(audio, dict) else None
        if spoken and (not self._text or self._source == "transcript"):
            self._source = self._source or "transcript"
            self._say(spoken, parts)
        for kind in kinds_beside(delta):
            self._note_kind(kind)
        for source in found_by(delta.executed_tools):
            self._cite_once(source, parts)

    def _may_end_by(self, choice: Choice) -> bool:
        """Say whether an empty reason ends an answer: some servers send one with every piece."""
        delta = choice.delta
        return (delta is None or not any(astuple(delta))) and self._has_told()

    def _take_finish(self, reason: Any) -> None:
        self._done = True
        finish = FINISHES.get(reason) if isinstance(reason, str) else None
        if reason == "insufficient_system_resource":
            self._note_failure(
                Failure(ErrorClass.OVERLOADED, "the server ran out of resources", code=reason)
            )
        elif finish == "error" and self.outcome.finish != "length":  # that is the error then
            self._note_failure(
                Failure(ErrorClass.SERVER_ERROR, "the answer ended in an error", code="error")
            )
        elif finish is None and reason:
            self._note(f"unknown finish reason {str(reason)[:40]!r}")
        # It may come more than once: `stop` or nothing never hides a reason that says more.
        if finish is not None and self.outcome.finish in (None, "stop"):
            self.outcome.finish = finish

    def _take_usage(self, chunk: Chunk) -> None:
        of_groq = None
        if isinstance(chunk.x_groq, dict):
            of_groq = chunk.x_groq.get("usage")
            if chunk.x_groq.get("error"):
                self._note_error(chunk.x_groq["error"])
        if chunk.service_tier is not None:
            self.outcome.terms = {"servicetier": chunk.service_tier}
        told, usage = self.outcome.usage, chunk.usage
        if told is not None and isinstance(usage, dict) and usage.keys().isdisjoint(COUNTS):
            return  # a sum alone, behind its parts
        if not self._tell_usage(usage, read_usage):
            self._tell_usage(of_groq, read_usage)

    def _note_error(self, value: Any) -> None:
        if is_output_limit(value):
            self._done = True
            if self.outcome.finish in (None, "stop"):
                self.outcome.finish = "length"
        else:
            self._note_failure(stream_failure(value, self._rules))
