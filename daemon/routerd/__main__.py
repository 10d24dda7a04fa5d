"""`routerd` and `python -m routerd`: the command line, or a word on what is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from routerd.cli import main as run

__all__ = ["main"]

# Looked for, not imported: most verbs have no use for them, and all are missing with the client.
NEEDED = ("aiohttp", "anyio", "httpx", "opentelemetry", "structlog", "uvloop")


def main() -> int:
    """Run the command line; returns the exit code."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"routerd: the daemon is not installed ({missing[0]} is missing), only the client is.\n"
            "Install it with: pip install 'routerd[daemon]'\n"
        )
        return 1
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
