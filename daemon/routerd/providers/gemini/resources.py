"""Where a model is, by any of the names that Google has for it.

Rules of this file: declared data and how to look it up, pure. A model goes by its id or by the name
of a resource; what somebody tuned or deployed by the latter alone. The forms are those that the
vendor's own client (google-genai 3.6) takes. A project and a location are in the base address: a
name that has its own may mean others, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from routerd.providers.gemini.services import GEMINI, VERTEX, Service
from routerd.providers.request import refusal

__all__ = ["model_path", "wrong_name"]

GOOGLES_OWN: Final = re.compile(r"(?:models|publishers/google/models)/(?P<model>[^/]+)")
PUBLISHED: Final = "/publishers/{publisher}/models/{model}"
FORMS: Final[Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]] = {
    GEMINI.name: (
        (GOOGLES_OWN, GEMINI.models + "{model}"),
        (re.compile(r"tunedModels/(?P<model>[^/]+)"), "/v1beta/tunedModels/{model}"),
        # A gateway may have names of its own.
        (
            re.compile(
                r"(?!(?:models|tunedModels|endpoints|publishers|projects|locations)/)(?P<model>.+)"
            ),
            GEMINI.models + "{model}",
        ),
    ),
    VERTEX.name: (
        (GOOGLES_OWN, VERTEX.models + "{model}"),
        (re.compile(r"endpoints/(?P<model>[^/]+)"), "/endpoints/{model}"),
        (
            re.compile(r"publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/]+)"),
            PUBLISHED,
        ),
        (
            re.compile(
                r"(?!(?:models|tunedModels|publishers|projects|locations)/)"
                r"(?P<publisher>[^/]+)/(?P<model>[^/]+)"
            ),
            PUBLISHED,
        ),
    ),
}
EXPECTED: Final[Mapping[str, str]] = {
    GEMINI.name: "expected the id of a model, or tunedModels/ID",
    VERTEX.name: "expected the id of a model, PUBLISHER/ID or endpoints/ID; the project and the "
    "location are those of base_url, or of the deployment's region",
}


def model_path(service: Service, model_id: str) -> str:
    """Return the path of a model below the base address; CallRefused where it has no such name."""
    if "/" not in model_id:
        return service.models + quote(model_id, safe="")
    for pattern, path in FORMS[service.name]:
        if (found := pattern.fullmatch(model_id)) is not None:
            named = found.groupdict().items()
            return path.format_map({key: quote(value, safe="") for key, value in named})
    raise refusal(
        f"{service.name} has no model {model_id!r}: {EXPECTED[service.name]}", param="model"
    )


def wrong_name(service: Service, model_id: str) -> str | None:
    """Return what was expected in place of a name that no model can have; None for any other."""
    if "/" not in model_id or any(form.fullmatch(model_id) for form, _ in FORMS[service.name]):
        return None
    return EXPECTED[service.name]
