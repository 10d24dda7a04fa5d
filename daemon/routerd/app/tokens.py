"""Keeping the access tokens of providers fresh, so that no call waits for one.

Rules of this file: one task for each token, as long as it is in force. A source that fails is told
of once when that begins, and once when it ends; what it said is the caller's to read, not the
log's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import anyio

from routerd.app.providers import LiveProvider
from routerd.errors import Failure
from routerd.providers.transport import TokenKeeper
from routerd.telemetry.events import Events, TokenRenewed, TokenUnrenewed
from routerd.telemetry.plain import as_code

__all__ = ["TokenRenewal", "adopt_tokens"]

Kept = tuple[str, str | None, TokenKeeper]


class TokenRenewal:
    """Renew the access tokens of the providers in force."""

    def __init__(self, providers: Mapping[str, LiveProvider], events: Events) -> None:
        self._kept = tuple(_kept(providers))
        self._events = events
        self._replaced = anyio.Event()

    def replace(self, providers: Mapping[str, LiveProvider]) -> None:
        """Keep the tokens of these from now on."""
        self._kept = tuple(_kept(providers))
        self._replaced.set()

    async def run(self) -> None:
        """Keep them for ever."""
        while True:
            self._replaced = anyio.Event()
            async with anyio.create_task_group() as tasks:
                for provider, key, keeper in self._kept:
                    tell = partial(self._tell, provider, key)
                    tasks.start_soon(keeper.keep, tell, name=f"access token of {provider}")
                await self._replaced.wait()
                tasks.cancel_scope.cancel()

    def _tell(self, provider: str, key: str | None, failure: Failure | None) -> None:
        if failure is None:
            self._events.emit(TokenRenewed(provider=provider, key=key))
        else:
            code = as_code(failure.code) or "token_unavailable"
            self._events.emit(TokenUnrenewed(provider=provider, key=key, error_code=code))


def adopt_tokens(providers: Mapping[str, LiveProvider], before: Mapping[str, LiveProvider]) -> None:
    """Have providers that take the place of others go on with the tokens that are there."""
    known = {keeper.source.identity: keeper for _, _, keeper in _kept(before)}
    for _, _, keeper in _kept(providers):
        if (earlier := known.get(keeper.source.identity)) is not None:
            keeper.adopt(earlier)


def _kept(providers: Mapping[str, LiveProvider]) -> Iterator[Kept]:
    for name, provider in providers.items():
        for key, keeper in provider.tokens.items():
            yield name, key, keeper
