"""The order of messages that some servers insist on.

Rules of this file: nothing that anybody said is left out or moved. Mistral's order is system, then
user, assistant and tool in turn: a system message after the start is said by the user, and between
the result of a tool and the user's next word the assistant has to say something. Sources: the facts
of the wire, and the server's own words (`invalid_request_message_order`).
"""

from __future__ import annotations

from typing import Any

from routerd.providers.request import Notes

__all__ = ["in_strict_order"]

Json = dict[str, Any]

BRIDGE = "."


def in_strict_order(messages: list[Json], notes: Notes) -> list[Json]:
    """Return the messages in the order the server asks for; the last of the assistant's goes on."""
    ordered: list[Json] = []
    for message in messages:
        before = ordered[-1]["role"] if ordered else "system"
        if message["role"] == "system" and before != "system":
            notes.add("a system message after the start was sent as user text")
            message["role"] = "user"
        if message["role"] == "user" and before == "tool":
            notes.add("an assistant turn was put between a tool's result and the user's words")
            ordered.append({"role": "assistant", "content": BRIDGE})
        ordered.append(message)
    if ordered and ordered[-1]["role"] == "assistant":
        ordered[-1]["prefix"] = True
    return ordered
