"""An answer that its vendor paused: sent back as it is, that vendor goes on with it.

Rules of this file: pure. Whose pause it was stands in what the vendor left in the answer, as the
`on` of its data; what else stands there only its adapter reads. To anybody else such an answer is
the beginning of one, as any last message of the assistant's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from routerd_proto.content import Message, Reasoning

__all__ = ["PAUSE", "paused_by"]

PAUSE: Final = "pause"


def paused_by(messages: Sequence[Message]) -> str | None:
    """Return who paused the answer that a conversation ends with, None where nobody did."""
    if not messages or messages[-1].role != "assistant":
        return None
    content = messages[-1].content
    for part in () if isinstance(content, str) else content:
        if isinstance(part, Reasoning) and part.vendor and part.data.get("on") == PAUSE:
            return part.vendor
    return None
