"""What every table of the configuration file is."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Section"]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the configuration file; a key it does not know is an error."""
