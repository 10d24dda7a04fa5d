"""Where a provider's access tokens come from, as settings say it; and what is wrong with that."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio.to_thread
import pytest

from routerd.app.providers import build_providers, build_targets
from routerd.app.rehearsing import with_stand_ins
from routerd.app.startup import Startup, prepare
from routerd.app.tokens import adopt_tokens
from routerd.errors import SettingsError
from routerd.providers.transport import AiohttpTransport
from tests.daemon.providers.tokens.endpoint import AUTHORIZED_USER, service_account

URI = "https://oauth2.googleapis.com/token"
HOST: Final = "https://aiplatform.googleapis.com/v1/projects"
DIRECTORY: Final = """\
[deployments."vertex/{name}"]
model = "gemini-3.8-flash"
provider = "vertex"
provider_model = "gemini-3.8-flash"
region = "{name}"
"""
COMMAND: Final = f"token_command = [{json.dumps(sys.executable)}]\n"


def started(folder: Path, text: str, **environ: str) -> Startup:
    """Read a configuration whose directory has a deployment of Vertex in two regions."""
    file, mine = folder / "routerd.toml", folder / "mine.toml"
    regions = ("global", "europe-west4")
    mine.write_text("".join(DIRECTORY.format(name=name) for name in regions), encoding="utf-8")
    file.write_text(f'directory = ["mine.toml"]\n{text}', encoding="utf-8")
    return prepare(file, {"PATH": "/usr/bin:/bin", **environ})


def with_account(folder: Path, **environ: str) -> Startup:
    (folder / "key").write_text(service_account(URI), encoding="utf-8")
    return started(folder, f'[providers.vertex]\nkey_file = "{folder / "key"}"\n', **environ)


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    built = AiohttpTransport(ssl_context=await anyio.to_thread.run_sync(ssl.create_default_context))
    yield built
    await built.aclose()


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "/p-1/locations/global"),
        ({"GOOGLE_CLOUD_PROJECT": "p-7"}, "/p-7/locations/global"),
    ],
)
def test_the_project_is_the_environments_or_that_of_the_credentials(
    tmp_path: Path, environ: dict[str, str], path: str
) -> None:
    item = with_account(tmp_path, **environ).providers["vertex"]
    assert item.entry.base_url == HOST + path
    [key] = item.keys
    assert (key.headers, key.signer, key.tokens is not None) == ([], None, True)


async def test_deployments_reach_the_address_of_their_region_with_one_token(
    tmp_path: Path, transport: AiohttpTransport
) -> None:
    read = partial(with_account, tmp_path, GOOGLE_CLOUD_LOCATION="us-central1")
    startup = await anyio.to_thread.run_sync(read)
    live = build_providers(startup.providers, transport, connect_seconds=5, user_agent="test")
    targets = build_targets(startup.directory, live)
    servers = {name: target.channel.server for name, target in targets.items()}
    assert servers == {
        "vertex/global": "aiplatform.googleapis.com:443",
        "vertex/europe-west4": "europe-west4-aiplatform.googleapis.com:443",
    }
    assert live["vertex"].channel.server == "us-central1-aiplatform.googleapis.com:443"
    url = targets["vertex/europe-west4"].channel.url("/publishers/google/models/m:generateContent")
    assert urlsplit(url).path.startswith(
        "/v1/projects/p-1/locations/europe-west4/publishers/google/"
    )
    assert len(live["vertex"].tokens) == 1
    assert {target.wire for target in targets.values()} == {"gemini"}


async def test_a_provider_that_takes_anothers_place_has_its_tokens(
    tmp_path: Path, transport: AiohttpTransport
) -> None:
    startup = await anyio.to_thread.run_sync(with_account, tmp_path)
    before, after = (
        build_providers(startup.providers, transport, connect_seconds=5, user_agent="test")
        for _ in range(2)
    )
    old, new = before["vertex"].tokens[None], after["vertex"].tokens[None]
    old._headers, old._usable_until = [(b"authorization", b"Bearer kept")], float("inf")
    adopt_tokens(after, before)
    assert await new.headers() == [(b"authorization", b"Bearer kept")]


def test_a_text_is_a_key_of_express_mode(tmp_path: Path) -> None:
    text = '[providers.vertex]\nbase_url = "https://aiplatform.googleapis.com/v1beta1"\n'
    item = started(tmp_path, f'{text}key_env = "KEY"\n', KEY="AIza-key").providers["vertex"]
    [key] = item.keys
    assert (key.headers, key.tokens) == ([(b"x-goog-api-key", b"AIza-key")], None)


def test_any_provider_may_have_a_command(tmp_path: Path) -> None:
    startup = started(tmp_path, f"[providers.openai]\n{COMMAND}", OPENAI_API_KEY="sk-unused")
    [key] = startup.providers["openai"].keys
    assert (key.headers, key.tokens is not None) == ([], True)


def test_credentials_in_a_variable_of_their_own_are_the_last_that_is_looked_for(
    tmp_path: Path,
) -> None:
    file = tmp_path / "adc.json"
    file.write_text(json.dumps(AUTHORIZED_USER), encoding="utf-8")
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    item = started(tmp_path, "[providers.vertex]\n", **named).providers["vertex"]
    assert item.entry.base_url.startswith(f"{HOST}/p-2/")
    assert item.keys[0].tokens is not None
    credential = tmp_path / "credentials"
    credential.mkdir()
    (credential / "vertex").write_text(service_account(URI), encoding="utf-8")
    named["CREDENTIALS_DIRECTORY"] = str(credential)
    item = started(tmp_path, "[providers.vertex]\n", **named).providers["vertex"]
    assert item.entry.base_url.startswith(f"{HOST}/p-1/")
    # They are for many programs: they alone enable nothing.
    assert "vertex" not in prepare(None, {**named, "OPENAI_API_KEY": "sk-a-key"}).providers


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("[providers.vertex]\n", "providers.vertex.key_file", "GOOGLE_APPLICATION_CREDENTIALS"),
        (
            f"[providers.vertex]\n{COMMAND}",
            "providers.vertex.base_url",
            "names no project",
        ),
        (
            f'[providers.vertex]\n{COMMAND}key_file = "x"\n',
            "providers.vertex.token_command",
            "leave key_file out",
        ),
        (
            f'[providers.vertex]\n{COMMAND}token_metadata = "google"\n',
            "providers.vertex.token_command",
            "leave token_metadata out",
        ),
        (
            "[providers.vertex]\ntoken_command = []\n",
            "providers.vertex.token_command",
            "a program that can be run",
        ),
        (
            "[providers.vertex]\ntoken_seconds = 0\n",
            "providers.vertex.token_seconds",
            "> 0",
        ),
        (
            "[providers.openai]\ntoken_seconds = 60\n",
            "providers.openai.token_seconds",
            "token_command, which is not set",
        ),
        (
            f"[providers.openai]\n{COMMAND}[providers.openai.keys.one]\n{COMMAND}",
            "providers.openai.token_command",
            "write it at a key of these",
        ),
        (
            f"[providers.openai.keys.one]\n{COMMAND}[providers.openai.keys.two]\n{COMMAND}",
            "providers.openai.keys.two",
            "the same key as providers.openai.keys.one",
        ),
    ],
)
def test_a_mistake_names_its_place(tmp_path: Path, text: str, key: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        started(tmp_path, text)
    assert raised.value.key == key


def test_a_location_that_cannot_be_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no region is called 'mars'"):
        with_account(tmp_path, GOOGLE_CLOUD_LOCATION="mars")


def test_credentials_are_no_key_of_others(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(service_account(URI), encoding="utf-8")
    with pytest.raises(SettingsError, match="expected one line"):
        started(tmp_path, f'[providers.openai]\nkey_file = "{tmp_path / "key"}"\n')


def test_a_rehearsal_asks_nobody_for_a_token(tmp_path: Path) -> None:
    text = f"[providers.openai]\n{COMMAND}[providers.mistral.keys.one]\n{COMMAND}"
    startup = started(tmp_path, text)
    kept = with_stand_ins(startup.settings, startup.directory, {}, "")
    assert (kept.settings.providers, kept.missing) == (startup.settings.providers, ())
    staged = with_stand_ins(startup.settings, startup.directory, {}, "", for_all=True)
    openai = staged.settings.providers["openai"]
    one = staged.settings.providers["mistral"].keys["one"]
    for table in (openai, one):
        assert table.token_command is None
        assert table.key_env in staged.stand_ins
