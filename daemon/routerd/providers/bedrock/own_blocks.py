"""Blocks of tools that Bedrock or its models run themselves: a use of one, and its result.

Rules of this file: pure. They go back as they came to a request that names tools; without any the
API refuses calls in the history, and so these too. Source: the service model of 2023-09-30, where
`toolUse` of the type `server_tool_use`, and `toolResult` in the assistant's turn, are content.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from routerd.providers.own_blocks import own_block, without_blocks, without_halves
from routerd.providers.request import Notes
from routerd_proto.content import Message, Reasoning

__all__ = ["in_pairs", "kept_block", "with_texts_joined", "without_own_blocks"]

Json = dict[str, Any]

VENDOR: Final = "bedrock"
KINDS: Final = ("toolUse", "toolResult")
NO_TOOLS_NOTE: Final = (
    "what the provider's own tools did was left out: this request names no tool to call"
)


def kept_block(part: Reasoning) -> Json | None:
    """Return the block that goes back in the place of a part, if it is one."""
    block = own_block(part, VENDOR)
    return block if block is not None and len(block) == 1 and _inside(block, KINDS) else None


def in_pairs(messages: list[Message], notes: Notes) -> list[Message]:
    """Return the messages without halves of what the provider's own tools did."""
    return without_halves(messages, VENDOR, _used, _answered, notes)


def without_own_blocks(messages: list[Message], notes: Notes) -> list[Message]:
    """Return the messages without such blocks, for a request without tools."""
    return without_blocks(messages, VENDOR, notes, NO_TOOLS_NOTE)


def with_texts_joined(pieces: list[Any]) -> list[Any]:
    """Return the content of a result that came in pieces: texts behind each other are one."""
    joined: list[Any] = []
    for is_text, run in groupby(pieces, _is_text):
        alike = list(run)
        joined += [{"text": "".join(piece["text"] for piece in alike)}] if is_text else alike
    return joined


def _is_text(piece: Any) -> bool:
    return isinstance(piece, dict) and isinstance(piece.get("text"), str)


def _used(block: Json) -> Any:
    return _inside(block, ("toolUse",)).get("toolUseId")


def _answered(block: Json) -> Any:
    return _inside(block, ("toolResult",)).get("toolUseId")


def _inside(block: Json, kinds: tuple[str, ...]) -> Json:
    inner = next((block[kind] for kind in kinds if kind in block), None)
    return inner if isinstance(inner, dict) else {}
