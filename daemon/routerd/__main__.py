"""`routerd` and `python -m routerd`: the command line, or a word on what is missing."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from routerd.cli import main as run  # noqa: PLC0415 - what it imports may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "routerd":
            raise
        sys.stderr.write(
            f"routerd: the daemon is not installed ({error.name} is missing), only the client is.\n"
            "Install it with: pip install 'routerd[daemon]'\n"
        )
        return 1
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
