"""The signature of a thinking block: made with the block, checked when the block comes back."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["sign", "signed"]

MARK = b"routerd-simulated"
LENGTH = 240  # bytes; real ones run from some hundred to many thousand characters


def sign(thinking: str) -> str:
    """Return the signature of a thinking text."""
    digest = hashlib.shake_256(MARK + thinking.encode()).digest(LENGTH)
    return base64.b64encode(MARK + digest).decode()


def signed(thinking: str, signature: str) -> bool:
    """Tell whether the signature is of this text; a text left out counts as unchanged."""
    if thinking:
        return signature == sign(thinking)
    return signature.startswith(base64.b64encode(MARK[:15]).decode())
