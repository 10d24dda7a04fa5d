"""The callers of other routers, in the shape of `bench.drivers.Driver`.

Rules of this file: a driver does what that router's own documentation shows, no more. A library is
imported by the driver that needs it, since each is in an environment of its own.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.drivers import MAX_OUTPUT_TOKENS, behaviour_of, messages
from bench.fake_provider import TEXT
from bench.raw_client import RawClient, post

__all__ = ["MODEL", "GatewayDriver", "LitellmDriver", "PartCounter", "TensorzeroDriver"]

MODEL: Final = "bench-model"
# How each gateway writes a part of the text; an empty one is none.
PART: Final = re.compile(rb'"delta":\{"content":"[^"]')
PART_BYTES: Final = len(b'"delta":{"content":"x')
TENSORZERO: Final = """\
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true

[models.{model}]
routing = ["bench"]

[models.{model}.providers.bench]
type = "openai"
model_name = "{model}"
api_base = "http://127.0.0.1:{port}/v1/"
api_key_location = "env::BENCH_KEY"
"""


class PartCounter:
    """Counts the parts of a stream in its bytes, however they are cut."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> int:
        """Return how many parts are complete now that were not before."""
        seen = self._tail + data
        # Shorter than what is looked for, which is of one length: nothing is found twice.
        self._tail = seen[1 - PART_BYTES :]
        return len(PART.findall(seen))


class GatewayDriver:
    """The raw client, to a router that speaks the wire of Chat Completions on a port."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._client = RawClient(port=port)
        self._headers = headers
        self._plain = self._post(messages())

    def _post(self, said: list[dict[str, Any]], **more: Any) -> bytes:
        body = {"model": MODEL, "max_completion_tokens": MAX_OUTPUT_TOKENS, "messages": said}
        return post(msgspec.json.encode({**body, **more}), self._headers)

    async def call(self) -> None:
        if TEXT.encode() not in await self._client.call(self._plain):
            raise ValueError("not the provider's answer")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        stream = self._client.stream(self._post(messages(behaviour_of(parts, gap)), stream=True))
        parts_seen = PartCounter()
        try:
            async for data in stream:
                yield parts_seen.feed(data)
        finally:
            await stream.aclose()

    async def close(self) -> None:
        self._client.close()


class LitellmDriver:
    """LiteLLM as a library, in this process."""

    def __init__(self, port: int) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        os.environ["LITELLM_LOG"] = "ERROR"
        import litellm  # noqa: PLC0415 - it is in an environment of its own

        self._complete = litellm.acompletion
        self._options: dict[str, Any] = {
            "model": f"openai/{MODEL}",
            "api_base": f"http://127.0.0.1:{port}/v1",
            "api_key": "bench",
            "max_completion_tokens": MAX_OUTPUT_TOKENS,
            "max_retries": 0,
        }
        self._messages = messages()

    async def call(self) -> None:
        reply = await self._complete(messages=self._messages, **self._options)
        if reply.choices[0].message.content != TEXT:
            raise ValueError("not the provider's answer")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        said = messages(behaviour_of(parts, gap))
        stream = await self._complete(messages=said, stream=True, **self._options)
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield 1
        finally:
            await stream.aclose()

    async def close(self) -> None:
        return


class TensorzeroDriver:
    """TensorZero's gateway inside of this process. It cannot be told to leave a stream."""

    def __init__(self, port: int) -> None:
        os.environ["BENCH_KEY"] = "bench"
        self._port = port
        self._gateway: Any = None
        said = messages()
        self._input = self._input_of(said)
        self._options = {
            "model_name": MODEL,
            "params": {"chat_completion": {"max_tokens": MAX_OUTPUT_TOKENS}},
        }

    @staticmethod
    def _input_of(said: list[dict[str, Any]]) -> dict[str, Any]:
        return {"system": said[0]["content"], "messages": said[1:]}

    def _write(self, folder: str) -> str:
        file = Path(folder, "tensorzero.toml")
        file.write_text(TENSORZERO.format(model=MODEL, port=self._port))
        return str(file)

    async def _open(self) -> Any:
        if self._gateway is None:
            # It is in an environment of its own.
            from tensorzero import AsyncTensorZeroGateway  # noqa: PLC0415

            with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name:
                opening = AsyncTensorZeroGateway.build_embedded(config_file=self._write(name))
                self._gateway = await opening
        return self._gateway

    async def call(self) -> None:
        gateway = self._gateway or await self._open()
        reply = await gateway.inference(input=self._input, **self._options)
        if reply.content[0].text != TEXT:
            raise ValueError("not the provider's answer")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        gateway = self._gateway or await self._open()
        asked = self._input_of(messages(behaviour_of(parts, gap)))
        async for chunk in await gateway.inference(input=asked, stream=True, **self._options):
            yield sum(1 for each in chunk.content if each.text)

    async def close(self) -> None:
        return
