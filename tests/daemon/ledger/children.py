"""Processes that use a ledger and are killed, or get a disk that refuses."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["run_child"]


@contextmanager
def run_child(
    path: Path, body: str, *, before: str = "", writing: str = "WriterSettings()"
) -> Iterator[subprocess.Popen[str]]:
    """Run a process with a ledger that is open, and the lines of `body` inside.

    The lines of `before` run before the ledger is opened, `writing` says how it writes.
    """
    script = (
        "import anyio, resource, sys\n"
        "from pathlib import Path\n"
        "from routerd.ledger import Ledger, WriterSettings\n"
        "from tests.daemon.ledger.records import small_record, full_record, intent_of\n"
        + textwrap.dedent(before)
        + "\nevents = []\n"
        "async def main():\n"
        f"    writing = {writing}\n"
        "    ledger = Ledger(Path(sys.argv[1]), on_event=events.append, writing=writing)\n"
        "    await ledger.start()\n" + textwrap.indent(textwrap.dedent(body), "    ")
    )
    with subprocess.Popen(
        [sys.executable, "-c", script + "\nanyio.run(main)\n", str(path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as child:
        try:
            yield child
        finally:
            child.kill()
