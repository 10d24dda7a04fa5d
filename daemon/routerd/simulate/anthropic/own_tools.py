"""Tools that Anthropic runs itself, as far as they are simulated: one search, in two answers.

A call that offers a search, and whose prompt names it, gets an answer that pauses with the search
begun. Sent back as it is, the answer goes on: with what was found, sealed, and then the text. What
was sealed has to come back as it was.
"""

from __future__ import annotations

from typing import Any

from routerd.simulate.answer import mentions
from routerd.simulate.anthropic.body import Block, OfferedTool
from routerd.simulate.anthropic.errors import invalid
from routerd.simulate.anthropic.signature import sign, signed

__all__ = [
    "SEARCH_INPUT",
    "check_own_blocks",
    "found_block",
    "is_own",
    "open_use",
    "search_block",
    "searches",
]

SEARCH = "web_search"
USE = "server_tool_use"
FOUND = "web_search_tool_result"
SEALED = "What was found: calm."
SEARCH_INPUT = '{"query":"tides"}'
ADDRESS = "https://example.org/tides"


def is_own(tool: OfferedTool) -> bool:
    """Tell whether the vendor runs a tool itself."""
    return (tool.type or "").startswith(f"{SEARCH}_")


def searches(tools: list[OfferedTool], said: str) -> bool:
    """Tell whether the answer begins a search."""
    return any(is_own(tool) and mentions(said, tool.name) for tool in tools)


def open_use(blocks: list[Block]) -> str | None:
    """Return the id of the search that the last of these blocks begins, None where none does."""
    last = blocks[-1]
    return last.id if last.type == USE else None


def check_own_blocks(blocks: list[Block], place: str, *, is_last: bool) -> None:
    """Check the blocks of a turn: each use with its result, sealed as it was given out."""
    used = [block.id for block in blocks if block.type == USE]
    found = [block for block in blocks if block.type == FOUND]
    for block in found:
        if block.tool_use_id not in used:
            raise invalid(f"{place}: `{FOUND}` without a `{USE}` of {block.tool_use_id}")
        results = block.content if isinstance(block.content, list) else []
        if not all(signed(SEALED, result.encrypted_content or "") for result in results):
            raise invalid(f"{place}: Invalid `encrypted_content` in `{FOUND}` block")
    answered = [block.tool_use_id for block in found]
    open_ones = [name for name in used if name not in answered]
    if open_ones and not (is_last and open_ones == [open_use(blocks)]):
        raise invalid(f"{place}: `{USE}` ids were found without `{FOUND}` blocks: {open_ones[0]}")


def search_block(name: str) -> dict[str, Any]:
    """Write the use of the search in the answer `name`, its input empty as a stream begins it."""
    return {"type": USE, "id": f"srvtoolu_01{name[:20]}", "name": SEARCH, "input": {}}


def found_block(use: str) -> dict[str, Any]:
    """Write what the search found."""
    result = {
        "type": "web_search_result",
        "url": ADDRESS,
        "title": "Tides",
        "encrypted_content": sign(SEALED),
        "page_age": None,
    }
    return {"type": FOUND, "tool_use_id": use, "content": [result]}
