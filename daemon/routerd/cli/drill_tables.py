"""A drill told to a person at three in the morning: what fails first, in a hundred columns.

Rules of this file: text from outcomes, nothing worked out anew. Colours only on a terminal.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from routerd.cli.tables import dimmed, printable
from routerd.evaluate.drill import Drill, Outcome
from routerd.evaluate.promises import Breach
from routerd.evaluate.scenarios import HEALTHY, Scenario
from routerd.settings import Hardship

__all__ = [
    "WIDTH",
    "coloured",
    "mark_of",
    "print_breaches",
    "print_scenario",
    "print_summary",
    "print_target",
]

WIDTH: Final = 100
GAP: Final = "  "
LONGEST_NAME: Final = 38
MOST_PAIRS: Final = 8
FEW: Final = 4
COLUMNS: Final[tuple[tuple[str, Hardship], ...]] = (
    ("one down", "one_provider"),
    ("two down", "two_providers"),
    ("at 85 %", "budget_85"),
    ("at cap", "budget_cap"),
    ("private", "private"),
)
FAILS: Final = "FAILS"
FAILS_FIRST: Final = "FAILS at first"
DEGRADED: Final = "degraded"
SERVED: Final = "ok"
IN_A_CELL: Final = {FAILS_FIRST: "FAILS 1st"}
# From the worst to the best.
MARKS: Final = (FAILS, FAILS_FIRST, DEGRADED, SERVED)
COLOURS: Final = {"FAIL": "31", "BROKEN": "31", "DISAGREES": "31", DEGRADED: "33"}


def mark_of(outcome: Outcome) -> str:
    """Say in a word what comes of calls."""
    if outcome.fails:
        return FAILS
    if outcome.fails_at_once:
        return FAILS_FIRST
    return DEGRADED if outcome.is_degraded else SERVED


def print_summary(drill: Drill) -> None:
    """Print a row a shortcut, then who fails and who is degraded in which scenario."""
    columns = [item for item in COLUMNS if _scenarios(drill, item[1])]
    headings = ("shortcut", "serves", "+", *(heading for heading, _ in columns))
    rows = []
    for target in drill.targets:
        healthy = drill.outcomes[target, HEALTHY.name]
        rows.append(
            [
                target,
                healthy.deployment or FAILS,
                str(len(healthy.backups)) if healthy.deployment else "",
                *(_cell(drill, target, hardship) for _, hardship in columns),
            ]
        )
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    room = WIDTH - sum(widths) + widths[1] - len(GAP) * (len(widths) - 1)
    for row in rows:
        row[1] = _short(row[1], max(len(headings[1]), room))
    print_rows(headings, rows)
    _print_slow_and_limited(drill)
    for title, mark in (
        ("FAILS, nothing serves", FAILS),
        ("FAILS at first, until the outage is noticed", FAILS_FIRST),
        ("degraded", DEGRADED),
    ):
        _print_where(drill, title, mark)


def _print_slow_and_limited(drill: Drill) -> None:
    """Say in a line what two columns would repeat: who is in such trouble is as good as down."""
    others = [item for item in drill.scenarios if item.slow or item.limited]
    if not others:
        return
    worse = [
        f"{target} ({scenario.title})"
        for scenario in others
        for target in drill.targets
        if mark_of(drill.outcomes[target, scenario.name])
        != mark_of(drill.outcomes[target, f"down:{scenario.struck[0]}"])
    ]
    waits = max(
        drill.outcomes[target, item.name].waits for item in others for target in drill.targets
    )
    text = "one slow, or one that answers 429: the same as one down"
    if worse:
        text += f", but for {', '.join(worse)}"
    if waits:
        text += f"; until it is noticed a call waits up to {waits:g} s for who is slow"
    print()
    for line in textwrap.wrap(text, WIDTH):
        print(line)


def print_scenario(drill: Drill, scenario: Scenario) -> None:
    """Print what serves each target in one scenario."""
    print(f"{scenario.title}  ({scenario.name})")
    rows = [(target, *_row(drill.outcomes[target, scenario.name])) for target in drill.targets]
    print_rows(("shortcut", "serves", "+", "mark", "why"), rows)


def print_target(drill: Drill, target: str) -> None:
    """Print what serves one target in each scenario."""
    print(target)
    rows = [(scenario.title, *_row(outcome)) for scenario, outcome in drill.of(target)]
    print_rows(("when", "serves", "+", "mark", "why"), rows)


def print_breaches(breaches: Iterable[Breach]) -> None:
    """Print where promises are broken, or expectations not met."""
    for breach in breaches:
        head = f"BROKEN   promise {breach.promise}" if breach.promise else "warning "
        text = f"{head}: {breach.target} in {breach.scenario}: {breach.reason}"
        for line in textwrap.wrap(printable(text), WIDTH, subsequent_indent=" " * 9):
            print(coloured(line, sys.stdout))


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns; of the last one what does not fit goes on below."""
    lines = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    indent = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    for number, line in enumerate(lines):
        head = GAP.join(
            cell.ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True)
        )
        for part in _wrapped(line[-1], WIDTH - indent):
            text = f"{head}{GAP}{part}".rstrip()
            print(dimmed(text, sys.stdout) if number == 0 else coloured(text, sys.stdout))
            head = " " * (indent - len(GAP))


def coloured(text: str, stream: TextIO) -> str:
    """Colour what is bad, if the stream is a terminal that wants colours."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    colour = next((code for word, code in COLOURS.items() if word in text), None)
    return text if colour is None else f"\033[{colour}m{text}\033[0m"


def _row(outcome: Outcome) -> tuple[str, str, str, str]:
    if outcome.fails:
        return "-", "", FAILS, outcome.reason
    mark, why = mark_of(outcome), outcome.degraded or outcome.degraded_at_once or ""
    if mark == FAILS_FIRST:
        why = f"{outcome.at_once_reason}, until the outage is noticed"
    elif outcome.at_once not in (None, outcome.deployment):
        why = f"{why + '; ' if why else ''}{outcome.at_once} until the outage is noticed"
    if outcome.waits and mark != FAILS_FIRST:
        why = f"{why + '; ' if why else ''}{outcome.waits:g} s later until that is noticed"
    shown = "" if mark == SERVED else mark
    return _short(outcome.deployment or ""), str(len(outcome.backups)), shown, why


def _cell(drill: Drill, target: str, hardship: Hardship) -> str:
    """Say what comes of a kind of bad day: the worst of it, and of how many days."""
    marks = [mark_of(drill.outcomes[target, item.name]) for item in _scenarios(drill, hardship)]
    worst = min(marks, key=MARKS.index)
    if len(marks) == 1 or worst == SERVED:
        return worst
    return f"{marks.count(worst)}/{len(marks)} {IN_A_CELL.get(worst, worst)}"


def _scenarios(drill: Drill, hardship: Hardship) -> list[Scenario]:
    return [item for item in drill.scenarios if item.hardship == hardship]


def _print_where(drill: Drill, title: str, mark: str) -> None:
    """Print in which scenarios targets are so; a pair only where neither alone is enough."""
    rows: list[tuple[str, str]] = []
    pairs: list[tuple[str, str]] = []
    for scenario in drill.scenarios:
        names = [
            target
            for target in drill.targets
            if mark_of(drill.outcomes[target, scenario.name]) == mark
            and not _is_said(drill, target, scenario, mark)
        ]
        if names:
            text = _names(names, drill, scenario, mark)
            (pairs if len(scenario.struck) > 1 else rows).append((scenario.title, text))
    if not (rows or pairs):
        return
    print()
    print(coloured(title, sys.stdout))
    if len(pairs) > MOST_PAIRS:
        more = f"{len(pairs) - MOST_PAIRS} more pairs"
        pairs = [*pairs[:MOST_PAIRS], (more, "see --all, or --shortcut NAME")]
    print_rows(("when", "shortcuts"), rows + pairs)


def _is_said(drill: Drill, target: str, scenario: Scenario, mark: str) -> bool:
    """Say whether one of the providers alone, or a day without any outage, already does this.

    Of who is slow or limited: whether it does this when it is down.
    """
    if scenario.name == HEALTHY.name:
        return False
    worse = MARKS.index(mark)
    smaller = [
        item
        for item in drill.scenarios
        if item.name == HEALTHY.name
        or (len(item.down) == 1 and item.name != scenario.name and item.down[0] in scenario.struck)
    ]
    return any(MARKS.index(mark_of(drill.outcomes[target, item.name])) <= worse for item in smaller)


def _names(names: list[str], drill: Drill, scenario: Scenario, mark: str) -> str:
    """Name targets, or those that are left out where these are few."""
    concerned = [item for item in drill.targets if not _is_said(drill, item, scenario, mark)]
    others = [item for item in concerned if item not in names]
    if len(names) <= FEW or len(others) > FEW:
        return ", ".join(names)
    if not others:
        return f"all ({len(names)})"
    return f"all but {', '.join(others)} ({len(names)})"


def _short(name: str, most: int = LONGEST_NAME) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width)) or [""]
