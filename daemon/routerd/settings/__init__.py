"""Settings: the schema of the configuration file, its loader, and the keys."""

from routerd.settings.load import (
    ledger_path,
    load_settings,
    parse_settings,
    read_key,
    socket_path,
)
from routerd.settings.schema import (
    Discovery,
    Egress,
    Ledger,
    Limits,
    Log,
    ProviderSettings,
    Settings,
    Socket,
    Timeouts,
)

__all__ = [
    "Discovery",
    "Egress",
    "Ledger",
    "Limits",
    "Log",
    "ProviderSettings",
    "Settings",
    "Socket",
    "Timeouts",
    "ledger_path",
    "load_settings",
    "parse_settings",
    "read_key",
    "socket_path",
]
