"""Runs the callers of a bench, each a process of `bench.load`, and gathers what they measured.

Rules of this file: a caller that may fail costs no more than the measure it failed at. If it dies
or hangs, what it had told is kept, and another one takes the measures that are left. All others end
the bench. What a caller is told goes through its stdin.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.load import DEAF, Job, Outcome, names_of
from bench.machine import process_tree
from bench.systems import ROOT, Broken, kill, started

__all__ = ["first_answer", "run_load"]

# For an interpreter that is not this environment's: where the bench and routerd_client are.
SOURCE: Final = os.pathsep.join(str(ROOT / name) for name in ("", "client", "proto"))
# A measure has a time of its own; this is for what comes before the first one.
START_SECONDS: Final = 120.0
LINE_BEGINS: Final = '{"numbers":'


class Ended(NamedTuple):
    """What a caller told, and how it ended: None if as it should."""

    lines: list[Outcome]
    reason: str | None
    complaint: str


def run_load(job: Job, core: int, python: str = sys.executable) -> Outcome:
    """Run a caller to its end and return what it measured. Raises Broken for who may not fail."""
    found = Outcome()
    while True:
        ended = run_once(job, core, python)
        for line in ended.lines:
            found |= Outcome(line.numbers, line.failed)
        if not job.may_fail:
            if ended.reason is not None:
                raise Broken(f"the caller {job.caller} failed: {ended.reason}\n{ended.complaint}")
            return found
        told = {line.measure for line in ended.lines}
        left = [name for name in names_of(job) if name not in told]
        if not left:
            return found
        # They are taken in order: that is where it ended.
        found.failed[left[0]] = ended.reason or "its caller ended without a word"
        job = msgspec.structs.replace(job, without=(*job.without, *told, left[0]))
        if len(left) == 1:
            return found


def run_once(job: Job, core: int, python: str) -> Ended:
    """Run one process."""

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, "-m", "bench.load", str(core)],
            cwd=ROOT,
            # Not the person's own: there may be keys in it, or a proxy.
            env={"PATH": os.environ["PATH"], "HOME": str(Path.home()), "PYTHONPATH": SOURCE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    seconds = START_SECONDS + DEAF * job.sizes.measure_seconds * len(names_of(job))
    reason = None
    with started(start) as running:
        try:
            said, complaint = running.communicate(msgspec.json.encode(job).decode(), seconds)
        except subprocess.TimeoutExpired:
            kill(process_tree(running.pid))
            said, complaint = running.communicate()
            reason = f"its caller did not end within {seconds:.0f} s"
    if reason is None and running.returncode:
        reason = ending_of(running.returncode)
    # A library may print too.
    lines = [line for line in said.splitlines() if line.startswith(LINE_BEGINS)]
    return Ended([msgspec.json.decode(line, type=Outcome) for line in lines], reason, complaint)


def ending_of(code: int) -> str:
    """Say in a few words how a caller ended."""
    if code == -signal.SIGALRM:
        return "no answer, and deaf to its time being up"
    return f"its caller ended with {code}"


def first_answer(job: Job, core: int, python: str = sys.executable) -> Outcome:
    """Time a caller from the start of its process to its first answer."""
    began_at = time.monotonic()
    found = run_load(msgspec.structs.replace(job, first=True), core, python)
    if (answered_at := found.numbers.get("answered_at")) is None:
        return found
    return Outcome({"ready_ms": (answered_at - began_at) * 1000})
