"""The arguments of a command, checked against a struct; what does not fit is refused.

Rules of this file: pure. The refusal says which argument is wrong and what is expected.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from routerd.errors import CallRefused
from routerd_proto.errors import error_info

__all__ = ["NoArguments", "read_arguments", "refusal"]

_Kind = TypeVar("_Kind", bound=Struct)


class NoArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """For commands that take none."""


def read_arguments(arguments: dict[str, Any], kind: type[_Kind]) -> _Kind:
    """Return the arguments as a struct; CallRefused where they do not fit."""
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as error:
        raise refusal(f"wrong arguments: {error}") from None


def refusal(message: str) -> CallRefused:
    """Return what a caller is told whose question makes no sense."""
    return CallRefused(error_info("invalid_request", message))
