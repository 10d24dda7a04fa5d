"""Reasoning that only the simulator can read, and knows again."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["is_sealed", "seal"]

SECRET = b"routerd simulator responses"
DIGEST_BYTES = 16


def seal(reasoning: str) -> str:
    """Return a text that stands for this reasoning."""
    digest = hashlib.blake2b(reasoning.encode(), key=SECRET, digest_size=DIGEST_BYTES).digest()
    check = hashlib.blake2b(digest, key=SECRET, digest_size=DIGEST_BYTES).digest()
    return "gAAAA" + base64.urlsafe_b64encode(digest + check).decode()


def is_sealed(text: str) -> bool:
    """Tell whether a text came from `seal`."""
    try:
        data = base64.urlsafe_b64decode(text.removeprefix("gAAAA"))
    except ValueError:
        return False
    digest, check = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    return check == hashlib.blake2b(digest, key=SECRET, digest_size=DIGEST_BYTES).digest()
