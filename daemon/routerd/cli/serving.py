"""`routerd serve`: what blocks is done first, then the event loop runs the daemon."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from routerd.app.startup import find_settings_file, prepare, prepare_transport

__all__ = ["configure"]


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=serve, verb=verb)
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--socket", metavar="PATH", help="the socket, before any other setting")
    parser.add_argument("--ledger", metavar="FILE", help="the ledger, before any other setting")
    parser.add_argument(
        "--simulated",
        action="store_true",
        help="use simulated providers only; every reply says so, and no key is used",
    )
    parser.epilog = (
        "Without a configuration file routerd uses what it finds: OPENAI_API_KEY, "
        "ANTHROPIC_API_KEY and other providers' keys in the environment, and model servers on "
        "this machine. SIGTERM lets running calls end; a second one does not wait. SIGHUP does "
        "what `routerd reload` does."
    )


def serve(arguments: argparse.Namespace) -> int:
    """Run the daemon until it is told to stop."""
    started_at = time.monotonic()
    import anyio  # noqa: PLC0415 - after the arguments are known to be right

    from routerd.accept.listener import open_listener  # noqa: PLC0415 - the same
    from routerd.app.daemon import run_daemon  # noqa: PLC0415 - the same
    from routerd.app.telemetry import open_telemetry  # noqa: PLC0415 - the same
    from routerd.settings import socket_path  # noqa: PLC0415 - the same

    # Until the loop takes signals itself: process 1 of a container has no default action.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # What it asks for, the start does anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_descriptor_limit()
    environ = dict(os.environ)
    if arguments.socket:
        environ["ROUTERD_SOCKET"] = arguments.socket
    file = arguments.config or find_settings_file(environ)
    startup = prepare(file, environ, simulated=arguments.simulated)
    startup = startup.overridden(socket=arguments.socket, ledger=arguments.ledger)
    transport = prepare_transport(startup)
    listener = open_listener(
        socket_path(startup.settings, environ), int(startup.settings.socket.mode, 8), environ
    )
    try:
        telemetry = open_telemetry(startup.settings.log, environ)
        daemon = partial(run_daemon, startup, listener, transport, telemetry, started_at=started_at)
        try:
            anyio.run(daemon, backend_options={"use_uvloop": True})
        finally:
            telemetry.close()
    finally:
        listener.close()
    return 0


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system does: each app and each call to a provider has one.

    Outside of systemd the limit is often 1024, for programs that still use select.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
