"""What must hold of the packaged data, whatever the next import brings."""

from __future__ import annotations

import datetime as dt
import importlib.resources
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import get_args

import msgspec
import pytest

from routerd.domain import Capabilities
from routerd.models import DIMENSIONS, Deployment, Directory, LongContextPrice, load_directory
from routerd.models.schema import Capability, Dimension

# Their sources name two prices, or none, or not what is counted: nobody knows what is billed.
UNPRICED = {
    "mistral/mistral-large-4-0",
    "cohere/command-a-plus-05-2026",
    "cohere/rerank-v5.0-pro",
    "cohere/rerank-v5.0-fast",
}
AS_OF = dt.date(2026, 11, 20)
RATES = ("input", "output", "cache_read", "cache_write", "cache_write_long")


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory()


def vendors_deployments(directory: Directory) -> Iterator[Deployment]:
    for deployment in directory.deployments.values():
        if deployment.boundary == "vendor":
            yield deployment


def test_more_than_eight_providers_serve_more_than_sixty_models(directory: Directory) -> None:
    deployments = list(vendors_deployments(directory))
    assert {item.provider for item in deployments} >= {
        *("openai", "anthropic", "gemini", "mistral", "xai", "groq", "deepseek", "moonshot"),
        *("zai", "cohere", "voyage", "bedrock"),
    }
    assert len({item.model for item in deployments}) >= 90
    kinds = Counter(item.kind for item in directory.models.values())
    assert kinds["chat"] >= 60
    assert kinds["embedding"] >= 10
    assert kinds["rerank"] >= 5


def test_the_first_choices_of_a_class_are_of_three_vendors(directory: Directory) -> None:
    for name in ("flagship", "fast", "vision", "smart", "best", "workhorse"):
        models = dict.fromkeys(item.model for item in directory.resolve(name).candidates)
        assert len({directory.models[model].vendor for model in list(models)[:3]}) == 3, name


def test_every_shortcut_that_may_leave_has_three_pinned_candidates(directory: Directory) -> None:
    for shortcut in directory.shortcuts.values():
        resolution = directory.resolve(shortcut.name)
        if resolution.by_complexity or shortcut.boundary is not None:
            continue
        pinned = {item.model for item in resolution.candidates if item.pinned != "moving"}
        assert len(pinned) >= (2 if resolution.serves == "rerank" else 3), shortcut.name


def test_a_class_lists_its_own_models_that_nothing_has_superseded(directory: Directory) -> None:
    for name in ("flagship", "fast", "open-hosted", "embedding", "rerank"):
        for candidate in directory.classes[name].candidates:
            model = directory.models[candidate]
            deployments = directory.deployments_of(candidate)
            assert all(item.model_class == name for item in deployments), candidate
            assert model.retires_on is None or model.retires_on > AS_OF, candidate
    for candidate in directory.classes["vision"].candidates:
        assert directory.models[candidate].capabilities.vision, candidate


def test_every_class_says_where_it_degrades_to(directory: Directory) -> None:
    for name in ("embedding", "rerank", "open-weight"):
        assert directory.resolve(name).degraded == ()
    for name in ("flagship", "fast", "open-hosted", "vision"):
        assert directory.resolve(name).degraded[-1].model_class == "open-weight"


def test_the_same_weights_at_two_providers_are_one_model(directory: Directory) -> None:
    for model, providers in (
        ("claude-opus-5-5", {"anthropic", "bedrock"}),
        ("gpt-oss-120b", {"groq", "bedrock"}),
    ):
        deployments = directory.deployments_of(model)
        assert {item.provider for item in deployments} == providers
        assert len({item.id for item in deployments}) == len(deployments)
    regions = {item.region for item in directory.deployments_of("claude-opus-5-5")}
    assert regions == {None, "global", "us"}


def test_what_has_ended_is_there_only_to_be_redirected(directory: Directory) -> None:
    ended = [
        item
        for item in directory.models.values()
        if item.retires_on is not None and item.retires_on <= AS_OF
    ]
    assert {item.id for item in ended} == {
        "claude-opus-4-20250514",
        "claude-sonnet-4-20250514",
        "gpt-4.1-nano-2025-04-14",
        "o4-mini-2025-04-16",
    }
    for model in ended:
        assert model.replacement is not None
        ends = directory.models[model.replacement].retires_on
        assert ends is None or ends > AS_OF, model.id


def test_a_replacement_of_what_holds_still_does_too(directory: Directory) -> None:
    """Else a default policy would refuse it, and what has ended would lead to nothing."""
    for model in directory.models.values():
        if model.replacement is not None and model.pinned != "moving":
            after = directory.models[model.replacement]
            assert after.pinned != "moving", model.id
            assert (after.vendor, after.model_class) == (model.vendor, model.model_class), model.id


def test_a_replacement_outlives_what_it_replaces(directory: Directory) -> None:
    for model in directory.models.values():
        if model.replacement is not None and model.retires_on is not None:
            after = directory.models[model.replacement].retires_on
            assert after is None or after > model.retires_on, model.id


def test_own_servers_never_degrade_to_a_vendor(directory: Directory) -> None:
    for name in ("local", "private", "open-weight"):
        resolution = directory.resolve(name)
        assert resolution.degraded == ()
        assert resolution.candidates == ()
    assert directory.resolve("private").boundary == "machine"
    assert directory.resolve("local").boundary == "own-network"


def test_every_chat_model_that_is_sold_has_two_pinned_backups_elsewhere(
    directory: Directory,
) -> None:
    for deployment in vendors_deployments(directory):
        model = directory.models[deployment.model]
        if model.kind != "chat" or model.local_names:
            continue
        for name in (model.backup, model.secondary_backup):
            assert name is not None, model.id
            backup = directory.models[name]
            assert backup.pinned != "moving", model.id
            assert backup.vendor != model.vendor, model.id
            assert backup.retires_on is None or backup.retires_on > AS_OF
            providers = {item.provider for item in directory.deployments_of(name)}
            # The same weights may be where the model is too; then they are elsewhere as well.
            assert providers - {deployment.provider}, (model.id, name)
        assert model.backup != model.secondary_backup


def test_no_embedding_model_has_a_backup(directory: Directory) -> None:
    for model in directory.models.values():
        if model.kind == "embedding":
            assert directory.resolve(model.id).backups == ()


def test_backups_are_of_the_same_class(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        model = directory.models[deployment.model]
        for name in (model.backup, model.secondary_backup):
            # Hosted open weights are few: what stands in for them is of the fast class.
            expected = "fast" if model.model_class == "open-hosted" else model.model_class
            assert name is None or directory.models[name].model_class == expected, model.id


def test_prices_are_there_or_absent_as_a_whole(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        if deployment.id in UNPRICED:
            assert deployment.price is None
            continue
        assert deployment.price is not None, deployment.id
        assert deployment.price.source
        if deployment.kind == "rerank" and deployment.price.input is None:
            assert deployment.price.per_query, deployment.id
            continue
        assert deployment.price.input, deployment.id
        if deployment.kind != "chat":
            assert deployment.price.output is None, deployment.id
            continue
        assert deployment.price.output, deployment.id
        assert deployment.price.output >= deployment.price.input


def test_a_price_the_lists_differ_about_says_why_it_was_taken(directory: Directory) -> None:
    for name, why in (
        ("deepseek/deepseek-v4-pro", "the peak price"),
        ("bedrock/global.anthropic.claude-opus-5-5", "the global inference profile"),
        ("bedrock/us.anthropic.claude-opus-5-5", "10 percent above"),
    ):
        price = directory.deployments[name].price
        assert price is not None
        assert why in price.source
    plain = directory.deployments["bedrock/global.anthropic.claude-opus-5-5"].price
    dearer = directory.deployments["bedrock/us.anthropic.claude-opus-5-5"].price
    assert plain is not None
    assert dearer is not None
    for name in RATES:
        rate, more = getattr(plain, name), getattr(dearer, name)
        assert more * 10 == rate * 11, name


def test_a_speed_says_who_measured_it(directory: Directory) -> None:
    measured = [item for item in directory.deployments.values() if item.speed is not None]
    assert len(measured) >= 20
    for deployment in measured:
        speed = deployment.speed
        assert speed is not None
        assert speed.output_tokens_per_second or speed.first_token_seconds
        assert speed.source
        assert 0 < speed.confidence <= 1
        # Who served open weights is not in the table.
        assert not directory.models[deployment.model].local_names


def test_the_dimensions_are_those_of_the_scores() -> None:
    assert get_args(Dimension) == DIMENSIONS
    plain = {item.name for item in msgspec.structs.fields(Capabilities) if item.type is bool}
    assert set(get_args(Capability)) == plain


def test_no_rate_of_a_vendor_is_free(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        price = deployment.price
        tiers = [price, price.long_context] if price is not None else []
        for tier in tiers:
            assert tier is None or all(getattr(tier, name) != 0 for name in RATES), deployment.id


def test_reading_a_cache_is_cheaper_and_writing_it_dearer(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        price = deployment.price
        if price is None or price.input is None:
            continue
        assert price.cache_read is None or price.cache_read < price.input
        assert price.cache_write is None or price.cache_write >= price.input
        if price.cache_write_long is not None:
            assert price.cache_write is not None
            assert price.cache_write_long >= price.cache_write


def test_long_context_is_never_cheaper(directory: Directory) -> None:
    seen = 0
    for deployment in vendors_deployments(directory):
        price = deployment.price
        tier = price.long_context if price is not None else None
        if price is None or not isinstance(tier, LongContextPrice):
            continue
        seen += 1
        assert deployment.context_window is not None
        assert tier.above < deployment.context_window
        for name in RATES:
            plain, long = getattr(price, name), getattr(tier, name)
            assert long is None or (plain is not None and long >= plain), (deployment.id, name)
    assert seen >= 5


def test_limits_fit_into_the_window(directory: Directory) -> None:
    for model in directory.models.values():
        assert model.context_window is not None
        assert model.kind != "embedding" or model.capabilities == Capabilities()
        for limit in (model.max_input_tokens, model.max_output_tokens):
            assert limit is None or limit < model.context_window, model.id


def test_every_model_and_every_score_has_a_source(directory: Directory) -> None:
    scored = 0
    for model in directory.models.values():
        assert model.source
        for name in DIMENSIONS:
            score = getattr(model.scores, name)
            if score is not None:
                scored += 1
                assert score.benchmark
                assert score.version
                assert 0 < score.confidence <= 1
    assert scored > 80


def test_an_id_with_a_date_is_pinned_by_it(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        model = directory.models[deployment.model]
        # claude-opus-4-20250514, gpt-4.1-2025-04-14, codestral-2508, command-a-03-2025
        dated = any(part.isdecimal() and len(part) >= 4 for part in model.id.split("-"))
        assert (model.pinned == "dated") == dated, model.id


def test_every_open_weight_model_can_be_recognised(directory: Directory) -> None:
    open_weight = [item for item in directory.models.values() if item.model_class == "open-weight"]
    assert len(open_weight) >= 10
    assert all(item.local_names for item in open_weight)
    # Nothing that may be served on this machine alone may name a vendor's model as a stand-in.
    assert all(item.backup is None and item.secondary_backup is None for item in open_weight)


def test_local_servers_are_on_this_machine_and_take_no_key(directory: Directory) -> None:
    local = {name: item for name, item in directory.providers.items() if item.local_server}
    assert sorted(local) == ["llamacpp", "ollama", "vllm"]
    for provider in local.values():
        assert provider.boundary == "machine"
        assert provider.base_url.startswith("http://127.0.0.1:")
        assert provider.key_env is None


def test_vendors_are_reached_over_tls_with_a_key(directory: Directory) -> None:
    for provider in directory.providers.values():
        if not provider.local_server:
            assert provider.boundary == "vendor"
            assert provider.base_url.startswith("https://")
            # Vertex takes tokens, and nothing in the environment is one.
            assert provider.key_env or provider.id == "vertex"


def test_open_weights_say_where_their_limits_were_read(directory: Directory) -> None:
    for model in directory.models.values():
        if model.local_names:
            assert "not checked" not in model.source
            assert model.pinned == "vendor"


def test_a_shortcut_says_in_one_line_what_it_is_for(directory: Directory) -> None:
    for shortcut in directory.shortcuts.values():
        assert shortcut.description.endswith(".")
        assert "\n" not in shortcut.description
        assert len(shortcut.description) < 100


def test_the_data_names_no_place_of_one_machine() -> None:
    def texts(folder: Traversable) -> Iterator[str]:
        for item in folder.iterdir():
            if item.is_dir():
                yield from texts(item)
            else:
                yield item.read_text(encoding="utf-8")

    for text in texts(importlib.resources.files("routerd.models") / "data"):
        assert "/home/" not in text


def test_importing_the_room_reads_nothing() -> None:
    program = (
        "import json, sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda name, arguments: name == 'open'"
        " and str(arguments[0]).endswith('.toml') and opened.append(str(arguments[0])))\n"
        "import routerd.models\n"
        "print(json.dumps(len(opened)), end=' ')\n"
        "routerd.models.load_directory()\n"
        "print(json.dumps(len(opened)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    before, after = (json.loads(text) for text in ran.stdout.split())
    assert before == 0
    assert after >= 10
