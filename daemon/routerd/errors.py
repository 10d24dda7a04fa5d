"""What can go wrong, typed once where it was seen.

Rules of this file: a failure of a provider is plain data (`Failure`), made by the adapter that
read the answer or by the edge that saw the transport fail; exceptions only carry such data
upward. Foreign exceptions (httpx, msgspec, sqlite3, OSError) are mapped at the edge of the room
that can raise them and never travel further. A `Failure` never holds a key, a prompt or an
answer, except in `message`, which may quote the provider and is shown to the caller alone: logs,
spans and records leave it out.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from routerd_proto.errors import ErrorInfo, error_info

__all__ = ["AttemptFailed", "CallRefused", "ErrorClass", "Failure", "SettingsError", "StartError"]


class ErrorClass(StrEnum):
    """The classes of a provider's failure; each has a code of the same name for the caller."""

    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    BAD_REQUEST = "bad_request"
    BAD_ANSWER = "bad_answer"
    CANCELLED = "cancelled"


MAX_MESSAGE_CHARACTERS: Final = 500


class Failure(Struct, frozen=True):
    """Why one attempt failed.

    `code` and `param` are the provider's own words for it, `retry_after` is in seconds. `phase`
    says how far the attempt came: encode, connect, headers, first_content, content; deadline where
    the time of the whole call was over. `request_sent` is False where the provider certainly never
    saw the request. `retryable_here` overrules the class where the provider says itself whether the
    same request may be sent again. `is_evidence` is False where only the caller's own hurry ended
    it, or somebody hung up behind the provider, which says nothing of it. `is_of_key` is False
    where a rate limit is that of who serves the model behind the provider: no key of ours is at
    fault. `is_hint` is True where the caller's hurry ended a second or more in which nothing came:
    many in a row say something. `is_of_deployment` is True where the key's other models, and the
    same one in another region, need not be refused too.
    """

    error_class: ErrorClass
    message: str
    status: int | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    phase: str = ""
    request_sent: bool = True
    retryable_here: bool | None = None
    is_evidence: bool = True
    is_of_key: bool = True
    is_hint: bool = False
    is_of_deployment: bool = False

    def info(self) -> ErrorInfo:
        """Say it to the caller."""
        details = {
            name: value
            for name in ("status", "code", "param")
            if (value := getattr(self, name)) is not None
        }
        message = self.message[:MAX_MESSAGE_CHARACTERS]
        return error_info(
            str(self.error_class), message, retry_after=self.retry_after, details=details
        )


class AttemptFailed(Exception):  # noqa: N818 - it carries a Failure, it is not the error itself
    """An attempt ended without a complete answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.error_class} ({failure.phase or 'unknown phase'})")
        self.failure = failure


class CallRefused(Exception):  # noqa: N818 - refusing is an orderly end
    """The call ends before anything is sent to a provider."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.code)
        self.info = info


class SettingsError(Exception):
    """The configuration is wrong: names the file, the key and what was expected."""

    def __init__(self, expected: str, *, file: Path | str = "", key: str = "") -> None:
        self.file, self.key, self.expected = str(file), key, expected
        super().__init__(": ".join(part for part in (self.file, key, expected) if part))


class StartError(Exception):
    """The daemon cannot start; the message ends with what to do about it."""
