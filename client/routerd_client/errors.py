"""The one family of errors that leaves this package.

Rules of this file: an error says what happened, whose fault it is, whether the same call may be
made again and what to do next; a program reads that from attributes. Codes and their meaning come
from routerd_proto.errors. `Failed` and `Lost` stay inside the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from routerd_proto import CODES, ErrorInfo

if TYPE_CHECKING:
    from routerd_client.found import Found
    from routerd_client.reply import Reply

__all__ = [
    "BROKE",
    "CallerError",
    "ConnectionLost",
    "DaemonUnavailable",
    "Failed",
    "Lost",
    "ProviderError",
    "RouterError",
    "RouterdError",
    "broken_protocol",
    "error_from",
]


class RouterdError(Exception):
    """A call or a command that did not succeed.

    `blame` is `caller`, `provider` or `router`; `retry_after` is in seconds or None; `next_step` is
    a sentence for a person; `details` are facts for a program. `reply` holds what had arrived of
    the answer before it failed, None where nothing was asked of a model; `found` holds the vectors
    that came in spite of it, None where there are none. `decision_id` is empty where the daemon
    never named one. Errors can be pickled.
    """

    def __init__(
        self,
        info: ErrorInfo,
        reply: Reply | None = None,
        decision_id: str = "",
        found: Found | None = None,
    ) -> None:
        super().__init__(info, reply, decision_id, found)
        self.info = info
        self.code = info.code
        self.message = info.message
        self.blame = info.blame
        self.retryable = info.retryable
        self.retry_after = info.retry_after
        self.next_step = info.next_step
        self.details = info.details
        self.reply = reply
        self.found = found
        self.decision_id = decision_id

    def __str__(self) -> str:
        facts = [f"{self.blame}'s fault"]
        if self.retry_after is not None:
            facts.append(f"retry after {self.retry_after:g} s")
        elif self.retryable:
            facts.append("may be tried again")
        if self.decision_id:
            facts.append(f"decision {self.decision_id}")
        text = f"{self.code}: {self.message} ({'; '.join(facts)})."
        return f"{text} Next: {self.next_step}" if self.next_step else text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.code}: {self.message}>"


class CallerError(RouterdError):
    """The call itself is at fault: the same call fails again, or the caller left."""


class ProviderError(RouterdError):
    """Every provider that may serve the call failed."""


class RouterError(RouterdError):
    """The router or its configuration is at fault, or it could not be reached."""


class DaemonUnavailable(RouterError):  # noqa: N818 - reads as what it is in an `except`
    """No daemon answers on any of the sockets that were tried."""


class ConnectionLost(RouterError):  # noqa: N818 - reads as what it is in an `except`
    """The connection ended before the answer did."""


BY_CODE: Final[dict[str, type[RouterdError]]] = {
    "connection_lost": ConnectionLost,
    "daemon_unavailable": DaemonUnavailable,
}
BY_BLAME: Final[dict[str, type[RouterdError]]] = {
    "caller": CallerError,
    "provider": ProviderError,
    "router": RouterError,
}


def error_from(
    info: ErrorInfo,
    reply: Reply | None = None,
    decision_id: str = "",
    found: Found | None = None,
) -> RouterdError:
    """Build the exception for an error: by its code, else by who is to blame."""
    kind = BY_CODE.get(info.code) or BY_BLAME[info.blame]
    return kind(info, reply, decision_id, found)


def broken_protocol(info: ErrorInfo) -> ErrorInfo:
    """Say that the daemon sent what it may not; the table's blame is for the other direction."""
    if info.code == "version_mismatch":
        return info
    next_step = CODES["version_mismatch"].next_step
    message = f"the daemon broke the protocol: {info.message}"
    return ErrorInfo(
        "protocol_error",
        message,
        "router",
        retryable=False,
        next_step=next_step,
        details=info.details,
    )


# Said of a connection that the system, not the daemon, reports as broken.
BROKE: Final = "the connection to the daemon broke: {}"


class Failed(Exception):  # noqa: N818 - never leaves the package
    """A request cannot be served, for a reason that sending it again does not mend."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


class Lost(Exception):  # noqa: N818 - never leaves the package
    """A connection ended: silently, or with `info` as the daemon's last word."""

    def __init__(self, text: str, info: ErrorInfo | None = None) -> None:
        super().__init__(text)
        self.info = info
