"""What most vendors' adapters do alike.

Rules of this file: no vendor. An adapter is built on this and says only what its wire does another
way; every method keeps what `base.Adapter` promises of it.
"""

from __future__ import annotations

from routerd.errors import Failure
from routerd.providers.base import ChatRequest, Headers, ListedModel, Repair
from routerd.providers.listing import read_models

__all__ = ["UsualAdapter", "bearer"]


def bearer(key: str | None) -> Headers:
    """Return the header that most vendors take a key in; without a key there is none."""
    return [(b"authorization", b"Bearer " + key.strip().encode())] if key else []


class UsualAdapter:
    """A key as a bearer, no repairs, and a list of models in one of the usual shapes."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request carries; without a key there are none."""
        return bearer(key)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return None: a refusal stays one."""
        del request, failure
        return None

    def needs_results(self, request: ChatRequest) -> bool:
        """Return True: most vendors refuse a tool call without a result."""
        del request
        return True

    def list_models(self, body: bytes) -> list[ListedModel]:
        """Read the answer of `models_path`; an empty list where it makes no sense."""
        return read_models(body)
