"""What the machine says about processes: cores, CPU time, memory, limits.

Rules of this file: Linux only, read from /proc. CPU time is that of all live threads of a process
and its children, in nanoseconds: much steadier than time on the clock. Memory is PSS, where a page
that several processes share counts in parts.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Cores(NamedTuple):
    """Which core runs what is measured, and which the load and the provider."""

    system: int
    load: int


def choose_cores() -> Cores:
    """Take the first and the last core this process may use; on one core they are the same."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core meanwhile; what is started meanwhile stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def process_tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for thread in _threads(found[-1]):
            try:
                waiting += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time used by the live threads of a process tree."""
    total = 0
    for process in process_tree(pid):
        for thread in _threads(process):
            try:
                total += int((thread / "schedstat").read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def thread_cpu_seconds(pid: int) -> dict[int, float]:
    """CPU time of each live thread of one process, by its number; the first has the process's."""
    spent = {}
    for thread in _threads(pid):
        spent[int(thread.name)] = int((thread / "schedstat").read_text().split()[0]) / 1e9
    return spent


def pss_bytes(pid: int) -> int:
    """Memory of a process tree, shared pages in parts."""
    total = 0
    for process in process_tree(pid):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def write_calls(pid: int) -> int:
    """Count the write system calls of a process so far, those to sockets included."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("syscw:"):
            return int(line.split()[1])
    raise OSError(f"/proc/{pid}/io has no syscw")


def raise_open_files() -> None:
    """Allow as many open files as the hard limit does: a held stream needs several."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def reference_cpu_seconds() -> float:
    """CPU time of a fixed piece of Python: how fast this machine is at this moment.

    Attribute access, calls, dicts, strings and JSON, which is what a router does all day.
    """
    began_at = time.process_time()
    for number in range(1000):
        record = {"number": number, "name": f"name {number}", "tags": ["a", "b", str(number)]}
        text = json.dumps(record)
        if json.loads(text) != record:
            raise ValueError("JSON is broken")
    return time.process_time() - began_at


def describe() -> dict[str, Any]:
    """Say what kind of machine this is, and how busy it was."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
