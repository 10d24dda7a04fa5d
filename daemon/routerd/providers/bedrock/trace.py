"""What the trace of an answer tells: which model a router chose, and what a guardrail did.

Rules of this file: a trace quotes prompts and answers, so that nothing of it is passed on but the
names of policies and actions. It is there only where it was asked for, or set up with the provider.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from routerd.providers.json_text import text_of

__all__ = ["guardrail_notes", "invoked_model"]

POLICIES: Final = (
    "topicPolicy",
    "contentPolicy",
    "wordPolicy",
    "sensitiveInformationPolicy",
    "contextualGroundingPolicy",
)
# What an entry says that was looked for and not found, or only to be reported.
IDLE: Final = "NONE"


def invoked_model(trace: Any) -> str | None:
    """Return the id of the model that a prompt router chose, None where none did."""
    name = text_of(_member(_member(trace, "promptRouter"), "invokedModelId"))
    return None if name is None else name.rpartition("/")[2] or None


def guardrail_notes(trace: Any) -> list[str]:
    """Return a note for each policy of a guardrail that acted; the words it acted on stay out."""
    guardrail = _member(trace, "guardrail")
    assessments = [
        *_assessments(_member(guardrail, "inputAssessment")),
        *_assessments(_member(guardrail, "outputAssessments")),
    ]
    notes: dict[str, None] = {}
    for assessment in assessments:
        for policy in POLICIES:
            for action in _actions(_member(assessment, policy)):
                notes[f"a guardrail's {policy} acted: {action}"] = None
    return list(notes)


def _actions(policy: Any) -> Iterator[str]:
    """Go through what was done by the entries of a policy's lists."""
    for entries in policy.values() if isinstance(policy, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            action = text_of(_member(entry, "action"))
            if action is not None and action.isascii() and action.isalpha() and action != IDLE:
                yield action[:20].lower()


def _assessments(value: Any) -> Iterator[Any]:
    """Go through what hangs below the ids of guardrails: an assessment, or a list of them."""
    for item in value.values() if isinstance(value, dict) else ():
        if isinstance(item, list):
            yield from item
        else:
            yield item


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
