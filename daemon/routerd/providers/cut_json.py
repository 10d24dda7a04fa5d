"""What is whole of JSON that was cut off, and the error in what is too long to be read whole.

Rules of this file: pure. The fields of an error are found by pattern, in one pass over the text:
only the error itself is looked at, not what it quotes, which lies deeper or inside a string.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from routerd.providers.json_text import JSON_ERRORS

__all__ = ["cut_error_fields", "whole_items"]

TOKEN: Final = re.compile(
    r"""(?P<open>[{\[])|(?P<close>[}\]])"""
    r"""|"(?P<name>message|code|type|param)"\s*:\s*"""
    r"""(?:"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)"?|(?P<number>\d{1,9})(?=\s*[,}]))"""
    r"""|"[^"\\]*(?:\\.[^"\\]*)*"?""",
    re.DOTALL,
)
# {"message": ...} or {"error": {"message": ...}}, by the objects they stand in.
DEEPEST: Final = 2


def cut_error_fields(text: str) -> dict[str, Any]:
    """Return the message, code, type and param of an error, as far as they are there."""
    text = text.lstrip("\ufeff \t\r\n[")
    found: dict[int, dict[str, Any]] = {1: {}, DEEPEST: {}}
    depth = 0
    for token in TOKEN.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token["name"] and depth in found:
            value = token["number"] if token["text"] is None else _unescaped(token["text"])
            found[depth].setdefault(token["name"], value)
    return found[DEEPEST] if "message" in found[DEEPEST] else found[1]


def whole_items(body: bytes) -> list[Any]:
    """Return the items of a list in JSON that are whole, up to where it was cut off."""
    text = body.decode("utf-8", "replace")
    items: list[Any] = []
    if not text.startswith("["):
        return items
    read = json.JSONDecoder(strict=False).raw_decode
    position = 1
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        try:
            item, position = read(text, position)
        except JSON_ERRORS:
            return items
        items.append(item)


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:  # cut inside an escape
        return text
