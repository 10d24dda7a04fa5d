"""What `routerd status` says of health: who is down and why, who answers in their place."""

from __future__ import annotations

from typing import Any

from routerd.cli.tables import print_table, printable
from routerd.cli.tripping import print_trips

__all__ = ["health_text", "print_health"]


def health_text(report: dict[str, Any], provider: str) -> str:
    """Say in a word or two how a provider is: how many endpoints pass, if not all are alike.

    What was tripped by hand has no calls, however well it is.
    """
    by_hand = {(trip["kind"], trip["name"]) for trip in report["trips"]}
    states = [
        "tripped by hand"
        if {("provider", provider), ("endpoint", row["endpoint"])} & by_hand
        else row["state"]
        for row in report["health"]
        if row["provider"] == provider
    ]
    if not states:
        return "-"
    if len(set(states)) == 1:
        return str(states[0]).replace("_", " ")
    return f"{sum(state == 'passing' for state in states)} of {len(states)} passing"


def print_health(report: dict[str, Any]) -> None:
    """Print the parts of a status report that are about health, where there is something to say."""
    rows = [row for row in report["health"] if row["state"] != "passing"]
    if rows:
        print()
        print_table(
            ("not passing", "endpoint", "state", "for", "retest in", "because"),
            [
                (
                    row["provider"],
                    row["endpoint"],
                    row["state"].replace("_", " "),
                    _seconds(row["for_seconds"]),
                    _seconds(row["retest_in_seconds"]),
                    printable(row["because"]),
                )
                for row in rows
            ],
        )
    print_trips(report["trips"])
    _print_degraded(report["degraded"])
    for deployment, names in report["answered_as"].items():
        print(f"\nanswered as    {deployment}: {', '.join(map(printable, names))}, the last now")


def _print_degraded(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    print()
    print_table(
        ("degraded answers", "share", "of calls", ""),
        [
            (
                printable(row["class"]),
                f"{row['percent']:.0f} %",
                str(row["calls"]),
                "ALERT" if row["alert"] else "",
            )
            for row in rows
        ],
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"
