"""A content block of an answer, from its start to its end.

Rules of this file: what a block holds until it ends, and no event of the wire.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from msgspec import Struct, field

from routerd.domain import Part
from routerd_proto.frames import TextDelta, ToolCallDelta

__all__ = ["Block", "base64_joined"]


class Block(Struct):
    """One content block that has begun. `tool` counts the answer's tool calls.

    `is_answer`: its arguments are the answer, or another one that is left out as `is_second`. `own`
    is the use of a tool of the vendor's, with the `pieces` of its input, or the result of one.
    `input` is what a call began with. `is_aside`: it is words beside the answer.
    """

    tool: int = -1
    is_answer: bool = False
    is_second: bool = False
    is_aside: bool = False
    own: dict[str, Any] | None = None
    pieces: list[str] = field(default_factory=list)
    input: dict[str, Any] = field(default_factory=dict)
    has_arguments: bool = False
    reasons: bool = False
    signature: str = ""
    redacted: list[str] = field(default_factory=list)

    def give(self, text: str, parts: list[Part]) -> None:
        """Give out a piece of the arguments."""
        self.has_arguments = True
        if self.is_second:
            return
        parts.append(TextDelta(text) if self.is_answer else ToolCallDelta(self.tool, text))


def base64_joined(pieces: list[str]) -> str:
    """Put base64 that came in pieces together: each may end in padding of its own."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode("ascii")
    except (ValueError, binascii.Error):
        return "".join(pieces)
