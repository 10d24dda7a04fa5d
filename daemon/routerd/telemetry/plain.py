"""What of a stranger's text may be shown in a log line or a span.

Rules of this file: pure. Names that callers and providers choose are cut short, and what a provider
says is shown only where it looks like a code: a sentence may quote a prompt.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_NAME_CHARACTERS", "as_code", "as_name", "code_place", "shown_name"]

MAX_NAME_CHARACTERS: Final = 128
MAX_FRAMES: Final = 8
CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,127}")


def as_code(text: str | None) -> str | None:
    """Return a provider's word if it looks like a code, a model or an id; else None."""
    return text if text is not None and CODE.fullmatch(text) else None


def shown_name(name: str) -> str:
    """Return a stranger's name for something if it looks like one: it may be any text."""
    return as_code(name) or "(unreadable)"


def as_name(text: str | None) -> str | None:
    """Return a caller's name for something, cut to 128 characters."""
    return text if text is None else text[:MAX_NAME_CHARACTERS]


def code_place(error: BaseException) -> str:
    """Say where an exception came from, as modules and lines; never what it says."""
    places = []
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        module = frame.f_globals.get("__name__", "?")
        places.append(f"{module}.{frame.f_code.co_name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " > ".join(places[-MAX_FRAMES:])
