"""What the directory says of documents is what the wire formats do, for every provider."""

from __future__ import annotations

import pytest

from routerd.domain import Capabilities
from routerd.errors import CallRefused
from routerd.models import load_directory
from routerd.models.schema import Provider
from routerd.providers.base import ChatRequest
from routerd.providers.registry import ADAPTERS, build_adapter, documents_of
from routerd_proto.content import Document, Message, Text
from routerd_proto.frames import CallOptions

PROVIDERS = [item for item in load_directory().providers.values() if item.adapter in ADAPTERS]
SENT_ALONG = Document(data=b"%PDF-", media_type="application/pdf")
AT_AN_ADDRESS = Document(url="https://files.example/a.pdf")
IN_THE_ADDRESS = Document(url="data:application/pdf;base64,JVBERi0=")
PLAIN = Document(data=b"a text", media_type="text/plain")


def carries(provider: Provider, document: Document) -> bool:
    request = ChatRequest(
        model_id="m",
        messages=[Message("user", [document, Text("What does it say?")])],
        options=CallOptions(),
        capabilities=Capabilities(vision=True),
        stream=False,
    )
    try:
        build_adapter(provider.adapter, provider.dialect).encode(request)
    except CallRefused:
        return False
    return True


@pytest.mark.parametrize("provider", PROVIDERS, ids=[item.id for item in PROVIDERS])
def test_a_plan_knows_what_the_wire_carries(provider: Provider) -> None:
    assert provider.documents == documents_of(provider.adapter, provider.dialect)
    assert carries(provider, SENT_ALONG) == (provider.documents is not None)
    assert carries(provider, AT_AN_ADDRESS) == (provider.documents == "url")
    assert carries(provider, IN_THE_ADDRESS) == (provider.documents is not None)
    assert carries(provider, PLAIN)


def test_every_dialect_is_known_for_its_documents() -> None:
    known = {name: documents_of("openai", name) for name in ADAPTERS["openai"]}
    assert {name: value for name, value in known.items() if value} == {
        "openai": "data",
        "azure": "data",
        "azure-deployments": "data",
        "mistral": "url",
        "openrouter": "data",
    }
