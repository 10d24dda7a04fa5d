"""Converse answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. The blocks of a plain answer
run through the same code as those of a stream. `messageStop` ends the answer, but the usage comes
behind it: only with both, or at the end of the body, is a stream complete. Blocks of the vendor's
own tools are not the caller's: they are given out as data that goes back. The first call of our
own answer tool is the answer's text; where one was asked for nothing else is, or it were no JSON.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import FinishReason, Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.bedrock.blocks import Block, base64_joined
from routerd.providers.bedrock.failure import body_failure, stream_failure
from routerd.providers.bedrock.frames import EXCEPTION, FrameParser
from routerd.providers.bedrock.own_blocks import with_texts_joined
from routerd.providers.bedrock.tools import ANSWER_TOOL
from routerd.providers.bedrock.trace import guardrail_notes, invoked_model
from routerd.providers.bedrock.usage import is_absurd, read_usage, tells_lifetimes
from routerd.providers.bedrock.wire import EVENTS, ConverseEvent, Delta, Reasoning
from routerd.providers.body import BodyDecoder
from routerd.providers.counts import ABSURD_NOTE, count_of
from routerd.providers.json_text import encode_json, object_in, text_of
from routerd.providers.loose import loosely
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd.telemetry.plain import shown_name
from routerd_proto.codec import repair_text
from routerd_proto.frames import (
    ReasoningDelta,
    TextDelta,
    ToolCallStarted,
)

__all__ = ["ConverseDecoder"]

VENDOR: Final = "bedrock"
FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
MALFORMED: Final = ("malformed_model_output", "malformed_tool_use")
# What goes with words beside an answer by a tool, so that they never go back as reasoning, which
# most models that answer so refuse.
ASIDE: Final[dict[str, Any]] = {"aside": True}
WORDS_NOTE: Final = "words beside the answer by a tool were given as reasoning"
NO_CALL_NOTE: Final = "the model answered in words, not by the tool that it was made to answer by"
SECOND_NOTE: Final = "a second answer by a tool was left out: the first one is the answer"
# What stands beside the content of every block.
PASSED_OVER: Final = ("cachePoint", "type")


class ConverseDecoder(BodyDecoder[ConverseEvent]):
    """Decode one answer; `by_tool` says that the model was made to answer by a tool."""

    def __init__(
        self,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        by_tool: bool = False,
    ) -> None:
        super().__init__(
            EVENTS,
            VENDOR,
            stream=stream,
            max_body_bytes=max_body_bytes,
            parser=FrameParser(max_body_bytes),
        )
        self._blocks: dict[int, Block] = {}
        self._tools = 0
        self._answered = False
        # The words beside an answer by a tool, None where words are the answer.
        self._asides: list[str] | None = [] if by_tool else None
        self._told = False

    def _take(self, name: bytes, event: ConverseEvent, parts: list[Part]) -> bool:
        if name == b"contentBlockDelta":
            return self._take_delta(event.content_block_index, event.delta, parts)
        return self._take_named(name, event, parts)

    def _take_named(self, name: bytes, event: ConverseEvent, parts: list[Part]) -> bool:
        index = event.content_block_index
        if name == b"contentBlockStart":
            self._start_block(index, event.start, parts)
        elif name == b"contentBlockStop":
            self._stop_block(index, parts)
        elif name == b"messageStop":
            self._take_stop(event.stop_reason)
            self._done = True
            self._close_told(parts)
        elif name == b"metadata":
            self._take_usage(event.usage)
            self._take_trace(event.trace)
            self._take_metrics(event.metrics)
            self._take_terms(event.service_tier, event.performance_config)
            self._told = True
            self._close_told(parts)
        else:
            if event.delta is not None or event.start is not None:
                self._note_kind(name.decode("utf-8", "replace"))
            return not name.startswith(EXCEPTION)
        return True

    def _take_odd(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        return self._take_exception(name, data) or super()._take_odd(name, data, parts)

    def _take_unknown(self, name: bytes, data: bytes) -> bool:
        return self._take_exception(name, data) or super()._take_unknown(name, data)

    def _take_exception(self, name: bytes, data: bytes) -> bool:
        is_one = name.startswith(EXCEPTION)
        if is_one:
            self._note_failure(stream_failure(name.removeprefix(EXCEPTION), data))
        return is_one

    def _look_at_unknown(self, name: bytes, value: Any) -> None:
        """Note what kind of content a delta adds that nothing is known of."""
        del name
        self._note_unread(_object(value).get("delta"))

    def _take_answer(self, answer: dict[str, Any], parts: list[Part]) -> None:
        output = answer.get("output")
        message = output.get("message") if isinstance(output, dict) else None
        blocks = message.get("content") if isinstance(message, dict) else None
        self._take_usage(answer.get("usage"))
        self._take_trace(answer.get("trace"))
        self._take_metrics(answer.get("metrics"))
        self._take_terms(answer.get("serviceTier"), answer.get("performanceConfig"))
        if not isinstance(blocks, list):
            if any(key in answer for key in ("message", "Message", "__type", "Output")):
                self._note_error(answer)
            self._fail("the answer holds no content")
            return
        for index, block in enumerate(blocks):
            self._take_block(index, block, parts)
            self._stop_block(index, parts)
        self._take_stop(answer.get("stopReason"))
        self._done = True

    def _end_content(self, parts: list[Part]) -> bool:
        for index in list(self._blocks):
            self._stop_block(index, parts)
        if self._asides:
            self._end_asides(parts)
        if self.outcome.finish == "tool_calls" and self._answered:
            self.outcome.finish = None
        return self._tools > 0

    def _close_told(self, parts: list[Part]) -> None:
        if self._done and self._told:
            self._close(parts)

    def _take_usage(self, value: Any) -> None:
        if is_absurd(value):
            self._note(ABSURD_NOTE)
        usage = read_usage(value)
        if usage is None or self._keep_usage(usage):
            self.outcome.tells_lifetimes = tells_lifetimes(value)

    def _take_trace(self, trace: Any) -> None:
        self.outcome.model = invoked_model(trace) or self.outcome.model
        for note in guardrail_notes(trace):
            self._note(note)

    def _take_metrics(self, metrics: Any) -> None:
        if isinstance(metrics, dict):
            self.outcome.took_ms = count_of(metrics.get("latencyMs"))

    def _take_terms(self, tier: Any, performance: Any) -> None:
        told = {
            "servicetier": _object(tier).get("type"),
            "performanceconfig": _object(performance).get("latency"),
        }
        self.outcome.terms = {name: term for name, term in told.items() if term is not None}

    def _take_block(self, index: int, block: Any, parts: list[Part]) -> None:
        """Read a block of a plain answer."""
        if not isinstance(block, dict):
            self.outcome.malformed_events += 1
        elif isinstance(tool := block.get("toolUse"), dict):
            self._start_block(index, block, parts)
            given = tool.get("input")
            text = given if isinstance(given, str) else encode_json(_object(given)).decode()
            self._take_input(index, text, parts)
        elif isinstance(result := block.get("toolResult"), dict):
            self._keep_block("toolResult", {"toolResult": result}, parts)
        elif isinstance(cited := block.get("citationsContent"), dict):
            for piece in _list(cited.get("content")):
                self._take_delta(index, loosely(Delta, piece), parts)
            for citation in _list(cited.get("citations")):
                self._cite(citation, parts)
        elif isinstance(reasoning := block.get("reasoningContent"), dict):
            piece = loosely(Reasoning, {**reasoning, **_object(reasoning.get("reasoningText"))})
            self._take_reasoning(index, piece or Reasoning(), parts)
        elif not self._take_delta(index, loosely(Delta, block), parts):
            self._note_unread(block)

    def _take_delta(self, index: Any, delta: Delta | None, parts: list[Part]) -> bool:
        """Read what is added to a block; returns False where nothing that is known was added."""
        if delta is None or not isinstance(index, int):
            self.outcome.malformed_events += 1
        elif isinstance(text := delta.text, str):
            if text:
                if self._asides is None:
                    parts.append(TextDelta(text))
                else:
                    self._take_aside(index, text, self._asides, parts)
        elif delta.tool_use is not None:
            self._take_input(index, delta.tool_use.input, parts)
        elif delta.tool_result is not None:
            self._take_result(index, delta.tool_result)
        elif delta.reasoning_content is not None:
            self._take_reasoning(index, delta.reasoning_content, parts)
        elif delta.citation is not None:
            self._cite(delta.citation, parts)
        else:
            return False
        return True

    def _take_aside(self, index: int, text: str, asides: list[str], parts: list[Part]) -> None:
        """Give words beside an answer by a tool out as reasoning.

        Such models say what they are about to do before they call. To hold it back until the call
        would look like silence, and to leave it out would lose it where no call comes.
        """
        asides.append(text)
        self._blocks.setdefault(index, Block()).is_aside = True
        parts.append(ReasoningDelta(text))

    def _end_asides(self, parts: list[Part]) -> None:
        """Make the words text after all, where no answer came by the tool."""
        said = "".join(self._asides or ())
        self._asides = []
        if not said.strip():
            return
        if self._answered:
            self._note(WORDS_NOTE)
            return
        if not self._tools and self.outcome.finish != "content_filter":
            self._note(NO_CALL_NOTE)
        parts.append(TextDelta(said))

    def _note_unread(self, content: Any) -> None:
        kinds = [kind for kind in _object(content) if kind not in PASSED_OVER]
        if kinds:
            self._note_kind(kinds[0])

    def _take_input(self, index: int, given: Any, parts: list[Part]) -> None:
        """Read a piece of a call's arguments; as an object they are whole."""
        text = encode_json(given).decode() if given and isinstance(given, dict) else given
        block = self._blocks.get(index)
        if block is not None and block.own is not None:
            if isinstance(text, str) and "toolUse" in block.own:
                block.pieces.append(text)
        elif block is None or not (block.tool >= 0 or block.is_answer):
            self.outcome.malformed_events += 1
        elif isinstance(text, str) and text:
            block.give(text, parts)

    def _take_result(self, index: int, pieces: Any) -> None:
        """Add to what a tool of the vendor's answered."""
        block = self._blocks.get(index)
        result = None if block is None or block.own is None else block.own.get("toolResult")
        if result is None or not isinstance(pieces, list):
            self.outcome.malformed_events += 1
        else:
            result["content"] += pieces

    def _take_reasoning(self, index: int, piece: Reasoning, parts: list[Part]) -> None:
        block = self._blocks.setdefault(index, Block())
        block.reasons = True
        if isinstance(text := piece.text, str) and text:
            parts.append(ReasoningDelta(text))
        if isinstance(signature := piece.signature, str):
            block.signature += signature
        if (redacted := text_of(piece.redacted_content)) is not None:
            block.redacted.append(redacted)

    def _start_block(self, index: Any, start: Any, parts: list[Part]) -> None:
        if not isinstance(start, dict) or not isinstance(index, int):
            self.outcome.malformed_events += 1
            return
        self._stop_block(index, parts)  # of another one there, whose end was lost
        block = self._blocks[index] = Block()
        tool, result = start.get("toolUse"), start.get("toolResult")
        block.input = _object(_object(tool).get("input"))
        if isinstance(result, dict):
            block.own = {"toolResult": {**result, "content": []}}
            return
        if not isinstance(tool, dict):
            if tool is None and start:
                self._note_unread(start)
            else:
                self.outcome.malformed_events += 1
            return
        if tool.get("type") == "server_tool_use":
            block.own = {"toolUse": {**tool, "input": block.input}}
            return
        if tool.get("name") == ANSWER_TOOL:
            block.is_second = self._answered
            if self._answered:
                self._note(SECOND_NOTE)
            block.is_answer = self._answered = True
            return
        block.tool = self._tools
        self._tools += 1
        call_id = self._own_id(text_of(tool.get("toolUseId")), f"tooluse_{block.tool}")
        parts.append(ToolCallStarted(block.tool, call_id, text_of(tool.get("name")) or ""))

    def _stop_block(self, index: Any, parts: list[Part]) -> None:
        block = self._blocks.pop(index, None) if isinstance(index, int) else None
        if block is None:
            return
        if block.reasons:
            data: dict[str, Any] = {}
            if block.redacted:
                data["redacted"] = base64_joined(block.redacted)
            if block.signature:
                data["signature"] = repair_text(block.signature)
            self._end_reasoning(data, parts)
        elif block.is_aside:
            self._end_reasoning(dict(ASIDE), parts)
        elif not block.has_arguments and (block.tool >= 0 or block.is_answer):
            # A call without any sends no piece, and some servers begin one with all of them.
            block.give(encode_json(block.input).decode(), parts)
        elif block.own is not None:
            self._end_own(block.own, "".join(block.pieces), parts)

    def _end_own(self, own: dict[str, Any], given: str, parts: list[Part]) -> None:
        """Give out what a tool of the vendor's was called with, or answered."""
        [kind] = own
        if given:
            if (value := object_in(given)) is None:
                self.outcome.malformed_events += 1
                self._note_kind(kind)
                return
            own = {kind: {**own[kind], "input": value}}
        elif kind == "toolResult":
            own = {kind: {**own[kind], "content": with_texts_joined(own[kind]["content"])}}
        self._keep_block(kind, own, parts)

    def _take_stop(self, reason: Any) -> None:
        if not isinstance(reason, str) or not reason or self.outcome.failure is not None:
            return
        if reason in MALFORMED:
            told = f"the provider says that the model's output is broken: {reason}"
            self._note_failure(Failure(ErrorClass.BAD_ANSWER, told, code=reason))
            return
        finish = FINISHES.get(reason)
        if finish is None:
            self._note(f"unknown stop reason: {shown_name(reason)}")
        elif reason == "guardrail_intervened":
            self._note("a guardrail of the provider's stepped in")
        self.outcome.finish = finish

    def _note_error(self, value: Any) -> None:
        self._note_failure(body_failure(_object(value)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
