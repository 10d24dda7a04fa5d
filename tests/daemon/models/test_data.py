"""What must hold of the packaged data, whatever the next import brings."""

from __future__ import annotations

import datetime as dt
import importlib.resources
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources.abc import Traversable

import pytest

from routerd.models import DIMENSIONS, Deployment, Directory, LongContextPrice, load_directory

# Its sources name two prices, and which of them is billed is not known.
UNPRICED = {"mistral/mistral-large-4-0"}
AS_OF = dt.date(2026, 11, 20)
RATES = ("input", "output", "cache_read", "cache_write", "cache_write_long")


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory()


def vendors_deployments(directory: Directory) -> Iterator[Deployment]:
    for deployment in directory.deployments.values():
        if deployment.boundary == "vendor":
            yield deployment


def test_three_vendors_serve_more_than_ten_models(directory: Directory) -> None:
    deployments = list(vendors_deployments(directory))
    assert {item.provider for item in deployments} >= {"openai", "anthropic", "mistral"}
    assert len({item.model for item in deployments}) >= 10


def test_every_class_and_every_shortcut_of_a_vendor_has_candidates(directory: Directory) -> None:
    for name in ("flagship", "fast", "smart", "workhorse", "cheap", "code", "extract", "summarize"):
        candidates = directory.resolve(name).candidates
        assert len({item.provider for item in candidates[:3]}) == 3, name


def test_a_class_holds_exactly_the_models_that_say_so(directory: Directory) -> None:
    for name in ("flagship", "fast"):
        of_the_class = {item.id for item in directory.models.values() if item.model_class == name}
        assert set(directory.classes[name].candidates) == of_the_class


def test_own_servers_never_degrade_to_a_vendor(directory: Directory) -> None:
    for name in ("local", "private", "open-weight"):
        resolution = directory.resolve(name)
        assert resolution.degraded == ()
        assert resolution.candidates == ()
    assert directory.resolve("private").boundary == "machine"
    assert directory.resolve("local").boundary == "own-network"


def test_every_vendors_model_has_two_backups_and_none_at_its_own_provider(
    directory: Directory,
) -> None:
    for deployment in vendors_deployments(directory):
        backups = directory.resolve(deployment.model).backups
        assert len({item.model for item in backups}) == 2
        assert deployment.provider not in {item.provider for item in backups}


def test_backups_are_of_the_same_class(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        model = directory.models[deployment.model]
        for backup in (model.backup, model.secondary_backup):
            assert backup is not None
            assert directory.models[backup].model_class == model.model_class, model.id


def test_prices_are_there_or_absent_as_a_whole(directory: Directory) -> None:
    for deployment in vendors_deployments(directory):
        if deployment.id in UNPRICED:
            assert deployment.price is None
            continue
        assert deployment.price is not None, deployment.id
        assert deployment.price.source
        assert deployment.price.input, deployment.id
        assert deployment.price.output, deployment.id
        assert deployment.price.output >= deployment.price.input


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


def test_nothing_has_ended_when_it_was_taken(directory: Directory) -> None:
    dates = [item.retires_on for item in directory.models.values() if item.retires_on is not None]
    assert dates
    assert all(AS_OF < date < dt.date(2040, 1, 1) for date in dates)


def test_limits_fit_into_the_window(directory: Directory) -> None:
    for model in directory.models.values():
        assert model.context_window is not None
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
            assert provider.key_env


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
