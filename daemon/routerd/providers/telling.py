"""What an answer holds beside its text, told the same way whatever the vendor.

Rules of this file: no vendor and no wire shape. What is told goes into the outcome, or to the list
of parts that is given. The first failure of an answer stays its failure. A vendor's own data is
passed on whole, or left out with a note where it does not fit a frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec

from routerd.domain import Part, Usage
from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Outcome, add_note
from routerd.providers.bounds import TOO_LARGE_NOTE, can_be_carried
from routerd.providers.counts import ABSURD_NOTE, is_absurd
from routerd.providers.failure import error_of
from routerd.providers.json_text import encode_json, repaired
from routerd.providers.logprobs import TOO_LONG_NOTE, logprob_parts
from routerd.providers.own_blocks import BLOCK, kept_note
from routerd.telemetry.plain import shown_name
from routerd_proto.frames import CitationAdded, ReasoningEnded, TokenLogprob

__all__ = ["AnswerTeller"]


class AnswerTeller(ABC):
    """Tell of one answer, in `outcome`; `vendor` goes with what only this vendor can read back."""

    def __init__(self, vendor: str, outcome: Outcome | None = None) -> None:
        self.outcome = Outcome() if outcome is None else outcome
        self.vendor = vendor
        self._call_ids: set[str] = set()
        self._cited: set[bytes] = set()

    @abstractmethod
    def _note_error(self, value: Any) -> None:
        """Note an error that came inside the answer: the object it is, or its words."""

    def _note(self, note: str) -> None:
        add_note(self.outcome.notes, note)

    def _note_kind(self, kind: str) -> None:
        """Note that something was not read; its name is shown if it looks like one."""
        self._note(f"content of kind {shown_name(kind)} was left out")

    def _fail(self, message: str) -> None:
        self._note_failure(Failure(ErrorClass.BAD_ANSWER, message))

    def _fail_without(self, content: str, answer: Any) -> None:
        """Fail for an answer without content: by the error that it holds instead, if any."""
        self._find_error(answer)
        self._fail(f"the answer holds no {content}")

    def _note_failure(self, failure: Failure) -> None:
        if self.outcome.failure is None:
            self.outcome.failure = failure
        self.outcome.finish = "error"
        self.outcome.complete = False

    def _find_error(self, value: Any) -> bool:
        """Note the error that decoded JSON of any vendor's shape holds; return whether it does."""
        error = error_of(value)
        if error is not None:
            self._note_error(error.fields or error.message)
        return error is not None

    def _tell_usage(self, value: Any, read: Callable[[Any], Usage | None]) -> bool:
        """Tell what was used; a later count takes an earlier one's place. Return whether it did."""
        usage = read(value)
        if usage is not None:
            return self._keep_usage(usage)
        if is_absurd(value):
            self._note(ABSURD_NOTE)
        return False

    def _keep_usage(self, usage: Usage) -> bool:
        """Keep the latest usage; one of zeros never takes the place of one that counted.

        Some gateways end a stream with an empty one. Return whether it was kept.
        """
        told = self.outcome.usage
        if told is None or any(msgspec.structs.astuple(usage)):
            self.outcome.usage = usage
            return True
        if any(msgspec.structs.astuple(told)):
            return False
        self.outcome.usage = usage
        return True

    def _cite(self, citation: Any, parts: list[Part]) -> None:
        """Pass on a citation; what is no object is none."""
        if not isinstance(citation, dict):
            return
        if can_be_carried(citation):
            parts.append(CitationAdded(self.vendor, citation))
        else:
            self._note("a citation was left out: it is too large or nested too deeply")

    def _cite_once(self, citation: Any, parts: list[Part]) -> None:
        """Pass on a citation that may come by itself and with its text again."""
        if isinstance(citation, dict) and (written := encode_json(citation)) not in self._cited:
            self._cited.add(written)
            self._cite(citation, parts)

    def _end_reasoning(self, data: dict[str, Any], parts: list[Part]) -> None:
        """End a block of reasoning; `data` is what must go back with it."""
        if not can_be_carried(data):
            self._note(TOO_LARGE_NOTE)
            data = {}
        parts.append(ReasoningEnded(self.vendor, data))

    def _keep_block(self, kind: str, block: dict[str, Any], parts: list[Part]) -> None:
        """Give out what the vendor's own tools did, which is not shown but goes back."""
        if can_be_carried(block):
            self._note(kept_note(shown_name(kind)))
            block = repaired(block)
        self._end_reasoning({BLOCK: block}, parts)

    def _tell_logprobs(self, tokens: list[TokenLogprob], parts: list[Part]) -> None:
        """Pass on how likely tokens were."""
        told, left_out = logprob_parts(tokens)
        parts += told
        if left_out:
            self._note(TOO_LONG_NOTE)

    def _own_id(self, call_id: str | None, made: str) -> str:
        """Return a tool call's id, or the one made for it where another call has that already."""
        if call_id is None or call_id in self._call_ids:
            call_id = made
        self._call_ids.add(call_id)
        return call_id

    def _made_id(self, number: int) -> str:
        """Return an id for a tool call that came without one, of characters any vendor takes."""
        answer = self.outcome.response_id or "answer"
        return "".join(c if c.isascii() and c.isalnum() else "_" for c in f"{answer[:40]}_{number}")
