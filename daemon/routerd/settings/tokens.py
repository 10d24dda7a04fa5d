"""The settings of access tokens, for a provider's only key and for one of several alike."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

__all__ = ["TokenCommand", "TokenMetadata", "TokenSeconds"]

TokenCommand = Annotated[
    list[str] | None,
    Meta(
        description="In place of a key, a program and its arguments that print an access token. It "
        "runs without a shell, and again before the token is over."
    ),
]
TokenSeconds = Annotated[
    float,
    Meta(
        gt=0,
        le=86_400,
        description="How long a token of token_command is good for, unless it says so itself by "
        "printing JSON with access_token and expires_in.",
    ),
]
TokenMetadata = Annotated[
    Literal["google"] | None,
    Meta(
        description="In place of a key, whose metadata server gives out access tokens: google, on "
        "a machine of Google Cloud."
    ),
]
