"""Errors as they travel: one struct, one table of codes.

Rules of this file: every code that can reach a caller stands in `CODES`, with whose fault it is,
whether the same call may be sent again, and what to do next. Nobody invents a code elsewhere.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

__all__ = ["CODES", "Blame", "Code", "ErrorInfo", "ProtocolError", "error_info"]

Blame = Literal["caller", "provider", "router"]


class ErrorInfo(Struct, array_like=True, frozen=True):
    """Why a call or a connection ended without success.

    `retry_after` is in seconds. `details` holds facts a program may read, such as `near_matches`,
    `param` or `status`; never a key, a prompt or an answer.
    """

    code: str
    message: str
    blame: Blame
    retryable: bool
    retry_after: float | None = None
    next_step: str = ""
    details: dict[str, Any] = {}


class Code(NamedTuple):
    """What a code means, whoever reports it."""

    blame: Blame
    retryable: bool
    next_step: str


CODES: Final[dict[str, Code]] = {
    # The caller's: the same call will fail again.
    "invalid_request": Code("caller", False, "Correct the request; the message names the place."),
    "unknown_target": Code(
        "caller", False, "Use one of the names `routerd shortcuts` and `routerd models` list."
    ),
    "bad_request": Code(
        "caller", False, "The provider refused the request as it is; correct what it names."
    ),
    "context_length": Code(
        "caller", False, "Shorten the messages, or ask for a model with a larger window."
    ),
    "content_policy": Code(
        "caller", False, "A provider's safety rule blocked this call; it is not routed around."
    ),
    "cancelled": Code("caller", True, "The caller left before the answer was complete."),
    "forbidden": Code("caller", False, "Ask as root, or as the user that the daemon runs as."),
    "budget_exceeded": Code(
        "caller",
        True,
        "Wait until it resets, ask for a shorter answer, or raise the cap: see `routerd budgets`.",
    ),
    "deadline_exceeded": Code("caller", True, "Allow more time, or ask for a faster shortcut."),
    # A provider's: all allowed routes were tried.
    "rate_limit": Code("provider", True, "Wait for `retry_after`, or add a backup deployment."),
    "quota": Code("provider", False, "The account has no credit or quota left; see its console."),
    "overloaded": Code("provider", True, "Try again shortly, or add a backup deployment."),
    "server_error": Code("provider", True, "Try again, or add a backup at another provider."),
    "timeout": Code("provider", True, "Try again, or add a backup at another provider."),
    "connection": Code("provider", True, "Check the network path to the provider, then try again."),
    "bad_answer": Code("provider", True, "The provider's answer made no sense; try again."),
    "interrupted": Code(
        "provider",
        True,
        "The answer was cut after it began. Ask again, or opt in to `restart`.",
    ),
    "same_model_only": Code(
        "provider",
        True,
        "Try again later, or add another deployment of this model: vectors of two models cannot be "
        "compared, so that no other one stands in.",
    ),
    # The router's, or its operator's.
    "auth": Code("router", False, "The provider refuses routerd's key: see `routerd check`."),
    "not_found": Code(
        "router", False, "The provider does not know this model id: see `routerd models`."
    ),
    "no_candidates": Code(
        "router", False, "Nothing configured may serve this call; the message says why."
    ),
    "internal_error": Code("router", True, "This is a bug in routerd: report its decision id."),
    "router_overloaded": Code("router", True, "The daemon is at its limit; send less at once."),
    "shutting_down": Code("router", True, "The daemon is stopping; its successor will answer."),
    "version_mismatch": Code(
        "router", False, "Install the same version of routerd for the client and the daemon."
    ),
    "protocol_error": Code("caller", False, "See docs/protocol.md for what was expected."),
    "frame_too_large": Code("caller", False, "Send less, or raise socket.max_frame_bytes."),
    # Seen by the client alone: no daemon was there to say so.
    "daemon_unavailable": Code(
        "router", True, "Start it with `routerd serve`, or set ROUTERD_SOCKET to its socket."
    ),
    "connection_lost": Code("router", True, "The daemon went away during the call; ask again."),
}


def error_info(
    code: str,
    message: str,
    *,
    retry_after: float | None = None,
    details: dict[str, Any] | None = None,
) -> ErrorInfo:
    """Build an error of a known code, with the blame and the next step the table gives it."""
    known = CODES[code]
    return ErrorInfo(
        code, message, known.blame, known.retryable, retry_after, known.next_step, details or {}
    )


class ProtocolError(Exception):
    """The other side broke the protocol: the connection must be closed after saying why."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info

    def __reduce__(self) -> tuple[type[ProtocolError], tuple[ErrorInfo]]:
        return type(self), (self.info,)
