"""Where local servers are looked for, and what of them is on this machine."""

from __future__ import annotations

import pytest

from routerd.app.local_servers import ollama_address, places_to_look
from routerd.errors import StartError
from routerd.models import load_directory

KNOWN = load_directory().providers


def places(**environ: str) -> dict[str, tuple[str, str]]:
    return {item.id: (item.base_url, item.boundary) for item in places_to_look(KNOWN, environ)}


def test_the_usual_ports_are_looked_at() -> None:
    assert places() == {
        "ollama": ("http://127.0.0.1:11434/v1", "machine"),
        "vllm": ("http://127.0.0.1:8000/v1", "machine"),
        "llamacpp": ("http://127.0.0.1:8080/v1", "machine"),
    }


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v1"),
        (":5000", "http://127.0.0.1:5000/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:5000", "http://127.0.0.1:5000/v1"),
        ("http://127.0.0.1", "http://127.0.0.1:80/v1"),
        ("https://ollama.test", "https://ollama.test:443/v1"),
        ("https://ollama.test:1/", "https://ollama.test:1/v1"),
        ("gpu-box/models/", "http://gpu-box:11434/models/v1"),
        ("::1", "http://[::1]:11434/v1"),
        ("[::1]:5000", "http://[::1]:5000/v1"),
        ("[::]:5000", "http://[::1]:5000/v1"),
        ("ftp://127.0.0.1", None),
        ("127.0.0.1:port", None),
        ("[::1", None),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, address: str | None) -> None:
    assert ollama_address(host) == address
    found = places(OLLAMA_HOST=f" {host} ").get("ollama")
    assert (found[0] if found else None) == address
    assert places(OLLAMA_HOST="")["ollama"][0] == "http://127.0.0.1:11434/v1"


def test_a_server_on_another_machine_is_none_of_this_machine() -> None:
    assert places(OLLAMA_HOST="gpu-box")["ollama"][1] == "own-network"
    assert places(OLLAMA_HOST="192.0.2.1:11434")["ollama"][1] == "own-network"
    assert places(OLLAMA_HOST="localhost")["ollama"][1] == "machine"
    assert places(OLLAMA_HOST="127.8.9.1")["ollama"][1] == "machine"
    elsewhere = places(ROUTERD_LOCAL_SERVERS="vllm=http://127.0.0.1.example.org/v1")
    assert elsewhere["vllm"][1] == "own-network"


def test_what_is_somebody_elses_is_no_server_of_ones_own() -> None:
    for host in ("ollama.com", "https://ollama.com", "https://ollama.com.", "8.8.8.8", "134744072"):
        assert "ollama" not in places(OLLAMA_HOST=host)
    for url in ("https://api.openai.com./v1", "http://8.8.8.8/v1", "https://api.together.xyz/v1"):
        with pytest.raises(StartError, match="no server of your own"):
            places(ROUTERD_LOCAL_SERVERS=f"vllm={url}")


def test_the_variable_names_all_places() -> None:
    assert places(ROUTERD_LOCAL_SERVERS="") == {}
    named = " vllm=http://127.0.0.1:1/v1/ , ollama=https://gpu.test/v1,"
    assert places(ROUTERD_LOCAL_SERVERS=named, OLLAMA_HOST="elsewhere") == {
        "vllm": ("http://127.0.0.1:1/v1", "machine"),
        "ollama": ("https://gpu.test/v1", "own-network"),
    }


@pytest.mark.parametrize(
    "named",
    ["ollama", "ollama=", "openai=http://127.0.0.1/v1", "vllm=127.0.0.1:8000", "x=http:///"],
)
def test_what_cannot_be_meant_is_refused(named: str) -> None:
    with pytest.raises(StartError, match=r"expected kind=URL with a kind of ollama, vllm"):
        places(ROUTERD_LOCAL_SERVERS=named)
