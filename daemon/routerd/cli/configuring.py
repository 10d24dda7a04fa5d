"""`routerd check | init`: say what a start would do, and write a configuration to begin with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from routerd.app.startup import (
    Startup,
    check_providers,
    find_settings_file,
    look_for_local_servers,
    prepare,
    prepare_transport,
)
from routerd.cli.starter import starter_file
from routerd.cli.tables import print_json, print_table
from routerd.errors import StartError
from routerd.settings import ledger_path, socket_path

__all__ = ["configure"]


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    if verb == "check":
        parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
        parser.add_argument("--json", action="store_true", help="print JSON")
    else:
        parser.add_argument(
            "file",
            nargs="?",
            type=Path,
            default=Path("routerd.toml"),
            help="where to write it (default routerd.toml); - prints it",
        )


def check(arguments: argparse.Namespace) -> int:
    """Load everything as a start would, and print what it would serve."""
    environ = dict(os.environ)
    file = arguments.config or find_settings_file(environ)
    startup = prepare(file, environ)
    check_providers(startup, prepare_transport(startup))
    report = _report(startup, environ)
    if arguments.json:
        print_json(report)
        return 0
    print(f"configuration  {file or 'none: what is found is used'}")
    print(f"socket         {report['socket']}")
    print(f"ledger         {report['ledger']}")
    print()
    rows = [
        (item.entry.id, item.entry.adapter, item.entry.base_url, item.entry.boundary)
        for item in startup.providers.values()
    ]
    print_table(("provider", "adapter", "address", "boundary"), rows)
    print("\nno problem found")
    return 0


def _report(startup: Startup, environ: Mapping[str, str]) -> dict[str, object]:
    return {
        "configuration": str(startup.file) if startup.file else None,
        "socket": str(socket_path(startup.settings, environ)),
        "ledger": str(ledger_path(startup.settings, environ)),
        "providers": [
            {
                "name": item.entry.id,
                "adapter": item.entry.adapter,
                "base_url": item.entry.base_url,
                "boundary": item.entry.boundary,
                "simulated": item.settings.simulated,
            }
            for item in startup.providers.values()
        ],
    }


def init(arguments: argparse.Namespace) -> int:
    """Write a commented configuration from the keys and servers that are found."""
    environ = dict(os.environ)
    if str(arguments.file) != "-" and arguments.file.exists():
        raise StartError(f"{arguments.file} exists. Move it away, or name another file.")
    startup = prepare(None, environ)
    found = look_for_local_servers(startup, prepare_transport(startup))
    text = starter_file(startup, found)
    if str(arguments.file) == "-":
        print(text, end="")
        return 0
    try:
        arguments.file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write {arguments.file}: {error.strerror}.") from error
    names = [*startup.providers, *(server.entry.id for server in found)]
    print(f"wrote {arguments.file}; found: {', '.join(names) or 'no provider yet'}")
    print(f"next: routerd check --config {arguments.file}")
    return 0
