"""Which settings a running daemon cannot change, and what is in force instead.

Rules of this file: pure. Whatever is held back is named, so that no change is ignored in silence.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from routerd.app.startup import Startup, keepalive_seconds
from routerd.settings import Settings, ledger_path, socket_path

__all__ = ["held_back"]

# By section: what is bound, opened or built once.
FIXED: Final = {
    "socket": ("path", "mode"),
    "ledger": ("path",),
    "egress": ("engine", "http2", "ca_file"),
}


def held_back(running: Startup, wanted: Startup) -> tuple[Startup, tuple[str, ...]]:
    """Return a start with what may change of it, and the settings that need a restart."""
    held: list[str] = []
    settings = wanted.settings
    for section, names in FIXED.items():
        old, new = getattr(running.settings, section), getattr(settings, section)
        changed = [name for name in names if getattr(old, name) != getattr(new, name)]
        held += [
            key
            for name in changed
            if not _is_same_place(key := f"{section}.{name}", running, settings)
        ]
        kept = structs.replace(new, **{name: getattr(old, name) for name in changed})
        settings = structs.replace(settings, **{section: kept})
    # The transport closes what is idle for longer than it was built for.
    egress, built = settings.egress, running.settings.egress
    if keepalive_seconds(egress) > keepalive_seconds(built):
        held.append("egress.warm_every_seconds")
        egress = structs.replace(egress, warm_every_seconds=built.warm_every_seconds)
        settings = structs.replace(settings, egress=egress)
    return structs.replace(wanted, settings=settings), tuple(held)


def _is_same_place(key: str, running: Startup, settings: Settings) -> bool:
    """Say whether a path is written otherwise and leads to the same place."""
    find = {"socket.path": socket_path, "ledger.path": ledger_path}.get(key)
    if find is None:
        return False
    return find(running.settings, running.environ) == find(settings, running.environ)
