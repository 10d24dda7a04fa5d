"""Azure's addresses and key header, as the adapter writes them and the simulator reads them."""

from __future__ import annotations

import ssl

import httpx
import pytest

from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.transport import AiohttpTransport, Channel
from routerd.simulate import Simulator, expected_text
from tests.daemon.providers.drive import decode, request, text_in

MODEL = "gpt-6-luna"


@pytest.mark.parametrize(
    ("dialect", "base"),
    [
        ("azure", "/openai/v1"),
        ("azure-deployments", "/openai?api-version=2024-10-21"),
        ("azure-deployments", "/openai/?api-version=2024-10-21"),
    ],
)
async def test_both_addresses(simulator: Simulator, dialect: str, base: str) -> None:
    adapter = OpenAIAdapter(DIALECTS[dialect])
    sent = adapter.encode(request(MODEL))
    nowhere = AiohttpTransport(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    url = Channel(nowhere, simulator.base_url + base, [], connect_seconds=5.0).url(sent.path)
    async with httpx.AsyncClient(trust_env=False) as client:
        keyless = await client.post(url, content=sent.body)
        key = adapter.authorize("a-key")
        answer = await client.post(url, headers=key, content=sent.body)
        bare = await client.post(url.partition("?")[0], headers=key, content=sent.body)
    assert (keyless.status_code, answer.status_code) == (401, 200)
    assert bare.status_code == (404 if "deployments" in dialect else 200)
    parts, outcome = decode(adapter, [answer.content], stream=False)
    assert outcome.complete
    assert text_in(parts) == expected_text(MODEL, "Hi")
