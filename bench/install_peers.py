"""Install the routers that routerd is measured beside, each into a folder of its own in `.peers`.

    .venv/bin/python bench/install_peers.py      # `make bench-peers` does it

Rules of this file: nothing goes into the project's own environment. Versions and hashes are those
of `bench/peer_locks`; what is there already is left as it is. A peer that cannot be installed is
told of in a line and is no error: the bench leaves it out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.peers import FOLDER, LOCKS, PEERS, STAMP, digest, is_installed

__all__ = ["install", "main"]


def install(place: str) -> None:
    """Fill one folder anew. Raises OSError or CalledProcessError where that cannot be done."""
    folder = FOLDER / place
    shutil.rmtree(folder, ignore_errors=True)
    lock = LOCKS / place
    if lock.is_dir():
        shutil.copytree(lock, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=folder, check=True)
    else:
        venv.create(folder, symlinks=True, with_pip=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        command += ["install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
        subprocess.run([*command, "-r", f"{lock}.lock"], check=True)
    (folder / STAMP).write_text(digest(place))


def main() -> int:
    """Install what is missing; returns the exit code."""
    for place in dict.fromkeys(peer.place for peer in PEERS.values()):
        if is_installed(place):
            continue
        sys.stderr.write(f"installing {place} into .peers\n")
        try:
            install(place)
        except (OSError, subprocess.CalledProcessError) as failure:
            sys.stderr.write(f"{place} cannot be installed and is left out: {failure}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
