"""Several keys of one provider: each found, each with its own limits, channel and mask."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread
import pytest
from msgspec import structs

from routerd.app.providers import (
    LiveProvider,
    Wanted,
    build_providers,
    build_targets,
    live_local,
)
from routerd.app.startup import Startup, prepare
from routerd.errors import SettingsError
from routerd.models.schema import Provider
from routerd.providers.transport import AiohttpTransport, Sending, Transport
from routerd.simulate import Simulator
from routerd.simulate.exchange import Asked
from tests.daemon.execute.scripted import Vendor

ONE, TWO = "sk-key-number-one", "sk-key-number-two"
TWO_KEYS: Final = """
[providers.openai.keys.one]
key_env = "ONE"
calls_a_minute = 5
tokens_a_minute = 100
[providers.openai.keys.one.free."*"]
calls = 3
resets_at = "01:30"
[providers.openai.keys.two]
key_env = "TWO"
"""
BOTH: Final = {"ONE": ONE, "TWO": TWO}


def started(folder: Path, text: str, **environ: str) -> Startup:
    file = folder / "routerd.toml"
    file.write_text(text, encoding="utf-8")
    return prepare(file, environ)


@pytest.fixture
def two_keys(tmp_path: Path) -> Startup:
    return started(tmp_path, TWO_KEYS, **BOTH)


def called(providers: Mapping[str, Wanted], transport: Transport) -> dict[str, LiveProvider]:
    return build_providers(providers, transport, connect_seconds=5, user_agent="test")


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    # No authorities: nothing here is encrypted, and reading them would block.
    transport = AiohttpTransport(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    yield transport
    await transport.aclose()


def test_every_key_has_its_limits_in_the_order_of_the_file(two_keys: Startup) -> None:
    keys = two_keys.providers["openai"].keys
    assert [key.limits.name for key in keys] == ["one", "two"]
    one, two = (key.limits for key in keys)
    assert (one.calls_a_minute, one.tokens_a_minute) == (5, 100)
    assert (one.free["*"].calls, one.free["*"].tokens, one.free["*"].then) == (3, None, "paid")
    assert one.free["*"].window.begins == 90
    assert (two.calls_a_minute, two.tokens_a_minute, two.free) == (None, None, {})


def test_the_only_key_has_no_name_and_a_free_tier_of_the_provider(tmp_path: Path) -> None:
    text = '[providers.openai]\nkey_env = "ONE"\nfree."*" = { tokens = 7, then = "refused" }\n'
    (key,) = started(tmp_path, text, **BOTH).providers["openai"].keys
    assert key.limits.name is None
    assert (key.limits.free["*"].tokens, key.limits.free["*"].then) == (7, "refused")


def test_a_tier_is_for_a_model_of_the_provider_or_a_deployment(tmp_path: Path) -> None:
    directory = prepare(None, {"OPENAI_API_KEY": ONE}).directory
    deployment = next(item for item in directory.deployments.values() if item.provider == "openai")
    for name in (deployment.id, deployment.provider_model):
        text = f'[providers.openai]\nfree."{name}" = {{ calls = 1 }}\n'
        (key,) = started(tmp_path, text, OPENAI_API_KEY=ONE).providers["openai"].keys
        assert list(key.limits.free) == [name]


MISTAKES = [
    ('free."no-such-model" = { calls = 1 }', "free.no-such-model", "is no model of this provider"),
    ('free."*" = { then = "paid" }', "free.*", "limits nothing: expected calls or tokens"),
    ('free."*" = { calls = 1, time_zone = "Moon" }', "free.*.time_zone", "no known time zone"),
    ('key_env = "ONE"\n[providers.openai.keys.a]', "key_env", "is for a provider with one key"),
    ('key_file = "x"\n[providers.openai.keys.a]', "key_file", "is for a provider with one key"),
    ("keyless = true\n[providers.openai.keys.a]", "keyless", "is for a provider with one key"),
    (
        'free."*" = { calls = 1 }\n[providers.openai.keys.a]',
        "free",
        "is for a provider with one key",
    ),
    ("[providers.openai.keys.a]", "keys.a.key_file", "credential named openai.a"),
    ('[providers.openai.keys."a/b"]\nkey_env = "ONE"', "keys.a/b", "letters, digits, - and _"),
    (
        '[providers.openai.keys.a]\nkey_env = "ONE"\n[providers.openai.keys.b]\nkey_env = "ONE"',
        "keys.b",
        "is the same key as providers.openai.keys.a",
    ),
    (
        '[providers.openai.keys.a]\nkey_env = "ONE"\nfree.nothing = { calls = 1 }',
        "keys.a.free.nothing",
        "is no model of this provider",
    ),
]


@pytest.mark.parametrize(("text", "place", "expected"), MISTAKES)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, place: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        started(tmp_path, f"[providers.openai]\n{text}\n", OPENAI_API_KEY=ONE, **BOTH)
    error = caught.value
    assert error.file == str(tmp_path / "routerd.toml")
    assert error.key == f"providers.openai.{place}"
    assert expected in error.expected
    assert ONE not in str(error)


def test_an_empty_text_beside_keys_is_an_unset_one(tmp_path: Path) -> None:
    text = f'[providers.openai]\nkey_env = ""\nkey_file = ""\n{TWO_KEYS}'
    assert len(started(tmp_path, text, **BOTH).providers["openai"].keys) == 2


def test_models_that_nobody_knows_yet_are_not_refused(tmp_path: Path) -> None:
    text = """
        [providers.box]
        adapter = "openai"
        boundary = "own-network"
        base_url = "http://10.1.2.3:8000/v1"
        free.anything = { calls = 1 }
    """
    (key,) = started(tmp_path, text).providers["box"].keys
    assert list(key.limits.free) == ["anything"]


def test_keys_do_not_show_themselves(two_keys: Startup) -> None:
    shown = f"{two_keys.providers} {two_keys.providers['openai'].keys}"
    assert "WantedKey one" in shown
    assert ONE not in shown


async def test_each_key_is_sent_by_a_channel_of_its_own(
    two_keys: Startup, transport: AiohttpTransport
) -> None:
    sent: list[str] = []

    def authenticate(asked: Asked) -> None:
        sent.append(asked.headers.get("authorization", ""))

    async with Simulator(vendors=["openai"]) as simulator:
        simulator._vendors["openai"].authenticate = authenticate  # type: ignore[method-assign]
        item = two_keys.providers["openai"]
        entry = structs.replace(item.entry, base_url=f"{simulator.base_url}/openai/v1")
        (live,) = called({"openai": structs.replace(item, entry=entry)}, transport).values()
        for key in live.keys:
            response = await key.channel.send("/chat/completions", [], b"{}", Sending())
            await response.aclose()
        await live.channel.warm("/models", 1, 5)
    assert sent == [f"Bearer {ONE}", f"Bearer {TWO}", f"Bearer {ONE}"]


async def test_each_channel_masks_its_own_key(
    two_keys: Startup, transport: AiohttpTransport
) -> None:
    live = called(two_keys.providers, transport)
    for key, secret in zip(live["openai"].keys, (ONE, TWO), strict=True):
        assert secret not in key.channel.redact(f"Incorrect API key provided: {secret}")


async def test_targets_can_be_called_with_every_key(
    two_keys: Startup, transport: AiohttpTransport
) -> None:
    live = called(two_keys.providers, transport)
    targets = build_targets(two_keys.directory, live)
    assert targets
    for target in targets.values():
        assert [key.name for key in target.keys] == ["one", "two"]
        assert target.channel is target.keys[0].channel is live["openai"].channel


async def test_a_channel_given_alone_sends_the_only_key(transport: AiohttpTransport) -> None:
    async with Vendor() as vendor:
        (key,) = vendor.target().keys
        assert (key.name, key.channel) == (None, vendor.channel)
    entry = Provider(
        id="ollama", adapter="openai", base_url="http://127.0.0.1:1/v1", boundary="machine"
    )
    local = live_local(entry, transport, connect_seconds=5, user_agent="test")
    assert [key.name for key in local.keys] == [None]


AWS: Final = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a/secret+of+forty"}


async def test_credentials_of_aws_sign_and_are_never_sent(
    tmp_path: Path, transport: AiohttpTransport
) -> None:
    async with Simulator() as simulator:
        text = f"[providers.bedrock]\nbase_url = '{simulator.base_url}/bedrock'\n"
        startup = await anyio.to_thread.run_sync(partial(started, tmp_path, text, **AWS))
        [key] = startup.providers["bedrock"].keys
        assert key.headers == []
        assert key.signer is not None
        channel = called(startup.providers, transport)["bedrock"].channel
        body = b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}'
        headers = [(b"content-type", b"application/json")]
        path = "/model/amazon.nova-pro-v1%3A0/converse"
        response = await channel.send(path, headers, body, Sending())
        assert response.status_code == 200
        await response.aclose()
    assert channel.redact("no a/secret+of+forty here") == "no *** here"


def test_a_bearer_key_goes_before_credentials(tmp_path: Path) -> None:
    environ = {**AWS, "AWS_BEARER_TOKEN_BEDROCK": "ABSK-bearer"}
    [key] = started(tmp_path, "[providers.bedrock]\n", **environ).providers["bedrock"].keys
    assert key.headers == [(b"authorization", b"Bearer ABSK-bearer")]
    assert key.signer is None
    assert "bedrock" not in prepare(None, {**AWS, "OPENAI_API_KEY": ONE}).providers


async def test_each_deployment_reaches_its_regions_address(
    tmp_path: Path, transport: AiohttpTransport
) -> None:
    text = "[providers.bedrock]\nbase_url = 'https://bedrock-runtime.eu-west-1.amazonaws.com'\n"
    startup = await anyio.to_thread.run_sync(partial(started, tmp_path, text, **AWS))
    providers = called(startup.providers, transport)
    targets = build_targets(startup.directory, providers)
    servers = {
        name: targets[f"bedrock/{name}.anthropic.claude-opus-5-5"].channel.server
        for name in ("us", "global")
    }
    assert servers == {
        "us": "bedrock-runtime.us-east-1.amazonaws.com:443",
        "global": "bedrock-runtime.eu-west-1.amazonaws.com:443",
    }
    for target in targets.values():
        assert target.keys[0].channel is target.channel
        assert providers["bedrock"].channels[target.channel.server] is target.channel
    assert set(providers["bedrock"].channels) == set(servers.values())


def test_the_environment_names_the_region_of_a_provider_that_names_none(tmp_path: Path) -> None:
    def address(text: str, region: str) -> str:
        startup = started(tmp_path, text, **AWS, AWS_REGION=region)
        return startup.providers["bedrock"].entry.base_url

    chosen = "https://bedrock-runtime.eu-west-3.amazonaws.com"
    assert address("[providers.bedrock]\n", "eu-west-3") == chosen
    named = f"[providers.bedrock]\nbase_url = '{chosen}'\n"
    assert address(named, "ap-south-1") == chosen
    with pytest.raises(SettingsError, match="no region is called 'Frankfurt'") as caught:
        address("[providers.bedrock]\n", "Frankfurt")
    assert caught.value.key == "providers.bedrock.base_url"


def test_a_session_signs_with_its_token_for_the_region_of_the_environment(tmp_path: Path) -> None:
    text = "[providers.bedrock]\nbase_url = 'https://gateway.example'\n"
    session = {**AWS, "AWS_SESSION_TOKEN": "a+token==", "AWS_REGION": "eu-west-1"}
    [key] = started(tmp_path, text, **session).providers["bedrock"].keys
    assert key.signer is not None
    signed = dict(key.signer.sign("POST", "gateway.example", "/model/m", [], b"", 0.0))
    assert signed[b"x-amz-security-token"] == b"a+token=="
    assert b"/eu-west-1/bedrock/aws4_request" in signed[b"authorization"]
