"""From the numbers of several runs to one table for a person and one file for a program.

Rules of this file: a number is the median over the runs, beside it half of (largest - smallest)
over the median. A ratio is taken within each run, and its median shown.
"""

from __future__ import annotations

import statistics
from typing import Any, Final, NamedTuple

from bench.peers import PEERS
from bench.session import SYSTEMS, Run

__all__ = [
    "MEASURES",
    "TITLES",
    "Measure",
    "about_the_machine",
    "aligned",
    "cell",
    "ratio",
    "table",
    "to_data",
]


class Measure(NamedTuple):
    """A line of the table. Values are divided by `scale` and shown with `unit`.

    `beside` is what stands in its place where there is no router: the caller's own CPU.
    """

    key: str
    label: str
    unit: str
    target: float | None = None
    scale: float = 1.0
    decimals: int = 0
    beside: str | None = None


MEASURES: Final = (
    Measure("call_p50_us", "one call, p50", "µs"),
    Measure("call_p99_us", "one call, p99", "µs"),
    Measure("added_call_p50_us", "added to one call, p50", "µs", 230),
    Measure("added_call_p99_us", "added to one call, p99", "µs", 550),
    Measure(
        "call_router_cpu_us",
        "router CPU a call, 64 at once",
        "µs",
        180,
        beside="call_caller_cpu_us",
    ),
    Measure("call_caller_cpu_us", "caller CPU a call, 64 at once", "µs"),
    Measure("added_call_caller_cpu_us", "of that above the smallest client", "µs", 15),
    Measure("call_cpu_us", "both together a call, the same", "µs"),
    Measure("call_alone_caller_cpu_us", "caller CPU a call, one at a time", "µs"),
    Measure("calls_per_second", "calls a second, 64 at once", ""),
    Measure(
        "paced_part_router_cpu_us",
        "router CPU a part, 100 streams x 20 ms",
        "µs",
        40,
        decimals=1,
        beside="paced_part_caller_cpu_us",
    ),
    Measure("paced_part_caller_cpu_us", "caller CPU a part, the same", "µs", decimals=1),
    Measure("paced_part_cpu_us", "both together a part, the same", "µs", decimals=1),
    Measure(
        "burst_part_router_cpu_us",
        "router CPU a part, 200 in a burst",
        "µs",
        6,
        decimals=2,
        beside="burst_part_caller_cpu_us",
    ),
    Measure("burst_part_caller_cpu_us", "caller CPU a part, the same", "µs", decimals=2),
    Measure("burst_part_cpu_us", "both together a part, the same", "µs", decimals=2),
    Measure("first_part_p50_us", "first part beside 20 paced streams, p50", "ms", None, 1000, 2),
    Measure("first_part_p99_us", "first part beside 20 paced streams, p99", "ms", None, 1000, 2),
    Measure("added_first_part_p50_us", "added to the first part, p50", "ms", 0.5, 1000, 2),
    Measure("hang_up_p50_us", "hang-up until the provider sees it, p50", "ms", None, 1000, 2),
    Measure("idle_pss_mb", "idle memory (PSS)", "MB", 60),
    Measure("held_stream_kib", "memory a held stream", "KiB", 18, decimals=1),
    Measure("ready_ms", "process start to ready", "ms", 500),
    Measure("import_ms", "`import routerd_client` beyond msgspec", "ms", 20, decimals=1),
)
TITLES: Final = {
    "direct": "direct",
    "relay": "relay",
    "sdk": "vendor SDK",
    "routerd": "routerd",
    "blocking": "routerd, blocking",
    "frames": "smallest client",
}
RATIOS: Final = {"relay": "x relay", "direct": "x direct"}


class Figure(NamedTuple):
    """The median of some runs and its spread."""

    median: float
    spread: float
    values: tuple[float, ...]


def figure(values: list[float]) -> Figure:
    middle = statistics.median(values)
    spread = (max(values) - min(values)) / 2 / abs(middle) if middle else 0.0
    return Figure(middle, spread, tuple(values))


def values_of(runs: list[Run], system: str, key: str | None) -> list[float]:
    return [run[system][key] for run in runs if key in run.get(system, {})]


def ratio(runs: list[Run], measure: Measure, to: str, system: str = "routerd") -> Figure | None:
    """Compare routerd, or another system, to one, in each run that has both."""
    ratios = []
    for run in runs:
        own = run.get(system, {}).get(measure.key)
        others = run.get(to, {})
        other = others.get(measure.key) or others.get(measure.beside or "")
        if own is not None and other:
            ratios.append(own / other)
    return figure(ratios) if ratios else None


def to_data(runs: list[Run], about: dict[str, Any]) -> dict[str, Any]:
    """Return everything as plain data: each value of each run, medians, spreads, ratios."""
    measured: dict[str, Any] = {}
    for measure in MEASURES:
        figures = {
            system: figure(values)._asdict()
            for system in (*SYSTEMS, *PEERS)
            if (values := values_of(runs, system, measure.key))
        }
        ratios = {
            f"routerd_to_{to}": found._asdict()
            for to in RATIOS
            if (found := ratio(runs, measure, to)) is not None
        } | {
            f"{peer}_to_routerd": found._asdict()
            for peer in PEERS
            if (found := ratio(runs, measure, "routerd", peer)) is not None
        }
        measured[measure.key] = {
            "label": measure.label,
            "target": None if measure.target is None else measure.target * measure.scale,
            "systems": figures,
            "ratios": ratios,
        }
    return {**about, "systems": SYSTEMS, "measures": measured, "runs": runs}


def table(runs: list[Run], about: dict[str, Any]) -> str:
    """Return the table as markdown, with a line on the machine and one on each system."""
    shown = [system for system in SYSTEMS if system in runs[0]]
    heads = ["", *(TITLES[system] for system in shown), *RATIOS.values(), "target"]
    rows = [heads]
    for measure in MEASURES:
        cells = [f"{measure.label}, {measure.unit}".removesuffix(", ")]
        cells += [cell(runs, measure, system) for system in shown]
        for to in RATIOS:
            found = ratio(runs, measure, to)
            cells.append("" if found is None else f"{found.median:.1f}")
        cells.append("" if measure.target is None else f"{measure.target:g}")
        rows.append(cells)
    lines = [
        about_the_machine(runs, about),
        "",
        *aligned(rows),
        "",
        *(f"- {TITLES[system]}: {SYSTEMS[system]}" for system in shown),
    ]
    return "\n".join(lines)


def about_the_machine(runs: list[Run], about: dict[str, Any]) -> str:
    """Say what was run, when and on what machine."""
    machine = about["machine"]
    reference = figure(values_of(runs, "machine", "reference_us"))
    return (
        f"`{about['command']}` on {about['date']}, {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}, uvloop {about['uvloop']}; {of_runs(len(runs))}; "
        f"load before: {machine['load_before']}; "
        f"reference work: {written(reference, 0)} µs"
    )


def of_runs(count: int) -> str:
    if count == 1:
        return "one run"
    return f"median of {count} runs, ± half of (largest - smallest) over the median"


def cell(runs: list[Run], measure: Measure, system: str) -> str:
    values = values_of(runs, system, measure.key)
    if not values:
        return ""
    found = figure([value / measure.scale for value in values])
    return written(found, measure.decimals)


def written(found: Figure, decimals: int) -> str:
    """Write a figure with its spread, where it is of several runs."""
    text = f"{found.median:,.{decimals}f}"
    return f"{text} ±{found.spread:.0%}" if len(found.values) > 1 else text


def aligned(rows: list[list[str]]) -> list[str]:
    """Lay out a markdown table: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in [rows[0], rule, *rows[1:]]:
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
