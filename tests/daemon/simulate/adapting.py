"""Asking a simulated vendor as the router does: through the adapter that speaks its format."""

from __future__ import annotations

from typing import Any

import httpx

from routerd.errors import Failure
from routerd.providers.base import Adapter, ChatRequest, Outcome
from routerd.simulate import Simulator
from tests.daemon.providers.drive import decode

__all__ = ["ask"]


async def ask(
    simulator: Simulator, adapter: Adapter, chat: ChatRequest, place: str | None = None
) -> tuple[Any, Outcome | Failure]:
    """Ask once: the parts and what the answer amounts to, or no parts and why it failed.

    `place` is where the vendor is simulated, its name unless told otherwise.
    """
    sent = adapter.encode(chat)
    headers = [*sent.headers, *adapter.authorize("test")]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{simulator.base_url}/{place or adapter.name}{sent.path}",
            headers=headers,
            content=sent.body,
        )
    if answer.status_code != 200:
        return [], adapter.failure(answer.status_code, dict(answer.headers), answer.content)
    return decode(adapter, [answer.content], stream=chat.stream)
