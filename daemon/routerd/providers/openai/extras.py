"""What a server has beside a tool call that only it can read: Gemini's signature, in this format.

Rules of this file: pure. It is kept for a dialect that takes it back, as reasoning without a text
that comes before its call and names it; it goes back with that call, and to nobody else.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Part
from routerd.providers.openai.dialects import DIALECTS
from routerd.providers.tool_calls import ToolCallFragment
from routerd_proto.content import Content, Reasoning, ToolCall
from routerd_proto.frames import ToolCallStarted

__all__ = ["EXTRA_NOTE", "put_back", "to_go_back"]

Json = dict[str, Any]

# Without it Gemini's newer models refuse the next turn.
EXTRA_NOTE: Final = "what came beside a tool call is not kept; the dialect google keeps it"
EXTRA: Final = "extra_content"


def to_go_back(fragment: ToolCallFragment, taken: list[Part], vendor: str) -> Json | None:
    """Return what to keep for the call that began in `taken`; None where it is not kept."""
    call = next((part.id for part in taken if isinstance(part, ToolCallStarted)), None)
    dialect = DIALECTS.get(vendor)
    if call is None or dialect is None or not dialect.extra_back:
        return None
    return {"call": call, EXTRA: fragment.extra_content}


def put_back(parts: list[Content], calls: list[Json], vendor: str) -> list[Content]:
    """Put what was kept beside this vendor's calls there again; return the other parts.

    `calls` are those of `parts` as they are sent, in their order.
    """
    ids = (part.id for part in parts if isinstance(part, ToolCall))
    sent = dict(zip(ids, calls, strict=True))
    others: list[Content] = []
    for part in parts:
        if not (isinstance(part, Reasoning) and part.vendor == vendor and EXTRA in part.data):
            others.append(part)
        elif (call := sent.get(str(part.data.get("call")))) is not None:
            call[EXTRA] = part.data[EXTRA]
    return others
