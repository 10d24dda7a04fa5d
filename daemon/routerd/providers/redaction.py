"""Keeping a provider's key out of what its answers are quoted with.

Rules of this file: pure; text in, text out. Which values are secret is known here for certain, from
the headers that carry them: the patterns of `excerpt` only guess, for keys that are not ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from routerd.errors import Failure

__all__ = ["Redactor", "redacted"]

SECRET_NAME: Final = re.compile(r"auth|key|token|secret|cookie|password|signature", re.IGNORECASE)
SCHEME: Final = re.compile(r"\s*[A-Za-z]+\s+(?=\S)")
MASK: Final = "***"
# Shorter values are words such as `none`, sent to servers that check no key; they are masked only
# where they stand alone, or not at all.
LEAST_SECRET: Final = 4
LEAST_ANYWHERE: Final = 8


class Redacts(Protocol):
    """Whatever knows the secrets of a provider, such as its channel."""

    def redact(self, text: str) -> str:
        """Return the text without them."""
        ...


class Redactor:
    """Mask the secret values among some headers, or other pairs of a name and a value.

    A value is secret if its name says so. Of `Bearer <token>` the token alone is one too.
    """

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        secrets: set[str] = set()
        for name, value in pairs:
            if SECRET_NAME.search(name.decode("latin-1")):
                text = value.decode("utf-8", "replace").strip()
                secrets |= {text, SCHEME.sub("", text, count=1)}
        self._secrets = sorted(
            (secret for secret in secrets if len(secret) >= LEAST_SECRET), key=len, reverse=True
        )
        self._pattern = re.compile("|".join(map(_pattern, self._secrets)) or r"(?!)")

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._secrets)}>"

    def redact(self, text: str) -> str:
        """Return the text with every secret masked, one that is cut off at its end too."""
        text = self._pattern.sub(MASK, text)
        body = text.removesuffix("…")
        for secret in self._secrets:
            for size in range(min(len(secret) - 1, len(body)), LEAST_ANYWHERE - 1, -1):
                if body.endswith(secret[:size]):
                    return body[:-size] + MASK + text[len(body) :]
        return text


def redacted(failure: Failure, channel: Redacts) -> Failure:
    """Return the failure with the channel's secrets masked in all that the provider worded."""
    code, param = failure.code, failure.param
    return msgspec.structs.replace(
        failure,
        message=channel.redact(failure.message),
        code=code if code is None else channel.redact(code),
        param=param if param is None else channel.redact(param),
    )


def _pattern(secret: str) -> str:
    pattern = re.escape(secret)
    return pattern if len(secret) >= LEAST_ANYWHERE else rf"(?<!\w){pattern}(?!\w)"
