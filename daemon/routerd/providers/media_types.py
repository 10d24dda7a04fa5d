"""Media types by the names that vendors know them by.

Rules of this file: pure, and no vendor. `image/jpg` is no registered type, though many write it;
every vendor knows it as `image/jpeg` alone. Nothing else is renamed, and what is sent is never
looked into.
"""

from __future__ import annotations

from typing import Final

from routerd.providers.request import base64_text

__all__ = ["ENDINGS", "OFFICE", "data_url", "file_name", "known_type", "known_url", "plain_type"]

PREFIX: Final = "data:"
# How the names of documents end that are no plain text.
OFFICE: Final = {
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}
ENDINGS: Final = {"application/pdf": "pdf", **OFFICE}


def known_type(media_type: str) -> str:
    """Return a media type by its registered name, with its parameters."""
    name, mark, parameters = media_type.partition(";")
    return f"image/jpeg{mark}{parameters}" if name.strip().lower() == "image/jpg" else media_type


def plain_type(media_type: str) -> str:
    """Return a media type by its registered name, in lower case and without its parameters."""
    return known_type(media_type.partition(";")[0].strip().lower())


def data_url(media_type: str, data: bytes) -> str:
    """Return a data URL that holds these bytes."""
    return f"{PREFIX}{known_type(media_type)};base64,{base64_text(data)}"


def known_url(url: str) -> str:
    """Return an address; one that holds the data itself names its type as vendors know it."""
    start, end = len(PREFIX), url.find(",")
    if end < start or not url.startswith(PREFIX):
        return url
    head = url[start:end]
    known = known_type(head)
    return url if known == head else f"{PREFIX}{known}{url[end:]}"


def file_name(title: str | None, url: str) -> str:
    """Return what to call the document of a data URL; servers read its kind from how that ends."""
    ending = ENDINGS.get(plain_type(url[len(PREFIX) :].partition(",")[0]))
    if title is None:
        return f"document.{ending or 'pdf'}"
    has_ending = title.lower().rpartition(".")[2] in ENDINGS.values()
    return title if ending is None or has_ending else f"{title}.{ending}"
