"""What our encoder sends, as what the vendor's client is given.

The client leaves patterns and lists of values to the server, so that they are checked here.
"""

from __future__ import annotations

import base64
import re
from typing import Any


def as_parameters(value: Any, shape: Any, place: str = "") -> Any:
    """Turn what is sent into what the vendor's client is given, and check what it leaves out."""
    metadata = shape.metadata
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "string":
        assert isinstance(value, str), place
        assert "pattern" not in metadata or re.fullmatch(metadata["pattern"], value), place
        assert "enum" not in metadata or value in metadata["enum"], place
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        known = {name: item for name, item in value.items() if name in shape.members}
        return value | {
            name: as_parameters(item, shape.members[name], f"{place}.{name}")
            for name, item in known.items()
        }
    if shape.type_name == "list":
        return [as_parameters(item, shape.member, place) for item in value]
    return value
