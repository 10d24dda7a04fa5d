"""The callers that are compared, behind one shape: `call` for a whole answer, `stream` for parts.

Rules of this file: a driver does what an app would do with that client, no more. All send the same
two messages and the same bound on the output; what kind of stream is wanted stands in the text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final, Protocol

import msgspec

from bench.fake_provider import TEXT
from bench.raw_client import RawClient, post
from routerd_client import Client, TextDelta

__all__ = [
    "TARGET",
    "Driver",
    "RawDriver",
    "RouterdDriver",
    "SdkDriver",
    "behaviour_of",
    "complete_blocking",
    "messages",
]

# A shortcut, so that the planner looks at classes of the whole directory.
TARGET: Final = "fast"
SYSTEM: Final = "You are a careful assistant. " * 12
NOTE: Final = "Summarise the following note in two sentences. " * 10
MAX_OUTPUT_TOKENS: Final = 256
# How the fake provider writes a part of the text.
PART: Final = b'"delta":{"content"'
# At a hundred streams it is too busy to connect within its default of five seconds.
SDK_SECONDS: Final = 60.0


def messages(behaviour: str = "") -> list[dict[str, Any]]:
    """Return a conversation of about a kilobyte."""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": NOTE + behaviour},
    ]


def behaviour_of(parts: int, gap: int) -> str:
    return f"bench:parts={parts},gap={gap}"


class Driver(Protocol):
    """One client of one system."""

    async def call(self) -> None:
        """Get one whole answer."""

    def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        """Get an answer in parts `gap` ms apart; yields how many arrived at once."""

    async def close(self) -> None:
        """Hang up."""


class RawDriver:
    """The raw client, to a port or through the relay's socket. Parts are counted, not read."""

    def __init__(self, *, port: int = 0, path: str | None = None) -> None:
        self._client = RawClient(port=port, path=path)
        self._plain = post(self._body(messages()))

    @staticmethod
    def _body(said: list[dict[str, Any]], **more: Any) -> bytes:
        return msgspec.json.encode(
            {
                "model": "bench-model",
                "max_completion_tokens": MAX_OUTPUT_TOKENS,
                "messages": said,
                **more,
            }
        )

    async def call(self) -> None:
        if not await self._client.call(self._plain):
            raise ValueError("an empty answer")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        body = self._body(messages(behaviour_of(parts, gap)), stream=True)
        stream = self._client.stream(post(body))
        tail = b""
        try:
            async for data in stream:
                seen = tail + data
                yield seen.count(PART)
                # Shorter than what is counted: a read may end inside of it.
                tail = seen[1 - len(PART) :]
        finally:
            await stream.aclose()

    async def close(self) -> None:
        self._client.close()


class RouterdDriver:
    """routerd's own client on asyncio, and the daemon behind it."""

    def __init__(self, path: str | None) -> None:
        self._client = Client(path)
        self._messages = messages()

    async def call(self) -> None:
        reply = await self._client.acomplete(
            TARGET, self._messages, max_output_tokens=MAX_OUTPUT_TOKENS
        )
        if reply.text != TEXT:
            raise ValueError("not the provider's answer")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        said = messages(behaviour_of(parts, gap))
        async with self._client.stream(TARGET, said, max_output_tokens=MAX_OUTPUT_TOKENS) as stream:
            async for part in stream:
                if type(part) is TextDelta:
                    yield 1

    async def close(self) -> None:
        await self._client.aclose()


class SdkDriver:
    """The vendor's own client, straight to the provider."""

    def __init__(self, port: int) -> None:
        import openai  # noqa: PLC0415 - only the vendors lock has it, and it takes half a second

        self._messages = messages()
        self._client = openai.AsyncOpenAI(
            api_key="bench",
            base_url=f"http://127.0.0.1:{port}/v1",
            max_retries=0,
            timeout=SDK_SECONDS,
        )

    async def call(self) -> None:
        reply = await self._client.chat.completions.create(
            model="bench-model",
            messages=self._messages,
            max_completion_tokens=MAX_OUTPUT_TOKENS,
        )
        if reply.choices[0].message.content != TEXT:
            raise ValueError("not the provider's answer")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        stream = await self._client.chat.completions.create(
            model="bench-model",
            messages=messages(behaviour_of(parts, gap)),
            max_completion_tokens=MAX_OUTPUT_TOKENS,
            stream=True,
        )
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield 1
        finally:
            await stream.close()

    async def close(self) -> None:
        await self._client.close()


def complete_blocking(client: Client, said: list[dict[str, Any]]) -> None:
    """Get one whole answer, waiting in this thread."""
    reply = client.complete(TARGET, said, max_output_tokens=MAX_OUTPUT_TOKENS)
    if reply.text != TEXT:
        raise ValueError("not the provider's answer")
