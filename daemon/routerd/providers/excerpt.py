"""The provider's own words about an error, made short and safe to show.

Rules of this file: text in, one line out. What looks like a key is masked, because providers quote
the key they refuse; a key that looks like nothing is masked by `redaction`, which knows it.
"""

from __future__ import annotations

import html
import re
from typing import Final

from routerd.errors import MAX_MESSAGE_CHARACTERS
from routerd_proto.codec import repair_text

__all__ = ["BLANKS", "is_html", "shorten", "text_excerpt"]

BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first byte that matters: a byte order mark, white space."""

# Enough to find the title of any error page; a limit, because patterns run over it.
MAX_EXCERPT_BYTES: Final = 4096
KEYS: Final = re.compile(
    r"(?P<start>\b(?:sk|pk|rk|gsk|xai|csk|tgp|hf)[-_])[A-Za-z0-9_*.+/=-]{4,}"
    r"|(?P<words>\b(?:bearer|(?:x-)?api[ _-]?key(?: provided)?|authorization|basic)\\?[\"']?[ :=]+)"
    r"(?P<quote>\\?[\"']?)[A-Za-z0-9_*.+/=-]{12,}",
    re.IGNORECASE,
)
TITLE: Final = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
HIDDEN: Final = re.compile(r"<(script|style)\b.*?</\1[^>]*>?", re.IGNORECASE | re.DOTALL)
TAG: Final = re.compile(r"<[^>]*>?")


def is_html(body: bytes) -> bool:
    """Return whether a body is a web page instead of JSON."""
    return body.lstrip(BLANKS)[:1] == b"<"


def text_excerpt(body: bytes) -> str:
    """Reduce any body to one line of text; of a web page its title, or else its words."""
    text = body[:MAX_EXCERPT_BYTES].decode("utf-8", "replace")
    if is_html(body):
        title = TITLE.search(text)
        words = title[1].strip() if title else ""
        text = html.unescape(words or TAG.sub(" ", HIDDEN.sub(" ", text)))
    return shorten(text)


def shorten(text: str) -> str:
    """Return one line of at most 500 characters, with everything like a key masked."""
    line = " ".join(repair_text(text[: 4 * MAX_MESSAGE_CHARACTERS]).split())
    line = KEYS.sub(lambda match: (match["start"] or match["words"] + match["quote"]) + "***", line)
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[: MAX_MESSAGE_CHARACTERS - 1] + "…"
