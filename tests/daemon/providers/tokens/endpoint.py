"""A token endpoint and a metadata server that check what they are asked, and keep count.

Tokens are numbered, so that a test sees which one was used. What is refused is refused in the words
of Google's endpoint.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any, Final, Self
from urllib.parse import parse_qs

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["AUTHORIZED_USER", "PRIVATE_KEY", "TokenEndpoint", "service_account", "token"]

KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE_KEY: Final = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
EMAIL: Final = "router@p-1.iam.gserviceaccount.com"
AUTHORIZED_USER: Final = {
    "type": "authorized_user",
    "client_id": "an-id",
    "client_secret": "a-client-secret",
    "refresh_token": "1//a-refresh-token",
    "quota_project_id": "p-2",
}
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token(number: int) -> str:
    """Return the token that is given out as the so manieth."""
    return f"ya29.token-number-{number}"


def service_account(token_uri: str, **fields: Any) -> str:
    """Return a service account's key file."""
    account = {
        "type": "service_account",
        "project_id": "p-1",
        "private_key_id": "key-1",
        "private_key": PRIVATE_KEY,
        "client_email": EMAIL,
        "token_uri": token_uri,
    }
    return json.dumps(account | fields, indent=2)


class TokenEndpoint:
    """Gives out tokens at `url` and, as the metadata server, at `host`.

    `seconds` is how long they are said to be good for. `statuses` are answered first, one request
    each. `given` counts the tokens, `asked` the requests.
    """

    def __init__(self, seconds: float = 3600, statuses: tuple[int, ...] = ()) -> None:
        self.seconds = seconds
        self.statuses = list(statuses)
        self.given = self.asked = 0
        self._answered = asyncio.Event()

    async def until_given(self, number: int) -> None:
        """Wait until so many tokens were given out."""
        while self.given < number:
            self._answered.clear()
            await self._answered.wait()

    @property
    def url(self) -> str:
        """Where forms are posted to."""
        return f"http://{self.host}/token"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_get(
            "/computeMetadata/v1/instance/service-accounts/default/token", self._metadata
        )
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _answer(self, problem: str) -> web.Response:
        self.asked += 1
        self._answered.set()
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            told = {"error": "internal_failure", "error_description": "Try later."}
            if status < 500:
                told = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return web.json_response(told, status=status)
        if problem:
            return web.json_response(
                {"error": "invalid_grant", "error_description": problem}, status=400
            )
        self.given += 1
        return web.json_response(
            {"access_token": token(self.given), "expires_in": self.seconds, "token_type": "Bearer"}
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        if form.get("grant_type") == "refresh_token":
            names = ("client_id", "client_secret", "refresh_token")
            is_known = all(form.get(name) == AUTHORIZED_USER[name] for name in names)
            return self._answer("" if is_known else "Bad Request")
        if form.get("grant_type") != JWT_BEARER:
            return self._answer("no such grant")
        return self._answer(self._problem(form.get("assertion", "")))

    def _problem(self, assertion: str) -> str:
        """Check a signed claim as the endpoint does."""
        signed, _, signature = assertion.rpartition(".")
        try:
            KEY.public_key().verify(
                _bytes(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return "Invalid JWT Signature."
        header, claims = (json.loads(_bytes(part)) for part in signed.split("."))
        if header != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}:
            return "Invalid JWT header."
        if (claims["iss"], claims["aud"]) != (EMAIL, self.url):
            return "Invalid issuer or audience."
        if claims["scope"] != "https://www.googleapis.com/auth/cloud-platform":
            return "Invalid scope."
        is_now = abs(claims["iat"] - time.time()) < 60 and claims["exp"] - claims["iat"] <= 3600
        return "" if is_now else "Token must be a short-lived token."

    async def _metadata(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        return self._answer("")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
