"""The script that writes the directory's numbers, run as a person runs it."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from routerd.models import load_directory

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tools/directory_import.py"
DATA = ROOT / "daemon/routerd/models/data"

MODEL_COLUMNS = [
    "provider",
    "model_id",
    "mode",
    "context_window",
    "max_input_tokens",
    "max_output_tokens",
    "input_per_mtok",
    "output_per_mtok",
    "cache_read_per_mtok",
    "cache_write_per_mtok",
    "cache_write_1h_per_mtok",
    "long_context_above",
    "long_input_per_mtok",
    "long_output_per_mtok",
    "long_cache_read_per_mtok",
    "long_cache_write_per_mtok",
    "per_query_usd",
    "embedding_dim",
    "vision",
    "tools",
    "forced_tool_choice",
    "json_schema",
    "reasoning",
    "sampling_params",
    "logprobs",
    "deprecation_date",
    "successor_hint",
    "source",
    "price_cross_check",
    "notes",
]
SCORE_COLUMNS = [
    "model",
    "dimension",
    "score_0_100",
    "confidence",
    "method",
    "comparable",
    "benchmark",
    "benchmark_version_or_date",
    "variant",
]

SPEED_COLUMNS = ["model", "variant", "metric", "value", "benchmark", "date", "confidence"]
BIG = {
    "provider": "acme",
    "model_id": "big-1",
    "mode": "chat",
    "context_window": "1000000",
    "max_input_tokens": "900000",
    "max_output_tokens": "1000000",
    "input_per_mtok": "0.075",
    "output_per_mtok": "12.5",
    "cache_read_per_mtok": "0.0375",
    "cache_write_per_mtok": "0.1",
    "long_context_above": "272000",
    "long_input_per_mtok": "0.15",
    "long_output_per_mtok": "18.75",
    "vision": "yes",
    "tools": "yes",
    "forced_tool_choice": "no",
    "json_schema": "yes",
    "reasoning": "yes",
    "sampling_params": "only with reasoning_effort none",
    "deprecation_date": "2027-04-01",
    "successor_hint": "small-1",
    "source": 'a list "of" prices 1.0',
    "price_cross_check": "agree",
    "notes": "cache write with the 12h ttl costs 0.1875",
}
SMALL = BIG | {
    "model_id": "small-1",
    "max_output_tokens": "5000",
    "cache_write_1h_per_mtok": "0.2",
    "long_context_above": "",
    "sampling_params": "yes",
    "deprecation_date": "",
    "successor_hint": "never-heard-of",
    "price_cross_check": "differ(another list in=1)",
}
SCORES = [
    {
        "model": "big-1",
        "dimension": "math",
        "score_0_100": "61.7",
        "confidence": "0.9",
        "method": "direct",
        "comparable": "yes",
        "benchmark": "A benchmark",
        "benchmark_version_or_date": "2026-01-08",
        "variant": "high",
    },
    {
        "model": "big-1",
        "dimension": "coding",
        "score_0_100": "12",
        "confidence": "0.4",
        "method": "other_scale",
        "comparable": "no",
        "benchmark": "Another",
        "benchmark_version_or_date": "2025",
        "variant": "default",
    },
]
SPEEDS = [
    {
        "model": "big-1",
        "variant": "low",
        "metric": metric,
        "value": value,
        "benchmark": "A stopwatch",
        "date": day,
        "confidence": confidence,
    }
    for metric, value, day, confidence in (
        ("output_tokens_per_second", "50", "2026-01-01", "0.5"),
        ("output_tokens_per_second", "70.5", "2026-02-01", "0.5"),
        ("time_to_first_token", "0.4", "2025-01-01", "0.2"),
        ("latency_mean_per_call", "9", "2026-02-01", "0.9"),
    )
]
VECTORS = BIG | {
    "model_id": "vectors-1",
    "mode": "embedding",
    "output_per_mtok": "0",
    "long_context_above": "",
    "embedding_dim": "1024",
    "deprecation_date": "",
    "successor_hint": "",
    "notes": "",
}
SELECTION = """
as_of = 2026-11-20
[models.big-1]
provider = "acme"
class = "flagship"
pinned = "dated"
backup = "small-1"
[models.small-1]
provider = "acme"
class = "flagship"
pinned = "moving"
prefill = true
[open_weight.tiny-1]
vendor = "acme"
names = ["tiny:1b"]
context_window = 4_096
tools = true
source = "a model card"
[open_weight.open-1]
vendor = "acme"
names = ["open:1b"]
like = "acme/big-1"
"""
BY_HAND = """
[providers.acme]
adapter = "openai"
base_url = "https://acme.example/v1"
boundary = "vendor"
[classes.flagship]
description = "Best."
candidates = ["big-1", "small-1"]
degraded = "fail"
[classes.open-weight]
description = "Open."
candidates = []
degraded = "fail"
"""

Import = Callable[..., subprocess.CompletedProcess[str]]


def write_csv(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def run_import(tmp_path: Path, out: Path) -> Import:
    def run(
        models: list[dict[str, str]],
        scores: list[dict[str, str]] = SCORES,
        selection: str = SELECTION,
        speeds: list[dict[str, str]] = SPEEDS,
    ) -> subprocess.CompletedProcess[str]:
        write_csv(tmp_path / "models.csv", MODEL_COLUMNS, models)
        write_csv(tmp_path / "scores.csv", SCORE_COLUMNS, scores)
        write_csv(tmp_path / "speed.csv", SPEED_COLUMNS, speeds)
        (tmp_path / "selection.toml").write_text(selection, encoding="utf-8")
        command = [sys.executable, str(SCRIPT)]
        for name, file in (
            ("models", "models.csv"),
            ("scores", "scores.csv"),
            ("speed", "speed.csv"),
            ("selection", "selection.toml"),
        ):
            command += [f"--{name}", str(tmp_path / file)]
        return subprocess.run(
            [*command, "--out", str(out)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_the_tables_become_a_directory_that_loads(run_import: Import, out: Path) -> None:
    ran = run_import([BIG, SMALL])
    assert ran.returncode == 0, ran.stderr
    (out / "by_hand.toml").write_text(BY_HAND, encoding="utf-8")
    directory = load_directory(data=out)
    big = directory.deployments["acme/big-1"]
    price = big.price
    assert price is not None
    assert price.source == BIG["source"]
    assert (price.input, price.output) == (75_000_000, 12_500_000_000)
    assert (price.cache_read, price.cache_write) == (37_500_000, 100_000_000)
    assert price.cache_write_long == 187_500_000
    tier = price.long_context
    assert tier is not None
    assert (tier.above, tier.input, tier.output) == (272_000, 150_000_000, 18_750_000_000)
    assert (tier.cache_read, tier.cache_write, tier.cache_write_long) == (None, None, None)
    assert (big.max_input_tokens, big.max_output_tokens) == (900_000, None)
    assert big.capabilities.sampling == "without_reasoning"
    assert not big.capabilities.forced_tool_choice
    assert str(big.retires_on) == "2027-04-01"
    model = directory.models["big-1"]
    assert model.replacement == "small-1"
    assert model.backup == "small-1"
    assert model.scores.coding is None
    assert model.scores.math is not None
    assert (model.scores.math.value, model.scores.math.variant) == (61.7, "high")


def test_what_is_not_known_or_not_agreed_is_absent(run_import: Import, out: Path) -> None:
    assert run_import([BIG, SMALL]).returncode == 0
    written = tomllib.loads((out / "deployments/acme.toml").read_text(encoding="utf-8"))
    assert "price" not in written["deployments"]["acme/small-1"]
    models = tomllib.loads((out / "models/acme.toml").read_text(encoding="utf-8"))
    small = models["models"]["small-1"]
    assert small.keys().isdisjoint({"replacement", "retires_on", "scores", "backup"})
    assert small["max_output_tokens"] == 5000
    assert small["capabilities"]["prefill"] is True


def test_what_has_ended_is_taken_with_what_replaces_it(run_import: Import, out: Path) -> None:
    assert run_import([BIG | {"deprecation_date": "2026-11-19"}, SMALL]).returncode == 0
    models = tomllib.loads((out / "models/acme.toml").read_text(encoding="utf-8"))["models"]
    assert models["big-1"]["replacement"] == "small-1"
    ours = SELECTION.replace("[models.small-1]", 'replacement = "other-1"\n[models.small-1]')
    ours += '[models.other-1]\nprovider = "acme"\nclass = "fast"\npinned = "moving"\n'
    assert run_import([BIG, SMALL, SMALL | {"model_id": "other-1"}], selection=ours).returncode == 0
    models = tomllib.loads((out / "models/acme.toml").read_text(encoding="utf-8"))["models"]
    assert models["big-1"]["replacement"] == "other-1"


def test_speed_is_what_is_trusted_most_then_newest(run_import: Import, out: Path) -> None:
    assert run_import([BIG, SMALL]).returncode == 0
    written = tomllib.loads((out / "deployments/acme.toml").read_text(encoding="utf-8"))
    assert written["deployments"]["acme/big-1"]["speed"] == {
        "output_tokens_per_second": 70.5,
        "first_token_seconds": 0.4,
        "source": "A stopwatch, 2025-01-01, low; A stopwatch, 2026-02-01, low",
        "confidence": 0.2,
    }
    assert "speed" not in written["deployments"]["acme/small-1"]


def test_embeddings_have_dimensions_and_no_price_of_output(run_import: Import, out: Path) -> None:
    chosen = '[models.vectors-1]\nprovider = "acme"\nclass = "flagship"\npinned = "vendor"\n'
    assert run_import([BIG, SMALL, VECTORS], selection=SELECTION + chosen).returncode == 0
    models = tomllib.loads((out / "models/acme.toml").read_text(encoding="utf-8"))["models"]
    assert models["vectors-1"]["kind"] == "embedding"
    assert models["vectors-1"]["embedding_dimensions"] == 1024
    assert "capabilities" not in models["vectors-1"]
    written = tomllib.loads((out / "deployments/acme.toml").read_text(encoding="utf-8"))
    assert "output" not in written["deployments"]["acme/vectors-1"]["price"]


def test_more_deployments_of_the_same_weights(run_import: Import, out: Path) -> None:
    more = """
[deployments."cloud/eu.big"]
model = "big-1"
provider = "cloud"
provider_model = "eu.big"
row = "cloud/big"
region = "eu"
class = "fast"
percent_more = 10
why = "the regional price"
[deployments."cloud/open"]
model = "open-1"
provider = "cloud"
row = "cloud/open"
"""
    differ = {"provider": "cloud", "price_cross_check": "differ(another list in=1)", "notes": ""}
    cloud = BIG | differ | {"model_id": "big", "context_window": "128000", "vision": "no"}
    weights = BIG | differ | {"model_id": "open", "logprobs": "yes"}
    rows = [BIG, SMALL, cloud, weights]
    assert run_import(rows, selection=SELECTION + more).returncode == 0
    written = tomllib.loads((out / "deployments/cloud.toml").read_text(encoding="utf-8"))
    entry = written["deployments"]["cloud/eu.big"]
    assert (entry["provider_model"], entry["region"], entry["model_class"]) == (
        "eu.big",
        "eu",
        "fast",
    )
    assert entry["context_window"] == 128_000
    assert "vision" not in entry["capabilities"]
    # How the model takes sampling parameters is its own matter.
    assert entry["capabilities"]["sampling"] == "without_reasoning"
    assert entry["price"]["input"] == 82_500_000
    assert entry["price"]["source"].endswith("; the regional price")
    weights_entry = written["deployments"]["cloud/open"]
    assert "price" not in weights_entry
    assert weights_entry["capabilities"]["logprobs"] is True


def test_nothing_is_claimed_of_a_model_that_nobody_describes(run_import: Import, out: Path) -> None:
    columns = ("vision", "tools", "forced_tool_choice", "json_schema", "reasoning")
    unknown = dict.fromkeys((*columns, "sampling_params"), "")
    selection = SELECTION.replace('like = "acme/big-1"', 'like = "acme/small-1"')
    assert run_import([BIG | unknown, SMALL], selection=selection).returncode == 0
    models = tomllib.loads((out / "models/acme.toml").read_text(encoding="utf-8"))["models"]
    assert models["big-1"]["capabilities"] == {"sampling": "no"}


def test_open_weights_are_taken_from_their_card_or_a_row(run_import: Import, out: Path) -> None:
    assert run_import([BIG, SMALL]).returncode == 0
    text = (out / "models/open_weight.toml").read_text(encoding="utf-8")
    models = tomllib.loads(text)["models"]
    assert models["tiny-1"]["context_window"] == 4096
    assert models["tiny-1"]["capabilities"] == {"tools": True, "json_schema": True}
    assert models["tiny-1"]["local_names"] == ["tiny:1b"]
    assert models["open-1"]["context_window"] == 1_000_000
    assert models["open-1"]["capabilities"]["vision"] is True
    assert "max_output_tokens" not in models["open-1"]


def test_the_same_tables_give_the_same_bytes_whatever_was_there(
    run_import: Import, out: Path
) -> None:
    assert run_import([BIG, SMALL]).returncode == 0
    first = {path.name: path.read_bytes() for path in out.rglob("*.toml")}
    for path in out.rglob("*.toml"):
        path.write_text("spoiled", encoding="utf-8")
    # The order of rows in a table says nothing.
    assert run_import([SMALL, BIG], SCORES[::-1]).returncode == 0
    assert {path.name: path.read_bytes() for path in out.rglob("*.toml")} == first


@pytest.mark.parametrize(
    ("models", "scores", "said"),
    [
        ([SMALL], SCORES, "acme/big-1: selected and not in the table"),
        (
            [BIG | {"deprecation_date": "2026-11-20", "successor_hint": ""}, SMALL],
            SCORES,
            "big-1: ended on 2026-11-20, and nothing replaces it",
        ),
        ([BIG | {"vision": ""}, SMALL], SCORES, "big-1: vision is ''"),
        ([BIG | {"sampling_params": "often"}, SMALL], SCORES, "sampling_params is 'often'"),
        ([BIG | {"context_window": "1M"}, SMALL], SCORES, "context_window is '1M'"),
        ([BIG | {"context_window": ""}, SMALL], SCORES, "context_window is not known"),
        ([BIG | {"input_per_mtok": "cheap"}, SMALL], SCORES, "'cheap' is not an amount"),
        ([BIG, SMALL], [SCORES[0] | {"dimension": "charm"}], "unknown dimension 'charm'"),
    ],
)
def test_a_row_that_makes_no_sense_ends_it_and_nothing_is_written(
    run_import: Import,
    out: Path,
    models: list[dict[str, str]],
    scores: list[dict[str, str]],
    said: str,
) -> None:
    ran = run_import(models, scores)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(out.iterdir()) == []


def test_the_packaged_data_is_what_the_selection_names(tmp_path: Path) -> None:
    selection = tomllib.loads(SCRIPT.with_name("directory_selection.toml").read_text("utf-8"))
    directory = load_directory()
    assert directory.models.keys() == selection["models"].keys() | selection["open_weight"].keys()
    for name, chosen in selection["models"].items():
        model = directory.models[name]
        assert model.model_class == chosen["class"]
        assert model.pinned == chosen["pinned"]
        assert model.backup == chosen.get("backup")
        assert model.secondary_backup == chosen.get("secondary_backup")
        assert "replacement" not in chosen or model.replacement == chosen["replacement"]
        row_id = chosen.get("row", f"{chosen['provider']}/{name}").partition("/")[2]
        assert directory.deployments[f"{chosen['provider']}/{row_id}"].model == name
    for name, chosen in selection["deployments"].items():
        assert directory.deployments[name].model == chosen["model"]
    for name, chosen in selection["open_weight"].items():
        assert list(directory.models[name].local_names) == chosen["names"]
    # A copy of the data elsewhere is the same directory: nothing depends on where it is installed.
    copy = shutil.copytree(DATA, tmp_path / "copy")
    assert load_directory(data=copy).models == directory.models
