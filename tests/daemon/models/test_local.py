from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Struct

from routerd.domain import Capabilities, Kind
from routerd.models import LOCAL_PRICE, Directory, Price, Provider, UnknownTarget, load_directory
from routerd.models.local import normalise, strip_format

PACKAGED = load_directory()


class Listed(Struct, frozen=True):
    id: str
    context_window: int | None = None
    kind: Kind | None = None


def with_ollama(*ids: str) -> Directory:
    return PACKAGED.with_local_models("ollama", [Listed(item) for item in ids])


def model_behind(listed_id: str) -> str:
    return with_ollama(listed_id).deployments[f"ollama/{listed_id}"].model


@pytest.mark.parametrize(
    ("listed_id", "model"),
    [
        ("gpt-oss:20b", "gpt-oss-20b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b"),
        ("gpt-oss-120b-mxfp4-00001-of-00003.gguf", "gpt-oss-120b"),
        ("hf.co/unsloth/gpt-oss-20b-GGUF:Q4_K_M", "gpt-oss-20b"),
        ("hf.co/unsloth/gpt-oss-20b-GGUF:latest", "gpt-oss-20b"),
        ("qwen3:8b", "qwen3-8b"),
        ("qwen3:8b-q4_K_M", "qwen3-8b"),
        ("Qwen/Qwen3-8B-AWQ", "qwen3-8b"),
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b"),
        ("/srv/weights/Qwen3-8B-Q5_K_S.gguf", "qwen3-8b"),
        ("C:\\weights\\Qwen3-8B-IQ3_XXS.gguf", "qwen3-8b"),
        ("Qwen3-8B-UD-Q4_K_XL.gguf", "qwen3-8b"),
        ("mlx-community/Qwen3-8B-4bit", "qwen3-8b"),
        ("llama3.3:70b", "llama-3.3-70b-instruct"),
        ("llama3.3:70b-instruct-q4_K_M", "llama-3.3-70b-instruct"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b-instruct"),
        ("Meta-Llama-3.1-8B-Instruct-Q8_0.gguf", "llama-3.1-8b-instruct"),
        ("gemma3:27b", "gemma-3-27b-it"),
        ("gemma3:27b-it-qat", "gemma-3-27b-it"),
        ("google/gemma-3-27b-it", "gemma-3-27b-it"),
        ("gemma4:31b", "gemma-4-31b-it"),
        ("phi4:14b", "phi-4"),
        ("mistral-small3.2:24b", "mistral-small-2506"),
    ],
)
def test_a_known_name_is_recognised_however_it_is_packed(listed_id: str, model: str) -> None:
    assert model_behind(listed_id) == model


@pytest.mark.parametrize(
    "listed_id",
    [
        "my-finetune:latest",
        "qwen3:latest",
        "qwen3:30b",
        "qwen3:8b-base",
        "Qwen3-8B-abliterated-Q4_K_M.gguf",
        "someone/qwen3-8b-my-domain",
        "deepseek-r1:8b",
        "llama3.3:8b",
        "gpt-oss-20b-derestricted",
        "gpt-oss-safeguard:20b",
    ],
)
def test_a_similar_name_is_another_model(listed_id: str) -> None:
    directory = with_ollama(listed_id)
    assert model_behind(listed_id) == f"ollama/{listed_id}"
    model = directory.models[f"ollama/{listed_id}"]
    assert model.scores == type(model.scores)()
    assert model.capabilities == Capabilities()
    assert model.context_window is None
    assert model.model_class == "open-weight"
    assert (model.backup, model.secondary_backup) == (None, None)


@pytest.mark.parametrize("listed_id", ["openai/whisper-large-v3", "FLUX.1-dev", "tts-1", ""])
def test_what_is_for_no_kind_of_call_is_left_out(listed_id: str) -> None:
    assert with_ollama(listed_id).deployments == PACKAGED.deployments


@pytest.mark.parametrize(
    ("listed_id", "kind"),
    [
        ("nomic-embed-text:latest", "embedding"),
        ("mxbai-embed-large", "embedding"),
        ("snowflake-arctic-embed2:568m", "embedding"),
        ("BAAI/bge-m3", "embedding"),
        ("all-minilm:22m", "embedding"),
        ("Qwen/Qwen3-Embedding-8B", "embedding"),
        ("intfloat/multilingual-e5-large", "embedding"),
        ("Qwen3-Reranker-4B-Q8_0.gguf", "rerank"),
        ("BAAI/bge-reranker-v2-m3", "rerank"),
    ],
)
def test_what_embeds_or_ranks_serves_whoever_names_it_and_nobody_else(
    listed_id: str, kind: Kind
) -> None:
    directory = with_ollama(listed_id, "qwen3:8b")
    name = f"ollama/{listed_id}"
    found = directory.resolve(name)
    assert [item.id for item in found.candidates] == [name]
    assert (found.serves, found.backups) == (kind, ())
    model, deployment = directory.models[name], directory.deployments[name]
    assert (model.kind, model.model_class, deployment.kind) == (kind, kind, kind)
    assert (deployment.price, deployment.boundary) == (LOCAL_PRICE, "machine")
    for target in (*directory.classes, *directory.shortcuts):
        assert name not in [item.id for item in directory.resolve(target).candidates]
    # And what it was decided by is the same when it is read again.
    again = Directory.from_document(directory.document())
    assert again.deployments == directory.deployments
    assert again.models == directory.models


def test_a_server_that_says_what_a_model_is_for_is_believed() -> None:
    listed = [Listed("all-mpnet-base-v2", 384, "embedding"), Listed("a-tts", None, "rerank")]
    directory = PACKAGED.with_local_models("vllm", listed)
    assert directory.deployments["vllm/all-mpnet-base-v2"].kind == "embedding"
    assert directory.deployments["vllm/all-mpnet-base-v2"].context_window == 384
    assert directory.deployments["vllm/a-tts"].kind == "rerank"


@pytest.mark.parametrize(
    "listed_id", ["gpt-oss:120b-cloud", "qwen3-coder:480b-cloud", "gemma4:cloud", "GLM-4.6:Cloud"]
)
def test_what_the_server_would_send_to_a_cloud_is_not_local(listed_id: str) -> None:
    directory = with_ollama(listed_id, "qwen3:8b")
    assert [item.id for item in directory.resolve("private").candidates] == ["ollama/qwen3:8b"]
    with pytest.raises(UnknownTarget):
        directory.resolve(f"ollama/{listed_id}")


def test_a_local_deployment_is_free_on_this_machine_and_claims_no_more_than_the_server_can() -> (
    None
):
    directory = PACKAGED.with_local_models("vllm", [Listed("openai/gpt-oss-20b", 16_384)])
    deployment = directory.deployments["vllm/openai/gpt-oss-20b"]
    known = PACKAGED.models["gpt-oss-20b"]
    assert deployment.provider_model == "openai/gpt-oss-20b"
    assert deployment.boundary == "machine"
    assert deployment.discovered
    assert deployment.price == LOCAL_PRICE
    assert deployment.context_window == 16_384
    assert deployment.capabilities.tools
    assert deployment.capabilities.reasoning
    assert not deployment.capabilities.forced_tool_choice
    assert directory.models["gpt-oss-20b"] == known


def test_a_window_that_the_server_does_not_say_is_the_models() -> None:
    directory = with_ollama("qwen3:8b")
    assert directory.deployments["ollama/qwen3:8b"].context_window == 40_960


def test_the_class_prefers_known_models_in_the_order_of_the_directory() -> None:
    directory = with_ollama("my-tune:latest", "qwen3:8b", "gpt-oss:120b", "qwen3.6:27b")
    expected = ["qwen3.6-27b", "gpt-oss-120b", "qwen3-8b", "ollama/my-tune:latest"]
    for name in ("open-weight", "local", "private"):
        assert [item.model for item in directory.resolve(name).candidates] == expected
    for name in ("smart", "fast"):
        last = directory.resolve(name).degraded[-1]
        assert last.model_class == "open-weight"
        assert [item.model for item in last.candidates] == expected


def test_two_servers_with_the_same_weights_are_two_deployments_of_one_model() -> None:
    directory = with_ollama("qwen3:8b").with_local_models("vllm", [Listed("Qwen/Qwen3-8B")])
    ids = [item.id for item in directory.resolve("qwen3-8b").candidates]
    assert ids == ["ollama/qwen3:8b", "vllm/Qwen/Qwen3-8B"]
    other = directory.resolve("ollama/qwen3:8b")
    assert [item.id for item in other.candidates] == ["ollama/qwen3:8b"]
    assert [item.id for item in other.backups] == ["vllm/Qwen/Qwen3-8B"]


def test_listing_again_replaces_what_the_same_server_listed_before() -> None:
    first = with_ollama("qwen3:8b", "old:1b").with_local_models("vllm", [Listed("mine")])
    second = first.with_local_models("ollama", [Listed("qwen3:4b")])
    discovered = {item.id for item in second.deployments.values() if item.discovered}
    assert discovered == {"ollama/qwen3:4b", "vllm/mine"}
    assert "ollama/old:1b" not in second.models
    # The one before has not changed.
    assert "ollama/old:1b" in first.models
    none_left = second.with_local_models("ollama", []).with_local_models("vllm", [])
    assert none_left.deployments == PACKAGED.deployments
    assert none_left.models == PACKAGED.models


def test_a_local_name_never_captures_a_vendors_model() -> None:
    directory = PACKAGED.with_local_models("llamacpp", [Listed("claude-opus-5-5")])
    candidates = directory.resolve("claude-opus-5-5").candidates
    assert {item.provider for item in candidates} == {"anthropic", "bedrock"}
    assert directory.deployments["llamacpp/claude-opus-5-5"].model == "llamacpp/claude-opus-5-5"


def test_a_server_on_the_network_has_its_own_boundary_and_price() -> None:
    provider = Provider(
        id="gpu-box",
        adapter="openai",
        dialect="compatible",
        base_url="http://gpu.lan:8000/v1",
        boundary="own-network",
    )
    price = Price(source="power bill", input=100_000, output=100_000)
    directory = (
        with_ollama("qwen3:8b")
        .with_provider(provider)
        .with_local_models("gpu-box", [Listed("Qwen/Qwen3-8B")], price=price)
    )
    candidates = directory.resolve("qwen3-8b").candidates
    assert [item.boundary for item in candidates] == ["machine", "own-network"]
    assert candidates[1].price == price


def test_a_known_provider_can_be_moved() -> None:
    moved = Provider(
        id="ollama", adapter="openai", base_url="http://box.lan:11434/v1", boundary="own-network"
    )
    directory = with_ollama("qwen3:8b").with_provider(moved)
    assert directory.deployments["ollama/qwen3:8b"].boundary == "own-network"
    assert PACKAGED.providers["ollama"].boundary == "machine"


def test_a_provider_that_is_not_known_lists_nothing() -> None:
    with pytest.raises(ValueError, match="'box' is no provider"):
        PACKAGED.with_local_models("box", [])


@pytest.mark.parametrize(
    ("listed_id", "name"),
    [
        ("Qwen/Qwen3-8B-GGUF:Q4_K_M", "qwen3-8b-gguf-q4-k-m"),
        ("  llama3.3:70b ", "llama3.3-70b"),
        ("/models/phi-4.gguf", "phi-4"),
        ("models/", "models"),
        ("", ""),
    ],
)
def test_normalise(listed_id: str, name: str) -> None:
    assert normalise(listed_id) == name
    assert normalise(name) == name


@pytest.mark.parametrize("name", ["q4", "gguf", "qwen3-8b", "phi-4", "gemma-3-4b-it", ""])
def test_a_bare_name_has_no_packaging(name: str) -> None:
    assert strip_format(name) == name


def test_own_servers_do_not_bring_in_who_else_hosts_their_weights() -> None:
    directory = with_ollama("gpt-oss:120b")
    for name in ("open-weight", "local", "private"):
        assert [item.id for item in directory.resolve(name).candidates] == ["ollama/gpt-oss:120b"]
    named = directory.resolve("gpt-oss-120b").candidates
    assert [item.provider for item in named] == ["ollama", "bedrock", "groq"]
    assert [item.model_class for item in named] == ["open-weight", "open-hosted", "open-hosted"]
    assert directory.resolve("open").candidates[0].id == "ollama/gpt-oss:120b"


def test_who_names_a_deployment_at_home_is_not_sent_to_a_vendor() -> None:
    directory = with_ollama("gpt-oss:120b")
    assert directory.resolve("ollama/gpt-oss:120b").backups == ()
    hosted = directory.resolve("groq/openai/gpt-oss-120b").backups
    assert [item.provider for item in hosted] == ["ollama", "bedrock"]


def test_a_cloud_behind_a_local_server_may_be_described_as_the_vendor_it_is(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        '[providers.ollama-cloud]\nadapter = "openai"\nbase_url = "http://127.0.0.1:11434/v1"\n'
        'boundary = "vendor"\n[deployments."ollama-cloud/x"]\nmodel = "gpt-oss-120b"\n'
        'provider = "ollama-cloud"\nprovider_model = "gpt-oss:120b-cloud"\n'
    )
    directory = load_directory([file])
    assert directory.deployments["ollama-cloud/x"].boundary == "vendor"
    assert directory.sent_on("ollama-cloud") == ["ollama-cloud/x"]
    assert directory.sent_on("ollama") == []


def test_who_names_a_server_of_their_own_gets_no_backup_further_away(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        '[models.gpt-oss-120b]\nbackup = "gpt-6-luna"\nsecondary_backup = "gpt-oss-20b"\n'
    )
    listed = [Listed("gpt-oss:120b"), Listed("gpt-oss:20b")]
    directory = load_directory([file]).with_local_models("ollama", listed)
    at_home = directory.resolve("ollama/gpt-oss:120b").backups
    assert [item.id for item in at_home] == ["ollama/gpt-oss:20b"]
    hosted = directory.resolve("groq/openai/gpt-oss-120b").backups
    assert {"ollama/gpt-oss:120b", "openai/gpt-6-luna"} <= {item.id for item in hosted}
