"""Every fault, in every phase, for every way to ask, at either vendor, passing and lasting.

Each cell looks at three books: what the caller saw, what the provider saw, what was recorded.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.asking import Side
from tests.e2e.matrix.faults import (
    FAULTS,
    Asked,
    Expected,
    Fault,
    Lasting,
    cells,
    expected,
    is_whole,
    script_of,
    way_of,
)
from tests.e2e.scene import Ended, Scene, text_of

# Whose fault an error is, and whether the same call may be sent again.
BLAME: Final = {
    "bad_request": ("caller", False),
    "content_policy": ("caller", False),
    "context_length": ("caller", False),
    "auth": ("router", False),
    "not_found": ("router", False),
    "quota": ("provider", False),
    "rate_limit": ("provider", True),
    "overloaded": ("provider", True),
    "server_error": ("provider", True),
    "timeout": ("provider", True),
    "connection": ("provider", True),
    "bad_answer": ("provider", True),
    "interrupted": ("provider", True),
}
CELLS: Final = list(cells())


def name(cell: tuple[Fault, Side, Asked, Lasting]) -> str:
    fault, side, asked, lasting = cell
    return f"{fault.phase}, {fault.script} {lasting}, {side.vendor} first, {asked}"


@pytest.mark.parametrize("cell", CELLS, ids=name)
async def test_a_cell(scene: Scene, cell: tuple[Fault, Side, Asked, Lasting]) -> None:
    fault, side, asked, lasting = cell
    ended = await scene.ask(
        way_of(asked), side, script_of(fault, side, lasting), {"restart": asked == "restart"}
    )
    must = expected(fault, side, asked, lasting)
    check_books(ended, must)
    check_phases(ended, fault, asked)
    if must.code is None:
        assert must.answered_by is not None
        ended.check_answered(must.answered_by, side)
    else:
        blame, retryable = BLAME[must.code]
        ended.check_failed(must.code, blame, retryable=retryable)
    check_restarts(ended, must, side)


def check_books(ended: Ended, must: Expected) -> None:
    answered = [(must.answered_by, None)] if must.answered_by is not None else []
    ended.check_tried([*must.failed, *answered])
    ended.check_spacing()


def check_phases(ended: Ended, fault: Fault, asked: Asked) -> None:
    """Check how far each attempt came, by what is recorded of it."""
    for attempt, seen in zip(ended.attempts, ended.seen, strict=True):
        if attempt.error_class is None:
            assert (attempt.error_phase, attempt.status) == (None, 200)
            assert attempt.first_content_us is not None
            continue
        assert seen.fault == fault.script.partition(":")[0]
        assert attempt.status == seen.status
        if fault.retry_after is not None:
            assert attempt.retry_after == fault.retry_after
        assert attempt.error_phase in phases_of(fault, asked)
        has_content = fault.phase in {"content", "end"} and not is_whole(asked)
        assert (attempt.first_content_us is not None) == has_content


def phases_of(fault: Fault, asked: Asked) -> set[str]:
    """Return the phases that may be recorded of a fault; a whole answer has one from its start."""
    if fault.phase in {"headers", "first_content"} and not is_whole(asked):
        return {fault.phase}
    return {"headers"} if fault.phase == "headers" else {"content"}


def check_restarts(ended: Ended, must: Expected, side: Side) -> None:
    """Check that what a caller has is whole, or a part that is told to be one."""
    heard = ended.heard
    assert len(heard.restarts) == len(heard.voided) == must.restarts
    for voided in heard.voided:
        assert voided
        assert text_of(side.first).startswith(voided)
    if must.code == "interrupted":
        last = side.backup if must.restarts else side.first
        reply = heard.failure.reply
        assert reply is not None
        assert (reply.text, reply.finish) == (heard.text, "error")
        assert heard.text
        assert text_of(last).startswith(heard.text)
    elif must.code is not None:
        assert not heard.text


def test_every_way_to_ask_meets_every_fault() -> None:
    assert {(cell[0], cell[2]) for cell in CELLS} == {
        (fault, asked)
        for fault in FAULTS
        for asked in ("stream", "restart", "acomplete", "complete")
    }
