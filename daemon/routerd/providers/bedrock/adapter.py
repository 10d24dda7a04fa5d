"""The adapter for Converse and ConverseStream of AWS Bedrock.

Rules of this file: it only puts the pieces of this room together. The base address of a provider of
this kind is a region's runtime host. It lists no models, which the region's control plane does, and
has no GET that does anything: its root answers with a refusal, which shows that it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from routerd.errors import Failure
from routerd.providers.base import (
    AnswerDecoder,
    ChatRequest,
    EncodedRequest,
    Headers,
    ListedModel,
    Repair,
    Signer,
)
from routerd.providers.bedrock.decode import ConverseDecoder
from routerd.providers.bedrock.encode import encode_request
from routerd.providers.bedrock.failure import read_failure
from routerd.providers.bedrock.lists import LISTS, join_lists
from routerd.providers.bedrock.makers import habits_of
from routerd.providers.bedrock.regions import address_in, list_address, own_address, region_in
from routerd.providers.bedrock.repairs import repair_request
from routerd.providers.bedrock.signing import SigV4Signer, read_credentials
from routerd.providers.bedrock.tools import names_tools
from routerd.providers.usual import UsualAdapter, bearer

__all__ = ["BedrockAdapter"]


class BedrockAdapter(UsualAdapter):
    """Speak Converse."""

    name: str = "bedrock"
    models_path: str = LISTS[0]
    models_paths: tuple[str, ...] = LISTS
    warm_path: str = "/"

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request carries: a bearer key; none for what is signed."""
        if not key or read_credentials(key) is not None:
            return []
        return bearer(key)

    def signer(self, key: str | None, region: str | None = None) -> Signer | None:
        """Return what signs each request; None where the key goes along as it is."""
        credentials = read_credentials(key)
        return None if credentials is None else SigV4Signer(credentials, region)

    def key_in(self, environ: Mapping[str, str]) -> str | None:
        """Return the credentials of AWS's own variables as one key; None where there are none."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        key_id, secret, token = (environ.get(name, "").strip() for name in names)
        if not (key_id and secret):
            return None
        return f"{key_id}:{secret}:{token}".rstrip(":")

    def region_in(self, environ: Mapping[str, str]) -> str | None:
        """Return the region that AWS's own variables name; None where they name none."""
        return region_in(environ)

    def own_address(self, base_url: str, environ: Mapping[str, str]) -> str | None:
        """Return the address of the region that AWS's own variables name."""
        return own_address(base_url, environ)

    def address_in(self, base_url: str, region: str | None) -> str:
        """Return the base address that serves a region."""
        return address_in(base_url, region)

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        return encode_request(request)

    def needs_results(self, request: ChatRequest) -> bool:
        """Return whether a tool call without a result is refused: not where it is told in words."""
        return names_tools(request, habits_of(request.model_id))

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused."""
        return repair_request(request, failure)

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return ConverseDecoder(stream=stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)

    def list_models(self, body: bytes) -> list[ListedModel]:
        """Read one of the control plane's lists; an empty list where it makes no sense."""
        return join_lists([body])

    def list_address(self, base_url: str) -> str:
        """Return the base address of the control plane of the same region."""
        return list_address(base_url)

    def join_lists(self, bodies: Iterable[bytes]) -> list[ListedModel]:
        """Read the lists of models and of inference profiles, of one or more regions, as one."""
        return join_lists(bodies)
