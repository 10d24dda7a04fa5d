"""A request as its model wants to be asked, before any wire format is thought of.

Rules of this file: pure. What the caller said is never changed: a user's, assistant's or tool's
turn keeps every word and its place, only system text may be added, or move into the user turn it
stands beside. Notes say what was done, never a word of a text. What a wire format or a server
refuses whatever the model is the adapter's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import fields, replace

from routerd.models.prompt import UNSUPPORTED, PromptAdjustments
from routerd.providers.base import ChatRequest
from routerd.providers.request import Notes, parts_of
from routerd_proto.content import Content, Message, Text
from routerd_proto.frames import CallOptions

__all__ = ["adjust_prompt"]

NOTHING: Final = PromptAdjustments()
# What an option is where nobody has set it.
UNSET: Final[dict[str, Any]] = {
    field.name: getattr(CallOptions(), field.name) for field in fields(CallOptions)
}


def adjust_prompt(
    request: ChatRequest, adjustments: PromptAdjustments | None
) -> tuple[ChatRequest, list[str]]:
    """Return the request as the model wants it, the same object if it does, and what was done."""
    if adjustments is None or adjustments == NOTHING:
        return request, []
    notes = Notes()
    messages = _with_system_text(request.messages, adjustments, notes)
    if adjustments.system_role == "user":
        messages = _without_system_role(messages, notes)
    options = _without_dropped(request.options, adjustments, notes)
    role = "developer" if adjustments.system_role == "developer" else request.system_role
    stop = adjustments.stop_parameter
    adjusted = replace(
        request,
        messages=messages,
        options=options,
        system_role=role,
        stop_parameter=request.stop_parameter if stop in (None, UNSUPPORTED) else stop,
    )
    return adjusted, list(notes)


def _with_system_text(
    messages: list[Message], adjustments: PromptAdjustments, notes: Notes
) -> list[Message]:
    """Put the directory's text around the caller's, in one message: some take no second one."""
    before, after = adjustments.system_before, adjustments.system_after
    if before is None and after is None:
        return messages
    count = next(
        (index for index, message in enumerate(messages) if message.role != "system"),
        len(messages),
    )
    leading, rest = messages[:count] or [Message("system", [])], messages[count:]
    if before is not None:
        notes.add("system text of the directory was added before")
        leading[0] = replace(leading[0], content=[Text(before), *parts_of(leading[0])])
    if after is not None:
        notes.add("system text of the directory was added after")
        leading[-1] = replace(leading[-1], content=[*parts_of(leading[-1]), Text(after)])
    return leading + rest


def _without_system_role(messages: list[Message], notes: Notes) -> list[Message]:
    """Put every system text into the user turn after it, else before it, else make it a turn.

    The order stays, and where a user turn is beside it no turn is added: templates without a
    system role mostly want user and assistant to take turns.
    """
    turns: list[Message] = []
    waiting: list[Content] = []
    for message in messages:
        if message.role == "system":
            notes.add("system text was sent in a user turn: this model has no role for it")
            waiting += [part for part in parts_of(message) if not _is_empty(part)]
        elif waiting and message.role == "user":
            turns.append(_joined(waiting, message, after=message.content))
            waiting = []
        else:
            _settle(waiting, turns)
            waiting = []
            turns.append(message)
    _settle(waiting, turns)
    return turns


def _settle(waiting: list[Content], turns: list[Message]) -> None:
    """Find a place for system text that no user turn comes after."""
    if not waiting:
        return
    if turns and turns[-1].role == "user":
        turns[-1] = _joined(waiting, turns[-1], before=turns[-1].content)
    else:
        turns.append(_joined(waiting, Message("user", "")))


def _joined(
    parts: list[Content],
    turn: Message,
    *,
    before: str | Sequence[Content] = "",
    after: str | Sequence[Content] = "",
) -> Message:
    """Return a turn with parts between its texts, as one string where nothing but text is there."""
    whole = [*_parts(before), *parts, *_parts(after)]
    texts = [part.text for part in whole if isinstance(part, Text) and part.cache is None]
    if len(texts) == len(whole):
        return replace(turn, content="\n\n".join(texts))
    return replace(turn, content=whole)


def _parts(content: str | Sequence[Content]) -> Sequence[Content]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    return content


def _is_empty(part: Content) -> bool:
    return isinstance(part, Text) and not part.text


def _without_dropped(
    options: CallOptions, adjustments: PromptAdjustments, notes: Notes
) -> CallOptions:
    refused = dict.fromkeys(adjustments.drop)
    if adjustments.stop_parameter == UNSUPPORTED:
        refused["stop"] = None
    unset = {name: UNSET[name] for name in refused if getattr(options, name) != UNSET[name]}
    for name in unset:
        notes.add(f"{name} was left out: the directory says that this model does not take it")
    return replace(options, **unset) if unset else options
