"""What is settled before the loop runs: providers joined from file, directory and keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from routerd.app.addresses import is_this_machine
from routerd.app.providers import tell_unproven, unproven
from routerd.app.startup import Startup, prepare, prepare_transport
from routerd.errors import SettingsError, StartError
from routerd.telemetry.events import Event, OwnNetworkUnproven

KEY = "sk-key-of-a-test"


def started(folder: Path, text: str, **environ: str) -> Startup:
    file = folder / "routerd.toml"
    file.write_text(text, encoding="utf-8")
    return prepare(file, environ)


def sent_keys(startup: Startup, provider: str) -> list[str]:
    """Return the secrets that are sent to a provider, one for each of its keys."""
    return [
        value.decode().removeprefix("Bearer ")
        for key in startup.providers[provider].keys
        for name, value in key.headers
        if name == b"authorization"
    ]


def test_without_a_file_keys_of_the_environment_enable_their_providers() -> None:
    startup = prepare(None, {"OPENAI_API_KEY": KEY, "MISTRAL_API_KEY": " ", "OTHER_API_KEY": KEY})
    assert list(startup.providers) == ["openai"]
    assert sent_keys(startup, "openai") == [KEY]


def test_search_has_keys_like_chat_and_a_format_has_to_be_there(tmp_path: Path) -> None:
    environ = {"VOYAGE_API_KEY": KEY, "COHERE_API_KEY": KEY}
    assert list(prepare(None, environ).providers) == ["cohere", "voyage"]
    known = "expected one of anthropic, bedrock, cohere, gemini, openai"
    with pytest.raises(SettingsError, match=known) as caught:
        started(tmp_path, '[providers.voyage]\nadapter = "telegraph"\n', **environ)
    assert caught.value.key == "providers.voyage.adapter"


def test_with_a_file_they_do_not(tmp_path: Path) -> None:
    assert started(tmp_path, "", OPENAI_API_KEY=KEY).providers == {}


def test_a_disabled_provider_needs_no_key(tmp_path: Path) -> None:
    text = "[providers.openai]\nenabled = false\n[providers.anthropic]\nkeyless = true\n"
    assert list(started(tmp_path, text).providers) == ["anthropic"]


def test_nothing_to_find_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"name a provider in .*routerd\.toml"):
        started(tmp_path, "[discovery]\nlocal_servers = false\n")


def test_the_file_comes_before_the_directory(tmp_path: Path) -> None:
    text = '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1/"\nkey_env = "MY_KEY"\n'
    startup = started(tmp_path, text, MY_KEY=KEY)
    entry = startup.providers["openai"].entry
    assert (entry.base_url, entry.boundary) == ("http://127.0.0.1:1/v1", "vendor")
    assert startup.directory.providers["openai"] == entry


@pytest.mark.parametrize("address", ["http://192.0.2.7:11434/v1", "http://gpu-box/v1"])
def test_another_machine_is_not_called_this_one(tmp_path: Path, address: str) -> None:
    text = f'[providers.ollama]\nbase_url = "{address}"\n'
    with pytest.raises(SettingsError, match=r"providers\.ollama\.boundary: cannot be machine"):
        started(tmp_path, text)
    startup = started(tmp_path, text + 'boundary = "own-network"\n')
    assert startup.providers["ollama"].entry.boundary == "own-network"


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://h:port", "http://[::1"]
)
def test_an_address_must_be_one(tmp_path: Path, address: str) -> None:
    text = f'[providers.openai]\nkeyless = true\nbase_url = "{address}"\n'
    with pytest.raises(SettingsError, match=r"providers\.openai\.base_url: expected an address"):
        started(tmp_path, text)


def test_a_key_does_not_show_itself(tmp_path: Path) -> None:
    startup = started(tmp_path, "[providers.openai]\n", OPENAI_API_KEY=KEY)
    assert KEY not in repr(startup.providers)


def test_simulation_takes_neither_keys_nor_providers_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text("[providers.mistral]\n[limits]\nin_flight = 7\n")
    startup = prepare(file, {"OPENAI_API_KEY": KEY}, simulated=True)
    assert list(startup.providers) == ["anthropic", "openai", "voyage"]
    assert all(item.simulated for item in startup.providers.values())
    assert KEY not in sent_keys(startup, "openai")
    assert startup.settings.limits.in_flight == 7
    assert not startup.settings.discovery.local_servers


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    text = '[egress]\nca_file = "/nonexistent.pem"\n[providers.openai]\nkeyless = true\n'
    with pytest.raises(SettingsError, match=r"routerd\.toml: egress\.ca_file: .*PEM"):
        prepare_transport(started(tmp_path, text))


def test_a_machine_boundary_needs_an_address_of_this_machine(tmp_path: Path) -> None:
    text = '[providers.box]\nadapter = "openai"\nkeyless = true\nboundary = "machine"\nbase_url = '
    with pytest.raises(SettingsError, match=r"providers\.box\.boundary: cannot be machine"):
        started(tmp_path, f'{text}"http://10.1.2.3:8000/v1"\n')
    startup = started(tmp_path, f'{text}"http://127.0.0.1:8000/v1"\n')
    assert startup.providers["box"].entry.boundary == "machine"


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost.", True),
        ("LOCALHOST", True),
        ("127.1", True),
        ("2130706433", True),
        ("0x7f.1", True),
        ("[::ffff:127.0.0.1]", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("134744072", False),
        ("127.0.0.1.example.org", False),
        ("x.localhost", False),
    ],
)
def test_only_an_address_of_this_machine_is_this_machine(host: str, *, is_here: bool) -> None:
    assert is_this_machine(f"http://{host}:8000/v1") == is_here


def test_an_address_holds_no_password(tmp_path: Path) -> None:
    text = '[providers.openai]\nkeyless = true\nbase_url = "https://user:hunter2@example.org/v1"\n'
    with pytest.raises(SettingsError, match=r"providers\.openai\.base_url") as caught:
        started(tmp_path, text)
    assert "hunter2" not in str(caught.value)


def test_a_vendor_nobody_describes_is_refused(tmp_path: Path) -> None:
    text = '[providers.acme]\nadapter = "openai"\nkeyless = true\nboundary = "vendor"\n'
    with pytest.raises(SettingsError, match=r"providers\.acme: serves nothing"):
        started(tmp_path, f'{text}base_url = "https://acme.example/v1"\n')


def test_a_start_does_not_show_its_environment(tmp_path: Path) -> None:
    startup = started(tmp_path, "[providers.openai]\n", OPENAI_API_KEY=KEY)
    assert KEY not in repr(startup)


def test_a_boundary_is_checked_against_the_address_of_the_directory_too(tmp_path: Path) -> None:
    """Else a private call would go to a vendor whom a file calls a part of this machine."""
    for boundary, what in (("machine", "not on this machine"), ("own-network", "that of openai")):
        text = f'[providers.openai]\nkeyless = true\nboundary = "{boundary}"\n'
        with pytest.raises(
            SettingsError, match=rf"providers\.openai\.boundary: cannot be .*{what}"
        ):
            started(tmp_path, text)


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("http://10.1.2.3:8000/v1", True),
        ("http://192.168.0.9/v1", True),
        ("http://[fd00::1]:8000/v1", True),
        ("http://gpu-box.lan/v1", True),
        ("http://8.8.8.8/v1", False),
        ("https://api.openai.com/v1", False),
        ("https://eu.api.openai.com/v1", False),
        ("http://0x0a.1.2.3/v1", True),
        ("http://api.openai.com.lan/v1", True),
        ("https://api.openai.com./v1", False),
        ("https://API.OpenAI.com/v1", False),
        ("https://api\uff0eopenai\u3002com/v1", False),
        ("http://134744072/v1", False),
        ("http://0x08080808/v1", False),
        ("http://0x8.0x8.0x8.0x8/v1", False),
        ("http://010.010.010.010/v1", False),
        ("http://8.8.2056/v1", False),
        ("http://8.526344./v1", False),
        ("http://[::ffff:8.8.8.8]/v1", False),
        ("http://[2001:4860:4860::8888]/v1", False),
        ("https://api.together.xyz/v1", False),
        ("https://eu.api.together.xyz/v1", False),
        ("https://mine.openai.azure.com/openai/v1", False),
        ("https://europe-west4-aiplatform.googleapis.com/v1", False),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com/v1", False),
        ("https://ollama.com/v1", False),
    ],
)
def test_an_own_network_has_no_address_of_somebody_else(
    tmp_path: Path, address: str, *, is_own: bool
) -> None:
    text = (
        '[providers.box]\nadapter = "openai"\nkeyless = true\nboundary = "own-network"\n'
        f'base_url = "{address}"\n'
    )
    if is_own:
        assert started(tmp_path, text).providers["box"].entry.boundary == "own-network"
    else:
        with pytest.raises(SettingsError, match=r"providers\.box\.boundary: cannot be own-network"):
            started(tmp_path, text)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://llm.example.com/v1", "llm.example.com"),
        ("https://LLM.Example.com.:8443/v1", "llm.example.com"),
        ("http://local.attacker.net/v1", "local.attacker.net"),
        ("http://gpu-box/v1", None),
        ("http://gpu-box.lan:8000/v1", None),
        ("http://gpu.home.arpa/v1", None),
        ("http://vllm.models.svc/v1", None),
        ("http://vllm.models.svc.cluster.local/v1", None),
        ("http://gpu.corp.internal/v1", None),
        ("http://10.0.0.7:8000/v1", None),
        ("http://[fd00::7]:8000/v1", None),
    ],
)
def test_a_name_of_the_internet_is_told_where_it_is_taken_for_ones_own(
    tmp_path: Path, address: str, name: str | None
) -> None:
    text = (
        '[providers.box]\nadapter = "openai"\nkeyless = true\nboundary = "own-network"\n'
        f'base_url = "{address}"\n'
    )
    entries = [item.entry for item in started(tmp_path, text).providers.values()]
    assert unproven(entries) == ({} if name is None else {"box": name})
    told: list[Event] = []
    tell_unproven(entries, told.append)
    expected = [] if name is None else [OwnNetworkUnproven(provider="box", host=name)]
    assert told == expected
    # Of what is a vendor's anyway, nobody need be told.
    assert unproven([structs.replace(item, boundary="vendor") for item in entries]) == {}


def test_a_cloud_behind_this_machine_is_not_called_this_machine(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[providers.cloud]\nadapter = "openai"\nbase_url = "http://127.0.0.1:11434/v1"\n'
        'boundary = "vendor"\n[deployments."cloud/x"]\nmodel = "gpt-oss-120b"\n'
        'provider = "cloud"\nprovider_model = "gpt-oss:120b-cloud"\n'
    )
    text = 'directory = ["own.toml"]\n[providers.cloud]\nkeyless = true\n'
    assert started(tmp_path, text).providers["cloud"].entry.boundary == "vendor"
    with pytest.raises(SettingsError, match=r"providers\.cloud\.boundary: .*only sends cloud/x on"):
        started(tmp_path, text + 'boundary = "machine"\n')


def test_a_contract_is_with_a_vendor(tmp_path: Path) -> None:
    text = "[providers.ollama]\ncontracted = true\n"
    with pytest.raises(SettingsError, match=r"providers\.ollama\.contracted: is for vendors"):
        started(tmp_path, text)
