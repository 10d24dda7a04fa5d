"""Writes the numbers of the model directory from two tables.

    python tools/directory_import.py --models models.csv --scores profile.csv

Rules: prices, limits, capabilities and scores are copied from the tables by this script, never
typed; what a person decides stands in directory_selection.toml beside it. The same input writes
the same bytes. What a table does not know, or where its sources differ, is left out. A row that
makes no sense ends the script with the row and the column, and nothing is written.

The table of models has dollars per million tokens, the table of scores 0 to 100.
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
CAPABILITIES: Final = ("vision", "tools", "forced_tool_choice", "json_schema", "reasoning")
# Sources that agree, or only one that knows; where they differ nobody knows the price.
TRUSTED_PRICE: Final = ("agree", "single source")


class ImportFailedError(Exception):
    """A row that makes no sense, or a model that is selected and not there."""


def main(arguments: list[str]) -> None:
    """Write the directory's generated files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the table of models (CSV)")
    parser.add_argument("--scores", type=Path, required=True, help="the table of scores (CSV)")
    parser.add_argument("--selection", type=Path, default=SELECTION, help="what to take (TOML)")
    parser.add_argument("--out", type=Path, default=DATA, help="the folder to write to")
    options = parser.parse_args(arguments)
    try:
        written = build(
            read_rows(options.models),
            read_rows(options.scores),
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


def build(models: list[Row], scores: list[Row], selection: Table) -> dict[str, str]:
    """Return the text of every generated file by its path in the data folder."""
    rows = {f"{row['provider']}/{row['model_id']}": row for row in models}
    scored = scores_by_model(scores)
    model_files: dict[str, Table] = {}
    deployment_files: dict[str, Table] = {}
    for name, chosen in selection["models"].items():
        provider = chosen["provider"]
        row = find(rows, f"{provider}/{name}")
        refuse_retired(row, selection["as_of"])
        model = vendor_model(row, chosen, selection["models"]) | scored.get(name, {})
        model_files.setdefault(provider, {})[name] = model
        deployment = {"model": name, "provider": provider, "provider_model": row["model_id"]}
        deployment_files.setdefault(provider, {})[f"{provider}/{name}"] = deployment | price(row)
    open_weight = {
        name: open_weight_model(chosen, rows) | scored.get(name, {})
        for name, chosen in selection.get("open_weight", {}).items()
    }
    return (
        {f"models/{name}.toml": document("models", it) for name, it in model_files.items()}
        | {
            f"deployments/{name}.toml": document("deployments", it)
            for name, it in deployment_files.items()
        }
        | {"models/open_weight.toml": document("models", open_weight)}
    )


def find(rows: Mapping[str, Row], key: str) -> Row:
    """Return the row of a chat model."""
    if key not in rows:
        raise ImportFailedError(f"{key}: selected and not in the table of models")
    if rows[key]["mode"] != "chat":
        raise ImportFailedError(f"{key}: not a chat model")
    return rows[key]


def refuse_retired(row: Row, as_of: date) -> None:
    """Refuse a model that has ended."""
    ends = row["deprecation_date"]
    if ends and date.fromisoformat(ends) <= as_of:
        raise ImportFailedError(f"{row['model_id']}: ended on {ends}")


def vendor_model(row: Row, chosen: Table, selected: Table) -> Table:
    """Return the entry of a model that its vendor serves."""
    model: Table = {
        "vendor": chosen["provider"],
        "model_class": chosen["class"],
        "pinned": chosen["pinned"],
        **limits(row),
    }
    for name in ("backup", "secondary_backup"):
        if name in chosen:
            model[name] = chosen[name]
    if row["deprecation_date"]:
        model["retires_on"] = date.fromisoformat(row["deprecation_date"])
    if row["successor_hint"] in selected:
        model["replacement"] = row["successor_hint"]
    model["source"] = row["source"]
    known = capabilities(row)
    known |= {name: chosen[name] for name in ("sampling", "prefill") if name in chosen}
    return model | {"capabilities": known}


def open_weight_model(chosen: Table, rows: Mapping[str, Row]) -> Table:
    """Return the entry of open weights; a tag can be loaded anew, so nothing holds them still."""
    model: Table = {"vendor": chosen["vendor"], "model_class": "open-weight", "pinned": "moving"}
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
    """Return what a model can do."""
    known: Table = {}
    for name in CAPABILITIES:
        if row[name] not in ("yes", "no"):
            raise ImportFailedError(
                f"{row['model_id']}: {name} is {row[name]!r}, expected yes or no"
            )
        known[name] = row[name] == "yes"
    if row["sampling_params"] not in SAMPLING:
        raise ImportFailedError(f"{row['model_id']}: sampling_params is {row['sampling_params']!r}")
    return known | {"sampling": SAMPLING[row["sampling_params"]]}


def price(row: Row) -> Table:
    """Return the price, nothing where the sources know none or differ."""
    if not row["price_cross_check"].startswith(TRUSTED_PRICE):
        return {}
    rates = nanodollars(row, PRICES)
    twelve_hours = TWELVE_HOURS.search(row["notes"])
    if twelve_hours and "cache_write_long" not in rates:
        rates["cache_write_long"] = dollars_to_nanodollars(twelve_hours[1])
    known: Table = {"source": row["source"], **rates}
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
