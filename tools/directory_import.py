"""Writes the numbers of the model directory from three tables.

    python tools/directory_import.py --models models.csv --scores profile.csv --speed speed.csv

Rules: prices, limits, capabilities, scores and speeds are copied from the tables by this script,
never typed; what a person decides stands in directory_selection.toml beside it. The same input
writes the same bytes. What a table does not know, or where its sources differ, is left out. A row
that makes no sense ends the script with the row and the column, and nothing is written.

The table of models has dollars per million tokens, the table of scores 0 to 100. A figure of speed
is put on the vendor's own deployment, since its table does not say who served open weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from routerd.models.pricing import dollars_to_nanodollars
from routerd.models.schema import DIMENSIONS

ROOT: Final = Path(__file__).resolve().parent.parent
DATA: Final = ROOT / "daemon/routerd/models/data"
SELECTION: Final = Path(__file__).with_name("directory_selection.toml")

Row = Mapping[str, str]
Table = dict[str, Any]

HEADER: Final = """\
# Written by tools/directory_import.py: what is changed by hand here is lost with the next import.
# Where the numbers come from: SOURCES.md.
"""
PRICES: Final = {
    "input": "input_per_mtok",
    "output": "output_per_mtok",
    "cache_read": "cache_read_per_mtok",
    "cache_write": "cache_write_per_mtok",
    "cache_write_long": "cache_write_1h_per_mtok",
    "per_query": "per_query_usd",
}
LONG_PRICES: Final = {
    "input": "long_input_per_mtok",
    "output": "long_output_per_mtok",
    "cache_read": "long_cache_read_per_mtok",
    "cache_write": "long_cache_write_per_mtok",
}
# OpenAI's longer lifetime has no column of its own.
TWELVE_HOURS: Final = re.compile(r"cache write with the 12h ttl costs (\d+(?:\.\d+)?)")
SAMPLING: Final = {
    "yes": "yes",
    "no": "no",
    "only with reasoning_effort none": "without_reasoning",
}
SPEEDS: Final = {
    "output_tokens_per_second": "output_tokens_per_second",
    "time_to_first_token": "first_token_seconds",
}
LIMITS: Final = ("context_window", "max_input_tokens", "max_output_tokens")
CAPABILITIES: Final = ("vision", "tools", "forced_tool_choice", "json_schema", "reasoning")
# What holds in every call; what holds without reasoning alone is not claimed.
LOGPROBS: Final = "yes"
# Sources that agree, or only one that knows; where they differ somebody has to say `why`.
TRUSTED_PRICE: Final = ("agree", "single source")


class ImportFailedError(Exception):
    """A row that makes no sense, or a model that is selected and not there."""


def main(arguments: list[str]) -> None:
    """Write the directory's generated files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the table of models (CSV)")
    parser.add_argument("--scores", type=Path, required=True, help="the table of scores (CSV)")
    parser.add_argument("--speed", type=Path, required=True, help="the table of speeds (CSV)")
    parser.add_argument("--selection", type=Path, default=SELECTION, help="what to take (TOML)")
    parser.add_argument("--out", type=Path, default=DATA, help="the folder to write to")
    options = parser.parse_args(arguments)
    try:
        written = build(
            read_rows(options.models),
            read_rows(options.scores),
            read_rows(options.speed),
            tomllib.loads(options.selection.read_text(encoding="utf-8")),
        )
    except ImportFailedError as failure:
        sys.exit(f"directory_import: {failure}")
    for name, text in written.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"{name}: {text.count(chr(10))} lines")


def read_rows(path: Path) -> list[Row]:
    """Read a table with a line of names first."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def build(
    models: list[Row], scores: list[Row], speeds: list[Row], selection: Table
) -> dict[str, str]:
    """Return the text of every generated file by its path in the data folder."""
    rows = {f"{row['provider']}/{row['model_id']}": row for row in models}
    scored, measured = scores_by_model(scores), speeds_by_model(speeds)
    model_files: dict[str, Table] = {}
    deployment_files: dict[str, Table] = {}
    known: Table = {}
    for name, chosen in selection["models"].items():
        provider = chosen["provider"]
        row = find(rows, chosen.get("row", f"{provider}/{name}"))
        known[name] = vendor_model(row, chosen, selection["models"])
        refuse_ended(row, known[name], selection["as_of"])
        facts = chosen.get("scores", name)
        model_files.setdefault(provider, {})[name] = known[name] | scored.get(facts, {})
        entry = {"model": name, "provider": provider, "provider_model": row["model_id"]}
        unknown = chosen.get("price") == "unknown"
        priced = {} if unknown else price(row, why=chosen.get("why"))
        deployment_files.setdefault(provider, {})[f"{provider}/{row['model_id']}"] = (
            entry | priced | (measured.get(facts, {}) if chosen["class"] != "open-hosted" else {})
        )
    open_weight = {
        name: open_weight_model(chosen, rows)
        for name, chosen in selection.get("open_weight", {}).items()
    }
    known |= open_weight
    for name, chosen in selection.get("deployments", {}).items():
        row = find(rows, chosen["row"])
        file = deployment_files.setdefault(chosen["provider"], {})
        file[name] = more_deployment(row, chosen, known[chosen["model"]])
    scored_weights = {name: entry | scored.get(name, {}) for name, entry in open_weight.items()}
    return (
        {f"models/{name}.toml": document("models", it) for name, it in model_files.items()}
        | {
            f"deployments/{name}.toml": document("deployments", it)
            for name, it in deployment_files.items()
        }
        | {"models/open_weight.toml": document("models", scored_weights)}
    )


def find(rows: Mapping[str, Row], key: str) -> Row:
    """Return a row by provider and id."""
    if key not in rows:
        raise ImportFailedError(f"{key}: selected and not in the table of models")
    return rows[key]


def refuse_ended(row: Row, model: Table, as_of: date) -> None:
    """Refuse a model that has ended and that nothing replaces."""
    if "replacement" not in model and model.get("retires_on", date.max) <= as_of:
        raise ImportFailedError(
            f"{row['model_id']}: ended on {model['retires_on']}, and nothing replaces it"
        )


def vendor_model(row: Row, chosen: Table, selected: Table) -> Table:
    """Return the entry of a model that somebody sells."""
    model: Table = {
        "vendor": chosen.get("vendor", chosen["provider"]),
        "model_class": chosen["class"],
        **({"kind": row["mode"]} if row["mode"] != "chat" else {}),
        "pinned": chosen["pinned"],
        **limits(row),
    }
    dimensions = whole(row, "embedding_dim")
    if dimensions is not None:
        model["embedding_dimensions"] = dimensions
    for name in ("image_tokens_bound", "backup", "secondary_backup"):
        if name in chosen:
            model[name] = chosen[name]
    if row["deprecation_date"]:
        model["retires_on"] = date.fromisoformat(row["deprecation_date"])
    replacement = chosen.get("replacement", row["successor_hint"])
    if replacement in selected:
        model["replacement"] = replacement
    model["source"] = row["source"]
    if row["mode"] != "chat":
        return model
    known = capabilities(row)
    known |= {name: chosen[name] for name in ("sampling", "prefill") if name in chosen}
    return model | {"capabilities": known}


def more_deployment(row: Row, chosen: Table, model: Table) -> Table:
    """Return the entry of one more deployment, with what differs from its model."""
    entry: Table = {"model": chosen["model"]}
    if "class" in chosen:
        entry["model_class"] = chosen["class"]
    entry |= {
        "provider": chosen["provider"],
        "provider_model": chosen.get("provider_model", row["model_id"]),
    }
    if "region" in chosen:
        entry["region"] = chosen["region"]
    own = limits(row)
    entry |= {name: own[name] for name in LIMITS if name in own and own[name] != model.get(name)}
    entry |= price(row, why=chosen.get("why"), percent_more=chosen.get("percent_more", 0))
    # Sampling parameters and prefill are the model's own matter, not the provider's.
    own_matter = {k: v for k, v in model["capabilities"].items() if k in ("sampling", "prefill")}
    can = _claimed(capabilities(row) | {"sampling": "yes"} | own_matter)
    return entry | ({"capabilities": can} if can != _claimed(model["capabilities"]) else {})


def _claimed(known: Table) -> Table:
    """Return capabilities without what is the same as saying nothing."""
    return {name: value for name, value in known.items() if value not in (False, "yes")}


def open_weight_model(chosen: Table, rows: Mapping[str, Row]) -> Table:
    """Return the entry of open weights: one named release, which whoever serves it holds still."""
    model: Table = {"vendor": chosen["vendor"], "model_class": "open-weight", "pinned": "vendor"}
    known: Table
    if "like" in chosen:
        row = find(rows, chosen["like"])
        model |= {"context_window": limits(row)["context_window"]}
        known = capabilities(row) | {"forced_tool_choice": False}
        source = row["source"]
    else:
        model |= {"context_window": chosen["context_window"]}
        known = {name: chosen.get(name, False) for name in ("vision", "tools", "reasoning")}
        source = chosen["source"]
    known = {name: value for name, value in known.items() if value} | {"json_schema": True}
    return model | {"local_names": chosen["names"], "source": source, "capabilities": known}


def limits(row: Row) -> Table:
    """Return the limits in tokens; one as large as the window is no limit of its own."""
    window = whole(row, "context_window")
    if window is None:
        raise ImportFailedError(f"{row['model_id']}: context_window is not known")
    known = {"context_window": window}
    for name in ("max_input_tokens", "max_output_tokens"):
        tokens = whole(row, name)
        if tokens is not None and tokens < window:
            known[name] = tokens
    return known


def capabilities(row: Row) -> Table:
    """Return what a model can do; of a model nobody describes nothing is claimed."""
    if not any(row[name] for name in (*CAPABILITIES, "sampling_params")):
        return {"sampling": "no"}
    known: Table = {}
    for name in CAPABILITIES:
        if row[name] not in ("yes", "no"):
            raise ImportFailedError(
                f"{row['model_id']}: {name} is {row[name]!r}, expected yes or no"
            )
        known[name] = row[name] == "yes"
    if row["sampling_params"] not in SAMPLING:
        raise ImportFailedError(f"{row['model_id']}: sampling_params is {row['sampling_params']!r}")
    known["sampling"] = SAMPLING[row["sampling_params"]]
    return known | ({"logprobs": True} if row["logprobs"] == LOGPROBS else {})


def price(row: Row, *, why: str | None = None, percent_more: int = 0) -> Table:
    """Return the price, nothing where the sources know none, or differ and nobody said why."""
    agreed = row["price_cross_check"].startswith(TRUSTED_PRICE)
    if not agreed and (why is None or not row["price_cross_check"].startswith("differ")):
        return {}
    rates = nanodollars(row, PRICES)
    twelve_hours = TWELVE_HOURS.search(row["notes"])
    if twelve_hours and "cache_write_long" not in rates:
        rates["cache_write_long"] = dollars_to_nanodollars(twelve_hours[1])
    rates = {name: rate * (100 + percent_more) // 100 for name, rate in rates.items()}
    if row["mode"] != "chat":
        # Nothing is written out, so that no output has a price.
        rates.pop("output", None)
    known: Table = {"source": row["source"] + (f"; {why}" if why else ""), **rates}
    above = whole(row, "long_context_above")
    if above is not None:
        known["long_context"] = {"above": above, **nanodollars(row, LONG_PRICES)}
    return {"price": known}


def nanodollars(row: Row, columns: Mapping[str, str]) -> dict[str, int]:
    """Return the known rates in nanodollars per million tokens."""
    try:
        return {
            name: dollars_to_nanodollars(row[column])
            for name, column in columns.items()
            if row[column]
        }
    except ValueError as error:
        raise ImportFailedError(f"{row['model_id']}: {error}") from None


def whole(row: Row, column: str) -> int | None:
    """Return a whole number, None where the cell is empty."""
    try:
        return int(row[column]) if row[column] else None
    except ValueError:
        raise ImportFailedError(f"{row['model_id']}: {column} is {row[column]!r}") from None


def scores_by_model(rows: Iterable[Row]) -> dict[str, Table]:
    """Return the comparable scores of every model, in the order of the dimensions."""
    found: dict[str, Table] = {}
    for row in rows:
        if row["dimension"] not in DIMENSIONS:
            raise ImportFailedError(f"{row['model']}: unknown dimension {row['dimension']!r}")
        if row["comparable"] != "yes":
            continue
        score: Table = {
            "value": float(row["score_0_100"]),
            "benchmark": row["benchmark"],
            "version": row["benchmark_version_or_date"],
            "confidence": float(row["confidence"]),
            "method": row["method"],
        }
        if row["variant"] not in ("", "default"):
            score["variant"] = row["variant"]
        found.setdefault(row["model"], {})[row["dimension"]] = score
    return {
        model: {"scores": {name: known[name] for name in DIMENSIONS if name in known}}
        for model, known in found.items()
    }


def speeds_by_model(rows: Iterable[Row]) -> dict[str, Table]:
    """Return the most trusted figures of each model: of each metric one, the newest at a tie."""
    best: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["metric"] in SPEEDS:
            held = best.setdefault(row["model"], {}).get(row["metric"])
            if held is None or _trust(row) > _trust(held):
                best[row["model"]][row["metric"]] = row
    return {model: {"speed": speed(chosen)} for model, chosen in best.items()}


def _trust(row: Row) -> tuple[float, str, str, float]:
    # The last two only make the choice the same whatever the order of the rows.
    return float(row["confidence"]), row["date"], row["variant"], -float(row["value"])


def speed(chosen: Mapping[str, Row]) -> Table:
    """Return figures of speed with where they are from; the least of their confidences."""
    known: Table = {SPEEDS[metric]: float(row["value"]) for metric, row in sorted(chosen.items())}
    sources = {f"{row['benchmark']}, {row['date']}, {row['variant']}" for row in chosen.values()}
    known["source"] = "; ".join(sorted(sources))
    known["confidence"] = min(float(row["confidence"]) for row in chosen.values())
    return known


def document(section: str, entries: Table) -> str:
    """Write one file: a table for each entry, and one for each of its subtables."""
    blocks = [HEADER]
    for name, entry in entries.items():
        write_table(blocks, f"{section}.{json.dumps(name)}", entry)
    return "\n".join(blocks)


def write_table(blocks: list[str], path: str, table: Table) -> None:
    """Append a table's own values, then its subtables; a score is written on one line."""
    inline = path.endswith(".scores")
    plain = {k: v for k, v in table.items() if inline or not isinstance(v, dict)}
    lines = [f"[{path}]", *(f"{name} = {value_text(value)}" for name, value in plain.items())]
    blocks.append("\n".join(lines) + "\n")
    for name, value in table.items():
        if name not in plain:
            write_table(blocks, f"{path}.{name}", value)


def value_text(value: object) -> str:
    """Write one value as TOML."""
    match value:
        case bool() | str():
            text = json.dumps(value, ensure_ascii=False)
        case int():
            text = f"{value:_}"
        case float():
            text = repr(value)
        case date():
            text = value.isoformat()
        case list():
            text = f"[{', '.join(value_text(item) for item in value)}]"
        case dict():
            pairs = (f"{name} = {value_text(item)}" for name, item in value.items())
            text = f"{{ {', '.join(pairs)} }}"
        case _:
            raise TypeError(f"{value!r} has no form in TOML")
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
