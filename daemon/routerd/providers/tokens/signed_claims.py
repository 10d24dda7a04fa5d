"""Claims signed with RS256, as a JSON Web Token (RFC 7519).

Rules of this file: pure. The signing itself is `cryptography`'s: RSA is not written by hand. The
package is no dependency of the daemon, but of its extra `google`; without it this file can be
imported, and says what is missing when it is used.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from routerd.providers.json_text import encode_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["ClaimSigner"]

MISSING: Final = (
    "holds a private key, and the package cryptography, which signs with it, is not installed: "
    "pip install 'routerd[google]'"
)


class ClaimSigner:
    """Sign with one RSA key, given as PEM; ValueError where it is none."""

    def __init__(self, pem: str, key_id: str | None) -> None:
        self._key = _load(pem)
        self._header = {"alg": "RS256", "typ": "JWT", **({"kid": key_id} if key_id else {})}

    def __repr__(self) -> str:
        return "<ClaimSigner>"

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the claims as a signed token."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415

        text = f"{_base64(encode_json(self._header))}.{_base64(encode_json(claims))}"
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_base64(signature)}"


def _load(pem: str) -> RSAPrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_private_key,
        )
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except Exception:  # noqa: BLE001 - it raises what its parser raises, which may quote the key
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("holds a private_key that is no RSA key in PEM")  # noqa: TRY004
    return key


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
