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
    "vision",
    "tools",
    "forced_tool_choice",
    "json_schema",
    "reasoning",
    "sampling_params",
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
    ) -> subprocess.CompletedProcess[str]:
        write_csv(tmp_path / "models.csv", MODEL_COLUMNS, models)
        write_csv(tmp_path / "scores.csv", SCORE_COLUMNS, scores)
        (tmp_path / "selection.toml").write_text(selection, encoding="utf-8")
        command = [sys.executable, str(SCRIPT)]
        for name, file in (
            ("models", "models.csv"),
            ("scores", "scores.csv"),
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
        ([BIG | {"mode": "embedding"}, SMALL], SCORES, "acme/big-1: not a chat model"),
        ([BIG | {"deprecation_date": "2026-11-20"}, SMALL], SCORES, "big-1: ended on 2026-11-20"),
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
        assert model.backup == chosen["backup"]
        assert model.secondary_backup == chosen["secondary_backup"]
        assert f"{chosen['provider']}/{name}" in directory.deployments
    for name, chosen in selection["open_weight"].items():
        assert list(directory.models[name].local_names) == chosen["names"]
    # A copy of the data elsewhere is the same directory: nothing depends on where it is installed.
    copy = shutil.copytree(DATA, tmp_path / "copy")
    assert load_directory(data=copy).models == directory.models
