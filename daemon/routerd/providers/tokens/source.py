"""What a source of access tokens is, and how the answers of those on the web are read.

Rules of this file: pure, and it never raises. A source holds secrets: it shows none, and names
those that must never be quoted. Whatever goes wrong is a `Failure` of class `auth` that is no
evidence against the provider: nothing was sent there. A time to wait is named where the fault may
pass by itself, and only there.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Protocol, runtime_checkable

from msgspec import Struct

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Headers
from routerd.providers.excerpt import shorten
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of

__all__ = [
    "DEFAULT_SECONDS",
    "HttpSource",
    "Token",
    "TokenRequest",
    "TokenSource",
    "identity_of",
    "read_answer",
    "token_is_late",
    "token_of",
    "unavailable",
]

# What is taken for the lifetime of a token whose source does not say.
DEFAULT_SECONDS: Final = 300.0
# After a fault that passes by itself; who keeps tokens waits longer from one to the next.
RETRY_SECONDS: Final = 5.0
PASSING: Final = frozenset({408, 425, 429})
MAX_SECONDS: Final = 1e9
MAX_TOKEN_CHARACTERS: Final = 32_768


class Token(Struct, frozen=True, eq=False):
    """An access token and the seconds it is good for, from now."""

    text: str
    seconds: float

    def __repr__(self) -> str:
        return f"<Token for {self.seconds:g} s>"


class TokenRequest(Struct, frozen=True, eq=False):
    """One request for a token. It holds secrets; `body` is None for a GET."""

    url: str
    headers: Headers
    body: bytes | None = None

    def __repr__(self) -> str:
        return "<TokenRequest>"


class TokenSource(Protocol):
    """Who gives out access tokens.

    `name` says who, for people. Sources of one `identity` give out the same tokens.
    """

    name: str
    identity: str

    @property
    def secrets(self) -> Headers:
        """Return what must never be quoted, with names that say so."""
        ...


@runtime_checkable
class HttpSource(TokenSource, Protocol):
    """A source that is asked over HTTP."""

    def ask(self, seconds: float) -> TokenRequest:
        """Return the request for a token; `seconds` since the epoch."""
        ...


def identity_of(*words: str) -> str:
    """Return what tells one source from another and shows nothing of it."""
    return hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()


def unavailable(name: str, what: str, *, code: str | None = None, passes: bool = False) -> Failure:
    """Return the failure of a source; `passes` says that the next try may succeed."""
    return Failure(
        ErrorClass.AUTH,
        f"no access token for this provider: {name} {what}",
        code=code or "token_unavailable",
        retry_after=RETRY_SECONDS if passes else None,
        request_sent=False,
        is_evidence=False,
    )


def token_is_late() -> Failure:
    """Return the failure of a source that did not answer while a call could wait."""
    return unavailable("its source", "gave none in the time that a call may wait", passes=True)


def read_answer(name: str, status: int, body: bytes) -> Token | Failure:
    """Read the answer of a token endpoint (RFC 6749, 5.1 and 5.2)."""
    try:
        value = read_json(body)
    except JSON_ERRORS:
        value = None
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    if status == 200:
        token = token_of(fields, DEFAULT_SECONDS)
        if token is not None:
            return token
        return unavailable(name, "answered without a token", passes=True)
    passes = status >= 500 or status in PASSING
    told = [word for key in ("error", "error_description") if (word := text_of(fields.get(key)))]
    words = f": {shorten(': '.join(told))}" if told else ""
    code = shorten(told[0]) if told and " " not in told[0] else None
    return unavailable(name, f"answered with status {status}{words}", code=code, passes=passes)


def token_of(fields: dict[str, Any], seconds: float) -> Token | None:
    """Return the token in an answer, good for `seconds` where the answer does not say."""
    text = text_of(fields.get("access_token"))
    if text is None or not is_token(text):
        return None
    told = fields.get("expires_in")
    if isinstance(told, str) and told.isascii() and told.isdigit():
        told = int(told[:12])
    if isinstance(told, int | float) and not isinstance(told, bool) and 0 < told < MAX_SECONDS:
        seconds = float(told)
    return Token(text, seconds)


def is_token(text: str) -> bool:
    """Return whether a header can carry it."""
    return 0 < len(text) <= MAX_TOKEN_CHARACTERS and all("!" <= char <= "~" for char in text)
