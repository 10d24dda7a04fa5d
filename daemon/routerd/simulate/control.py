"""The simulator's own door, `/_simulator/`: read its books, change its script while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from routerd.simulate.account import Account
from routerd.simulate.exchange import HttpAnswer
from routerd.simulate.script import Fault, FaultScript, Pacing, parse_fault
from routerd.simulate.vendor import JSON_HEADERS

__all__ = ["CONTROL_PREFIX", "Controlled", "control"]

CONTROL_PREFIX = "/_simulator/"


class Controlled(Protocol):
    """What can be read and changed."""

    account: Account
    script: FaultScript
    pacing: Pacing


def control(simulator: Controlled, method: str, path: str, body: bytes) -> HttpAnswer:
    """Do what a request to the simulator itself asks.

    `GET account`; `GET`, `POST`, `DELETE faults` (a JSON list replaces all: objects, or texts as on
    a command line); `GET`, `POST pacing`. Each answers with what is set now.
    """
    doors: dict[tuple[str, str], Callable[[], Any]] = {
        ("GET", "account"): simulator.account.snapshot,
        ("GET", "faults"): lambda: simulator.script.faults,
        ("POST", "faults"): lambda: replace_faults(simulator.script, body),
        ("DELETE", "faults"): lambda: replace_faults(simulator.script, b"[]"),
        ("GET", "pacing"): lambda: simulator.pacing,
        ("POST", "pacing"): lambda: replace_pacing(simulator, body),
    }
    door = doors.get((method, path.removeprefix(CONTROL_PREFIX)))
    if door is None:
        known = ", ".join(f"{verb} {CONTROL_PREFIX}{name}" for verb, name in doors)
        return answered(404, {"error": f"there is no {method} {path}: {known}"})
    try:
        return answered(200, door())
    except ValueError as error:
        return answered(400, {"error": str(error)})


def answered(status: int, data: Any) -> HttpAnswer:
    """Answer with JSON."""
    return HttpAnswer(status, dict(JSON_HEADERS), msgspec.json.encode(data))


def replace_faults(script: FaultScript, body: bytes) -> tuple[Fault, ...]:
    """Put these faults in place of all others."""
    given = msgspec.json.decode(body, type=list[Fault | str])
    script.replace(parse_fault(one) if isinstance(one, str) else one for one in given)
    return script.faults


def replace_pacing(simulator: Controlled, body: bytes) -> Pacing:
    """Put this pacing in place of the other."""
    simulator.pacing = msgspec.json.decode(body, type=Pacing)
    return simulator.pacing
