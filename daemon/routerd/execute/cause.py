"""What a caller is told where no route answers: the first cause, and what was tried beside it.

Rules of this file: the first failure stays the cause, whatever follows it, also where time ran out
or no wire could carry the call. What was tried is told with it, by names and classes alone.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import structs

from routerd.domain import Attempt, Call, Dropped
from routerd.errors import Failure
from routerd.execute.purse import NoRoom
from routerd.models.rooms import facts_of
from routerd_proto.errors import ErrorInfo, error_info

__all__ = ["Cause"]

# What a call is told that nothing was sent for; anything else is a limit of a key.
CODES_OF: Final = {
    "budget": "budget_exceeded",
    "busy": "router_overloaded",
    "max_cost": "no_candidates",
    "unhealthy": "no_candidates",
    "unknown_price": "no_candidates",
}


class Cause:
    """Why a call has no answer: `error` is None while nothing failed, and once it is answered.

    `attempts` grow while the call runs; `skipped` are routes that were not tried, each with its
    reason. `total` is the longest time in seconds that routerd itself gives a call.
    """

    __slots__ = ("_attempts", "_call", "_first", "_total", "error", "skipped")

    def __init__(self, call: Call, attempts: list[Attempt], total: float) -> None:
        self._call, self._attempts, self._total = call, attempts, total
        self._first: ErrorInfo | None = None
        self.error: ErrorInfo | None = None
        self.skipped: list[Dropped] = []

    def failed(self, failure: Failure, cut_by: Failure | None) -> None:
        """Hear of an attempt that failed; `cut_by` is what ended an answer that had begun."""
        if failure.phase == "deadline":
            info = self._out_of_time(failure)
        elif cut_by is not None:
            message = f"the answer was cut after it began: {cut_by.message}"
            info = error_info("interrupted", message, details=cut_by.info().details)
        else:
            info = self._first or failure.info()
        self._first = self._first or failure.info()
        self.error = self._with_tried(info)

    def not_carried(self, info: ErrorInfo) -> None:
        """Hear that a vendor's wire cannot carry the call."""
        self._first = self._first or info
        self.error = self._with_tried(self._first)

    def not_tried(self, dropped: Dropped) -> None:
        """Hear of a route that was passed by."""
        self.skipped.append(dropped)
        if self.error is not None:
            self.error = self._with_tried(self.error)

    def no_room(self, no_room: NoRoom) -> None:
        """Hear of a route that nothing was sent to; told if there is nothing else to tell."""
        dropped = no_room.dropped
        self.not_tried(dropped)
        if self._first is None:
            message = f"{dropped.deployment}: {dropped.detail}"
            facts = facts_of(no_room.room) if no_room.room is not None else {}
            code = CODES_OF.get(dropped.code, "rate_limit")
            self.error = error_info(code, message, retry_after=no_room.seconds, details=facts)

    def waited_in_vain(self, info: ErrorInfo) -> None:
        """Hear that no provider had room in time; told if there is nothing else to tell."""
        if self._first is None:
            self.error = self._with_tried(info)

    def _out_of_time(self, failure: Failure) -> ErrorInfo:
        """Blame who set the time that is over: the caller, or else whoever did not answer in it."""
        message = "no complete answer within the time allowed"
        details: dict[str, Any] = {}
        if self._first is not None:
            message += f"; the first failure: {self._first.message}"
            details = {**self._first.details, "first_failure": self._first.code}
        wanted = self._call.options.timeout
        is_callers = wanted is not None and wanted <= self._total
        code = "deadline_exceeded" if is_callers else str(failure.error_class)
        return error_info(code, message, details=details)

    def _with_tried(self, info: ErrorInfo) -> ErrorInfo:
        tried = [f"{attempt.deployment}: {attempt.error_class}" for attempt in self._attempts]
        tried += [f"{item.deployment}: {item.code}" for item in self.skipped]
        return structs.replace(info, details={**info.details, "tried": tried})
