"""What a decision costs: its rules and its plan, over the directory that comes with routerd.

    .venv/bin/python bench/decisions.py [--quick] [--runs N] [--json FILE]

Rules of this file: CPU of the process, in batches, on one core; a number is the median of the
batches, beside it half of (largest - smallest) over the median of the runs. Fifty rules hold. The
call has the flag that half of them ask for, and a word of every second of the others; of those that
its target and task leave, the last condition alone rules each out, or that none of their words is
there. How many the former are stands in the table. Nothing is written into the checkout.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
from msgspec import structs

from bench.machine import choose_cores, describe, pinned, reference_cpu_seconds
from bench.measures import Numbers
from bench.report import aligned, figure
from routerd.classify.features import measure
from routerd.classify.rules import Rules
from routerd.classify.words import texts_of
from routerd.decide import Book, PolicyDocument, filled, make_plan
from routerd.domain import BudgetRoom, Caller, Features, Snapshot
from routerd.models import Directory, load_directory
from routerd.settings import PolicySettings, Rule
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

__all__ = ["main"]

RUNS: Final = 5
QUICK_RUNS: Final = 2
BATCHES: Final = 60
QUICK_BATCHES: Final = 15
A_BATCH: Final = 200
TARGET_US: Final = 25
RULES: Final = 50
TARGETS: Final = ("smart", "fast", "code", "auto", "claude-opus-5-5")
COPIES: Final = (1, 4, 16)
OPTIONS: Final = CallOptions(
    tenant="acme", user="ann", feature="chat", task="answering", flags=["urgent"]
)
CALLER: Final = Caller(
    tenant="acme", user="ann", feature="chat", task="answering", decision_id="01" * 16
)
MESSAGES: Final = [
    Message("system", "You answer the customers of a shop, briefly and in their language. " * 4),
    Message("user", "My parcel has not come yet, and the tracking page shows no change. " * 4),
]
LAST_CONDITIONS: Final[tuple[dict[str, Any], ...]] = (
    {"code": True},
    {"tools": True},
    {"images": True},
    {"reasoning": True},
    {"least_input_tokens": 50_000},
    {"most_input_tokens": 20},
)
LABELS: Final = {
    "walk": "floor: a loop over the class's candidates, two comparisons each",
    "words": "the words of 25 rules in 550 characters",
    "rules": "the first of 50 rules, policy and name",
    "plan": "the plan",
    "together": "rules and plan",
    "busy": "rules and plan; four caps, and traffic everywhere",
}


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench/decisions.py", description="Measure what a decision costs."
    )
    parser.add_argument("--runs", type=int, help=f"how many runs (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help="two short runs: a look only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    batches = QUICK_BATCHES if chosen.quick else BATCHES
    about = {"machine": describe(), "quick": chosen.quick}
    count = chosen.runs or (QUICK_RUNS if chosen.quick else RUNS)
    with pinned(choose_cores().system):
        directories = {copies: grown(load_directory(), copies) for copies in COPIES}
        runs = [one_run(directories, batches) for _ in range(count)]
    sizes = {str(copies): len(item.models) for copies, item in directories.items()}
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "decisions.json")
    data = {**about, "models": sizes, "runs": runs}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(data)))
    print(report(about["machine"], runs, directories))
    print(f"\nall numbers: {file}")
    return 0


def one_run(directories: dict[int, Directory], batches: int) -> dict[str, Numbers]:
    """Measure everything once; microseconds by what was measured, then by target or size."""
    reference = min(reference_cpu_seconds() for _ in range(20))
    run: dict[str, Numbers] = {"machine": {"reference_us": reference * 1e6}}
    book = book_of(directories[1])
    for target in TARGETS:
        for name, step in steps_of(book, target):
            run.setdefault(name, {})[target] = microseconds(step, batches)
    for copies, directory in directories.items():
        step = dict(steps_of(book_of(directory), "smart"))["together"]
        run.setdefault("grown", {})[str(copies)] = microseconds(step, batches)
    return run


def steps_of(book: Book, target: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is measured of one target, by its name."""
    features = measure(MESSAGES, OPTIONS, 600.0, words=book.words)
    choice = book.choose(target, features, CALLER)
    quiet = Snapshot(time.time())
    group = book.prepared(choice, filled(features, choice.defaults), quiet).groups[0]
    tokens = features.input_tokens
    yield (
        "walk",
        lambda: [
            item
            for item in group.candidates
            if tokens <= item.candidate.most_input and tokens <= item.candidate.window
        ],
    )
    yield "words", lambda: book.words.results(texts_of(MESSAGES))
    yield "rules", lambda: book.choose(target, features, CALLER)
    known = filled(features, choice.defaults)
    yield "plan", lambda: make_plan(book, choice, known, quiet)
    yield "together", lambda: decide(book, target, features, quiet)
    busy = busy_snapshot(book, quiet)
    yield "busy", lambda: decide(book, target, features, busy)


def decide(book: Book, target: str, features: Features, snapshot: Snapshot) -> object:
    """Decide as the pipeline does, from the measured call on."""
    words = book.words.results(texts_of(MESSAGES))
    choice = book.choose(target, features, CALLER)
    known = filled(features, choice.defaults)
    return words, make_plan(book, choice, known, snapshot)


def microseconds(step: Callable[[], object], batches: int) -> float:
    """Return the CPU time of a step: the median of the batches."""
    step()
    times = []
    for _ in range(batches):
        began_at = time.process_time_ns()
        for _ in range(A_BATCH):
            step()
        times.append((time.process_time_ns() - began_at) / A_BATCH / 1000)
    return statistics.median(times)


def book_of(directory: Directory) -> Book:
    """Return a book with fifty rules that the call does not meet, and every provider there is."""
    rules = {f"rule-{number}": rule_of(number) for number in range(RULES)}
    return Book(
        directory,
        PolicyDocument(
            providers=tuple(directory.providers),
            rules=rules,
            policies={"default": PolicySettings(moving_aliases=True)},
        ),
    )


def rule_of(number: int) -> Rule:
    """Return a rule by a flag or by words; the call has the flag, and the words of every second.

    Some are for another target or task too. Only the last condition tells the others from the call:
    code, tools, pictures, reasoning, or a size. Those whose words are not there have none of these,
    so that what was found has to be asked.
    """
    common = "parcel" if number % 4 == 1 else "refund"
    rule = Rule(
        targets=["auto", "smart"] if number % 5 == 0 else [],
        tasks=["tagging"] if number % 10 == 2 else ["answering", "chat"] if number % 5 == 1 else [],
        words=[f"word{number}", common, "two words"] if number % 2 else [],
        flags=[] if number % 2 else ["urgent", f"flag-{number}"],
        complexity="simple",
    )
    if number % 4 == 3:
        return rule
    return structs.replace(rule, **LAST_CONDITIONS[number % len(LAST_CONDITIONS)])


def nearly_met(book: Book, target: str) -> int:
    """Return how many rules only their last condition keeps the call from meeting."""
    features = measure(MESSAGES, OPTIONS, 600.0, words=book.words)
    nothing: dict[str, Any] = {name: None for last in LAST_CONDITIONS for name in last}
    return sum(
        Rules({name: structs.replace(rule, **nothing)}).first(target, features, CALLER) is not None
        for name, rule in book.document.rules.items()
    )


def busy_snapshot(book: Book, quiet: Snapshot) -> Snapshot:
    """Return a state in which every deployment has traffic, and four caps hold."""
    names = list(book.directory.deployments)
    rooms = tuple(
        BudgetRoom(f"cap-{number}", "all calls", "nanodollars", 10**13, 10**9, 0, 8 * 10**12, 2e9)
        for number in range(4)
    )
    return structs.replace(
        quiet,
        rooms=rooms,
        latency_ms={name: 300 + 7 * number for number, name in enumerate(names)},
        in_flight={name: number % 5 for number, name in enumerate(names)},
    )


def grown(directory: Directory, copies: int) -> Directory:
    """Return a directory with so many times the models; the classes stay as they are."""
    document: tuple[dict[str, Any], Any] = msgspec.json.decode(directory.document(), type=tuple)
    entries, listed = document
    for number in range(1, copies):
        for name, model in list(entries["models"].items()):
            if "~" not in name:
                copy = f"{name}~{number}"
                entries["models"][copy] = {**model, "id": copy, "local_names": []}
        for name, item in list(entries["deployments"].items()):
            if "~" not in name:
                copy = f"{name}~{number}"
                model = f"{item['model']}~{number}"
                entries["deployments"][copy] = {**item, "id": copy, "model": model}
    return Directory.from_document(msgspec.json.encode((entries, listed)))


def report(
    machine: dict[str, Any], runs: list[dict[str, Numbers]], directories: dict[int, Directory]
) -> str:
    """Return two tables as markdown, below a line on the machine."""

    def cell(name: str, key: str) -> str:
        found = figure([run[name][key] for run in runs])
        return f"{found.median:.1f} ±{found.spread:.0%}"

    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}; median of {len(runs)} runs, ± half of (largest - smallest) over the "
        f"median; load before: {machine['load_before']}; "
        f"reference work: {cell('machine', 'reference_us')} µs"
    )
    directory = directories[1]
    resolved = {name: directory.resolve(name) for name in TARGETS}
    candidates = ["candidates", *(str(len(resolved[name].candidates) or "-") for name in TARGETS)]
    book = book_of(directory)
    near = [f"rules of {RULES} that only their last condition rules out"]
    near += [str(nearly_met(book, name)) for name in TARGETS]
    rows = [["CPU, µs", *TARGETS, "target"], [*candidates, ""], [*near, ""]]
    rows += [
        [label, *(cell(name, target) for target in TARGETS), str(TARGET_US) * (name == "together")]
        for name, label in LABELS.items()
    ]
    models = [f"{len(item.models):,}" for item in directories.values()]
    costs = [cell("grown", str(copies)) for copies in directories]
    sizes = [["models in the directory", *models], ["rules and plan for smart, µs", *costs]]
    return "\n\n".join([head, "\n".join(aligned(rows)), "\n".join(aligned(sizes))])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
