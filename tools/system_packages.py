"""Installs the Debian packages that tests need, where ROUTERD_INSTALL_SYSTEM_PACKAGES asks for it.

Rules: the standard library only, in syntax that an old Python can read. Without that variable it
does nothing: no machine is changed because somebody runs the tests on it as root. Where nothing is
missing it does nothing either.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

VARIABLE = "ROUTERD_INSTALL_SYSTEM_PACKAGES"
# What a test calls, and the Debian package it comes in.
COMMANDS = {
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
    "systemd-sysusers": "systemd",
}


def main() -> None:
    """Install what is missing; exit with a sentence where that cannot be done."""
    packages = missing_packages()
    if not os.environ.get(VARIABLE) or not packages:
        return
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        sys.exit(f"{VARIABLE} is set and there is no apt-get. Missing, by Debian name: {names}")
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-q"]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            sys.exit(f"{VARIABLE} is set, but this is neither root nor has sudo. Missing: {names}")
        command = ["sudo", "--non-interactive", "DEBIAN_FRONTEND=noninteractive", *command]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"system packages: installing {names}", file=sys.stderr, flush=True)
    # A bare image knows no package before the first update.
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run([*command, *step], check=False, env=environment, stdout=sys.stderr)
        if done.returncode != 0:
            sys.exit(f"apt-get {step[0]} failed, see above. Missing, by Debian name: {names}")


def missing_packages() -> "list[str]":
    """Return the Debian packages that lack here, sorted."""
    missing = {package for command, package in COMMANDS.items() if shutil.which(command) is None}
    if importlib.util.find_spec("ensurepip") is None:
        # Debian keeps what makes virtual environments apart from its Python.
        missing.add(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    return sorted(missing)


if __name__ == "__main__":
    main()
