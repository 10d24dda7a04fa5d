from __future__ import annotations

import subprocess
import sys


def test_the_simulator_is_imported_only_where_it_is_asked_for() -> None:
    code = (
        "import sys, routerd; print([m for m in sys.modules if 'simulate' in m or 'aiohttp' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
