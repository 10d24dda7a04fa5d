"""The counted daemon with a detour in every call, as long as is asked for: what the guard refuses.

    python -m tests.bench.detoured_daemon STEPS functions|instructions FILE serve ...

A step is the call of a function where functions are counted, and once round a loop inside of one
where instructions are.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

from bench.counted_daemon import run
from routerd import pipeline


def install(steps: int, what: str) -> None:
    """Have each call begin with so many steps that lead nowhere."""
    names = vars(pipeline)
    read_call = names["read_call"]

    @wraps(read_call)
    def detoured(*args: Any, **kwargs: Any) -> Any:
        for _ in range(steps):
            if what == "functions":
                do_nothing()
        return read_call(*args, **kwargs)

    names["read_call"] = detoured


def do_nothing() -> None:
    """Take a step."""


if __name__ == "__main__":
    install(int(sys.argv.pop(1)), sys.argv[1])
    sys.exit(run())
