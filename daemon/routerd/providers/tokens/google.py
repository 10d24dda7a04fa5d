"""Google's credentials: what a key file holds, and the metadata server of a machine of Google's.

Rules of this file: pure but for the package `cryptography`, which signs for a service account and
is imported only where there is one. A mistake in credentials is a ValueError that says what was
expected, and shows none of them. Secrets go to nobody but an address with TLS, or this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from routerd.providers.base import Headers
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of
from routerd.providers.tokens.signed_claims import ClaimSigner
from routerd.providers.tokens.source import HttpSource, TokenRequest, identity_of

__all__ = ["MetadataSource", "project_of", "read_credentials"]

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Its address, not its name: an address in the local network never goes through a proxy.
METADATA_HOST: Final = "169.254.169.254"
METADATA_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default/token"
FORM: Final[Headers] = [(b"content-type", b"application/x-www-form-urlencoded")]
LONGEST_SECONDS: Final = 3600


class ServiceAccount:
    """A service account: it signs a claim with its key and is given a token for it."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._email = _needed(fields, "client_email")
        self._pem = _needed(fields, "private_key")
        self._uri = _token_uri(fields)
        self._signer = ClaimSigner(self._pem, text_of(fields.get("private_key_id")))
        self.name = f"the token endpoint of {urlsplit(self._uri).hostname} for a service account"
        self.identity = identity_of("service account", self._email, self._pem, self._uri)

    def __repr__(self) -> str:
        return "<ServiceAccount>"

    @property
    def secrets(self) -> Headers:
        """Return the private key, whole and line by line."""
        lines = [line for line in self._pem.splitlines() if line and not line.startswith("-")]
        return [(b"private-key", line.encode()) for line in (self._pem, *lines)]

    def ask(self, seconds: float) -> TokenRequest:
        """Return a request with a claim that is signed now."""
        claims = {
            "iss": self._email,
            "scope": SCOPE,
            "aud": self._uri,
            "iat": int(seconds),
            "exp": int(seconds) + LONGEST_SECONDS,
        }
        form = {"grant_type": JWT_BEARER, "assertion": self._signer.sign(claims)}
        return TokenRequest(self._uri, FORM, urlencode(form).encode())


class AuthorizedUser:
    """A person who logged in once: a refresh token is given in for an access token."""

    def __init__(self, fields: dict[str, Any]) -> None:
        names = ("client_id", "client_secret", "refresh_token")
        self._form = {name: _needed(fields, name) for name in names}
        self._uri = _token_uri(fields)
        self.name = f"the token endpoint of {urlsplit(self._uri).hostname} for a user"
        self.identity = identity_of("authorized user", *self._form.values(), self._uri)

    def __repr__(self) -> str:
        return "<AuthorizedUser>"

    @property
    def secrets(self) -> Headers:
        """Return the client's secret and the refresh token."""
        names = ("client_secret", "refresh_token")
        return [(name.encode(), self._form[name].encode()) for name in names]

    def ask(self, seconds: float) -> TokenRequest:
        """Return a request with the refresh token."""
        del seconds
        form = {"grant_type": "refresh_token", **self._form}
        return TokenRequest(self._uri, FORM, urlencode(form).encode())


class MetadataSource:
    """The metadata server, which gives out tokens of the machine's own service account."""

    def __init__(self, host: str | None = None) -> None:
        self._url = f"http://{host or METADATA_HOST}{METADATA_PATH}"
        self.name = "the metadata server"
        self.identity = identity_of("metadata", self._url)

    def __repr__(self) -> str:
        return "<MetadataSource>"

    @property
    def secrets(self) -> Headers:
        """Return nothing: who is on the machine may ask."""
        return []

    def ask(self, seconds: float) -> TokenRequest:
        """Return the request, with the header that a page in a browser cannot send."""
        del seconds
        return TokenRequest(self._url, [(b"metadata-flavor", b"Google")])


KINDS: Final[dict[str, Callable[[dict[str, Any]], HttpSource]]] = {
    "service_account": ServiceAccount,
    "authorized_user": AuthorizedUser,
}


def read_credentials(key: str | None) -> HttpSource | None:
    """Return the source that a key is the credentials of, None where it is a key as it stands.

    ValueError says what is wrong with credentials.
    """
    if (fields := _fields(key)) is None:
        return None
    kind = text_of(fields.get("type"))
    build = KINDS.get(kind or "")
    if build is None:
        raise ValueError(
            f"holds credentials of the type {kind or 'unknown'}; expected {' or '.join(KINDS)}. "
            "Use token_command for others"
        )
    return build(fields)


def project_of(key: str | None) -> str | None:
    """Return the project that credentials name, None where they name none."""
    fields = _fields(key) or {}
    return text_of(fields.get("project_id")) or text_of(fields.get("quota_project_id"))


def _fields(key: str | None) -> dict[str, Any] | None:
    if key is None or not key.lstrip().startswith("{"):
        return None
    try:
        value = read_json(key.encode("utf-8", "replace"))
    except JSON_ERRORS:
        raise ValueError("begins like credentials in JSON, and is not JSON") from None
    return value if isinstance(value, dict) else None


def _needed(fields: dict[str, Any], name: str) -> str:
    value = text_of(fields.get(name))
    if value is None:
        raise ValueError(f"holds credentials without {name}")
    return value


def _token_uri(fields: dict[str, Any]) -> str:
    uri = text_of(fields.get("token_uri")) or TOKEN_URI
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    is_here = host in ("127.0.0.1", "::1", "localhost")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        raise ValueError("holds credentials whose token_uri is no https address")
    return uri
