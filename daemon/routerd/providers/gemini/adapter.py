"""The adapter for Google's generateContent and streamGenerateContent, of either service.

Rules of this file: it only puts the pieces of this room together. A key goes in a header: in the
address it would land in logs. Credentials are no key: who holds them asks for tokens with them, and
those are not this file's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from routerd.errors import Failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Headers,
    Repair,
)
from routerd.providers.gemini.decode import GenerateDecoder
from routerd.providers.gemini.encode import encode_request
from routerd.providers.gemini.failure import read_failure
from routerd.providers.gemini.repairs import repair_request
from routerd.providers.gemini.resources import wrong_name
from routerd.providers.gemini.services import (
    GEMINI,
    VERTEX,
    Service,
    address_in,
    is_region,
    list_address,
)
from routerd.providers.usual import UsualAdapter

__all__ = ["GeminiAdapter"]


class GeminiAdapter(UsualAdapter):
    """Speak generateContent to one of the services."""

    name: str = "gemini"

    def __init__(self, service: Service = GEMINI) -> None:
        self.service: Final = service
        self.models_path = service.models_path
        self.warm_path = service.warm_path
        self.takes_tokens = service.takes_tokens

    def __repr__(self) -> str:
        return f"<GeminiAdapter {self.service.name}>"

    def authorize(self, key: str | None) -> Headers:
        """Return the header with the key, if there is one."""
        return [(b"x-goog-api-key", key.strip().encode())] if key else []

    def credentials_file(self, environ: Mapping[str, str]) -> str | None:
        """Return the file that Google's clients look for their credentials in."""
        named = environ.get("GOOGLE_APPLICATION_CREDENTIALS", "").strip()
        return named or None if self.takes_tokens else None

    def region_in(self, environ: Mapping[str, str]) -> str | None:
        """Return the location that Google's clients go to."""
        named = environ.get("GOOGLE_CLOUD_LOCATION", "").strip()
        return named or None if self.service is VERTEX else None

    def own_address(self, base_url: str, environ: Mapping[str, str]) -> str | None:
        """Return the address that serves where nobody chose one; None if that region cannot be."""
        region = self.region_in(environ)
        if region is None:
            return base_url
        return address_in(base_url, region) if is_region(region) else None

    def address_in(self, base_url: str, region: str | None) -> str:
        """Return the base address that serves a region."""
        return address_in(base_url, region) if self.service is VERTEX else base_url

    def list_address(self, base_url: str) -> str:
        """Return the base address that `models_path` is below."""
        return list_address(base_url) if self.service is VERTEX else base_url

    def wrong_name(self, model_id: str) -> str | None:
        """Return what was expected in place of a name that no model has; None for any other."""
        return wrong_name(self.service, model_id)

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        return encode_request(request, self.service)

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused."""
        return repair_request(request, failure)

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return GenerateDecoder(stream=stream, numbered=self.service.numbered)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
