"""A start imports no command line of somebody else's."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

OF_HTTPX = ("click", "pygments", "rich")
CODE = f"""
import sys
import routerd.cli.serving
import httpx
httpx.AsyncClient
print([name for name in {OF_HTTPX} if name in sys.modules])
"""


def test_a_daemon_imports_no_command_line_of_httpx() -> None:
    assert all(find_spec(name) is not None for name in OF_HTTPX)
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
