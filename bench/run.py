"""Start the bench: `make bench`, or `.venv/bin/python bench/run.py [--quick] [--json FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # The other files here are imported as the package `bench`, by child processes too.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from bench.main import main

    sys.exit(main(sys.argv[1:]))
