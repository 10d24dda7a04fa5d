"""Makes a call that would block the event loop raise instead, in a test and in a whole daemon.

Tests that start the daemon as a process start it through this file, since the watch reaches no
further than the process it is set in:

    python tests/blocking.py serve --config ...
"""

from __future__ import annotations

from blockbuster import BlockBuster, BlockBusterFunction

# Calls that block and that blockbuster does not watch by itself.
ALSO_BLOCKING = (
    "fcntl.flock",
    "os.fdatasync",
    "os.fsync",
    "os.open",
    "socket.getaddrinfo",
    "sqlite3.connect",
)


def watch_for_blocking_calls() -> BlockBuster:
    """Return a watch that is active: `deactivate()` ends it."""
    blockbuster = BlockBuster()
    for name in ALSO_BLOCKING:
        blockbuster.functions[name] = BlockBusterFunction(None, name)
    # An intent has to be in the kernel before its request is sent: one append to the page cache, a
    # few microseconds, where going through a thread would cost ten times that.
    blockbuster.functions["os.write"].can_block_in("routerd/ledger/journal.py", {"append"})
    blockbuster.activate()
    return blockbuster


if __name__ == "__main__":
    import faulthandler
    import os
    import sys
    import traceback

    from routerd.__main__ import main

    faulthandler.enable()  # a crash of the interpreter says where
    watch_for_blocking_calls()
    exit_code = 1
    try:
        exit_code = main()
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - told as the interpreter would tell it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Taking down the types that are watched crashes the interpreter, so it is not asked to.
    os._exit(exit_code)
