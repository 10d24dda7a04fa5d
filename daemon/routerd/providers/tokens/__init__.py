"""Access tokens: who gives them out, how they are asked for, what the answer means.

Pure but for what runs a command. Tokens are fetched and kept in `transport.tokens`, because that
takes a connection; nothing here knows one vendor's wire format.
"""

from routerd.providers.tokens.command import CommandSource
from routerd.providers.tokens.google import MetadataSource, read_credentials
from routerd.providers.tokens.source import (
    HttpSource,
    Token,
    TokenRequest,
    TokenSource,
    token_is_late,
)

__all__ = [
    "CommandSource",
    "HttpSource",
    "MetadataSource",
    "Token",
    "TokenRequest",
    "TokenSource",
    "read_credentials",
    "token_is_late",
]
