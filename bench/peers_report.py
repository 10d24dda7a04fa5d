"""The tables of other routers, beside the floor and routerd, and by how much each is worse.

Rules of this file: of a library the CPU and the memory are those of the process it is in, so CPU is
compared by what caller and router take together. What was on in each is said in a line below, and
so is why there is no figure of something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from bench.peers import LEFT_OUT, PEERS
from bench.report import MEASURES, TITLES, Measure, aligned, cell, ratio
from bench.session import Failures, Run

__all__ = ["FAILED", "beside_peers", "two_digits"]

COMPARED: Final = (
    "call_p50_us",
    "call_p99_us",
    "added_call_p50_us",
    "added_call_p99_us",
    "call_cpu_us",
    "calls_per_second",
    "paced_part_cpu_us",
    "burst_part_cpu_us",
    "first_part_p50_us",
    "first_part_p99_us",
    "added_first_part_p50_us",
    "hang_up_p50_us",
    "idle_pss_mb",
    "held_stream_kib",
    "ready_ms",
)
LABELS: Final = {
    "call_cpu_us": "CPU a call, caller and router, 64 at once, µs",
    "paced_part_cpu_us": "CPU a part, both, 100 streams x 20 ms, µs",
    "burst_part_cpu_us": "CPU a part, both, 200 in a burst, µs",
    "idle_pss_mb": "idle memory of the router or its process (PSS), MB",
    "ready_ms": "process start to ready, or to a first answer, ms",
}
BESIDE: Final = ("direct", "relay", "sdk", "routerd")
# More is better; of all others less is.
MORE_IS_BETTER: Final = "calls_per_second"
FAILED: Final = "failed"


def beside_peers(
    runs: list[Run], failures: Sequence[Failures], what: dict[str, str], absent: Sequence[str]
) -> str:
    """Return the tables of other routers, what was on in each, and what there is no figure of.

    `what` says of each that was measured what it is, `absent` why the others were not.
    """
    titles = TITLES | {name: peer.title for name, peer in PEERS.items()}
    shown = [name for name in (*BESIDE, *PEERS) if name in runs[0]]
    measured = [name for name in PEERS if name in runs[0]]
    figures = [["", *(titles[name] for name in shown)]]
    times = [["times what routerd takes", *(titles[name] for name in measured)]]
    for measure in MEASURES:
        if measure.key not in COMPARED:
            continue
        label = LABELS.get(measure.key, f"{measure.label}, {measure.unit}".removesuffix(", "))
        figures.append([label, *(figure_of(runs, measure, name) for name in shown)])
        if not measure.key.startswith("added_"):
            times.append([times_label(measure, label), *(times_of(runs, measure, measured))])
    notes = [f"- {titles[name]} {what[name]}" for name in measured]
    notes += failed_notes(failures, titles, len(runs))
    notes += [f"- {line}" for line in (*absent, LEFT_OUT)]
    return "\n".join([*aligned(figures), "", *aligned(times), "", *notes])


def figure_of(runs: list[Run], measure: Measure, name: str) -> str:
    found = cell(runs, measure, name)
    return FAILED if name in PEERS and not found else found


def times_label(measure: Measure, label: str) -> str:
    if measure.key == MORE_IS_BETTER:
        return f"{label}: routerd's over theirs"
    return label.removesuffix(f", {measure.unit}")


def times_of(runs: list[Run], measure: Measure, measured: Sequence[str]) -> list[str]:
    """Return by how much each peer is worse than routerd, better where below 1."""
    cells = []
    for name in measured:
        if measure.key == MORE_IS_BETTER:
            found = ratio(runs, measure, name)
        else:
            found = ratio(runs, measure, "routerd", name)
        cells.append("" if found is None else two_digits(found.median))
    return cells


def two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def failed_notes(failures: Sequence[Failures], titles: dict[str, str], runs: int) -> list[str]:
    """Return a line for each reason for which a peer has no figure of something."""
    counted = Counter(
        (titles[name], measure, reason)
        for each in failures
        for name, reasons in each.items()
        for measure, reason in reasons.items()
    )
    return [
        f"- {title} has no figure of {measure} in {times} of {runs} runs: {reason}"
        for (title, measure, reason), times in sorted(counted.items())
    ]
