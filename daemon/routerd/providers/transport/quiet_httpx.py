"""Keeps httpx from importing a command line of its own; imported before httpx is.

httpx does so wherever the packages for it happen to be installed, a developer's environment for
one: dozens of modules, megabytes and time of every start, for nothing. `python -X importtime -c
"import routerd.cli.serving"` shows what a start imports.
"""

from __future__ import annotations

import sys

# As Python says that a module cannot be imported; httpx does without it then.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # typeshed knows no None
