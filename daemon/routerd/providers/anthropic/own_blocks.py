"""Blocks of Anthropic's own tools, of which an answer holds a use and its result.

Rules of this file: pure. What the request types take back is kept; what they take in a beta alone
(MCP servers, a summary of the conversation, an advisor) is left out where it comes, with a note:
without that beta's header it would be refused, and what it stands for is in the conversation. A
use beside calls of the caller's may have its result in the answer after them; only a search for
tools has to be done again, since Claude on Bedrock, which knows no other use, refuses it so.
Source: the types of anthropic-python 2.11, `ContentBlockParam`.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.own_blocks import own_block, without_halves
from routerd.providers.request import Notes
from routerd_proto.content import Message, Reasoning

__all__ = ["GO_BACK", "in_pairs", "kept_block"]

Json = dict[str, Any]

VENDOR: Final = "anthropic"
USE: Final = "server_tool_use"
TOOL_SEARCH: Final = "tool_search_tool"
GO_BACK: Final = frozenset(
    {
        USE,
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
    }
)


def kept_block(part: Reasoning) -> Json | None:
    """Return the block that goes back in the place of a part, if it is one: never with a mark."""
    block = own_block(part, VENDOR)
    if block is None or not (isinstance(kind := block.get("type"), str) and kind in GO_BACK):
        return None
    return {name: value for name, value in block.items() if name != "cache_control"}


def in_pairs(messages: list[Message], notes: Notes) -> list[Message]:
    """Return the messages without halves of what the vendor's own tools did."""
    return without_halves(messages, VENDOR, _used, _answered, notes, _may_wait)


def _used(block: Json) -> Any:
    return block.get("id") if block.get("type") == USE else None


def _may_wait(block: Json) -> bool:
    return not str(block.get("name")).startswith(TOOL_SEARCH)


def _answered(block: Json) -> Any:
    return None if block.get("type") == USE else block.get("tool_use_id")
