"""AWS's Signature Version 4, for one service.

Rules of this file: pure; the time is passed in. A request is signed as it is sent, byte for byte.
Credentials are one line: the access key's id, its secret and, of a session, its token, with colons
between them. A bearer key never holds a colon.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from routerd.providers.base import Headers
from routerd.providers.bedrock.regions import DEFAULT_REGION, region_of

__all__ = ["Credentials", "SigV4Signer", "read_credentials"]

SERVICE: Final = "bedrock"
ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Credentials(Struct, frozen=True, eq=False):
    """An access key, as AWS gives it out."""

    access_key_id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return "<Credentials>"


def read_credentials(key: str | None) -> Credentials | None:
    """Return the credentials a key is; None where it is a bearer key, or none."""
    access_key_id, _, rest = (key or "").strip().partition(":")
    secret, _, token = rest.partition(":")
    if not (access_key_id and secret):
        return None
    return Credentials(access_key_id, secret, token or None)


class SigV4Signer:
    """Sign requests with one access key, for the region that the host names.

    `region` is that of hosts which name none, such as a proxy's.
    """

    def __init__(self, credentials: Credentials, region: str | None = None) -> None:
        self._credentials = credentials
        self._region = region or DEFAULT_REGION

    def __repr__(self) -> str:
        return "<SigV4Signer>"

    @property
    def secrets(self) -> Headers:
        """What must never be quoted, named as such."""
        held = self._credentials
        pairs = [(b"secret-access-key", held.secret.encode())]
        if held.token:
            pairs.append((b"session-token", held.token.encode()))
        return pairs

    def sign(
        self, method: str, host: str, path: str, headers: Headers, body: bytes, seconds: float
    ) -> Headers:
        """Return the headers that sign a request; `path` is as sent, `seconds` since the epoch."""
        moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
        held = self._credentials
        signed = {"host": host, "x-amz-date": moment}
        added: Headers = [(b"x-amz-date", moment.encode())]
        for name, value in headers:
            if name.lower() == b"content-type":
                signed["content-type"] = " ".join(value.decode("latin-1").split())
        if held.token:
            signed["x-amz-security-token"] = held.token
            added.append((b"x-amz-security-token", held.token.encode()))
        names = ";".join(sorted(signed))
        request = _canonical(method, path, signed, names, body)
        scope = f"{moment[:8]}/{region_of(host) or self._region}/{SERVICE}/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"
        signature = hmac.new(_key(held.secret, scope), text.encode(), hashlib.sha256).hexdigest()
        written = (
            f"{ALGORITHM} Credential={held.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return [*added, (b"authorization", written.encode())]


def _canonical(method: str, path: str, signed: dict[str, str], names: str, body: bytes) -> str:
    bare, _, query = path.partition("?")
    # Every service but S3 wants what is escaped already escaped again.
    lines = [method, quote(bare or "/", safe="/-_.~"), "&".join(sorted(query.split("&")))]
    lines += [f"{name}:{signed[name]}" for name in sorted(signed)]
    return "\n".join([*lines, "", names, hashlib.sha256(body).hexdigest()])


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key
