"""Settings: the schema of the configuration file, its loader, and the keys."""

from routerd.settings.load import (
    ledger_path,
    load_settings,
    parse_settings,
    read_key,
    socket_path,
)
from routerd.settings.money import (
    Budget,
    Budgeting,
    CachedShortcut,
    Caching,
    FreeTier,
    KeySettings,
    Spender,
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
    "Budget",
    "Budgeting",
    "CachedShortcut",
    "Caching",
    "Discovery",
    "Egress",
    "FreeTier",
    "KeySettings",
    "Ledger",
    "Limits",
    "Log",
    "ProviderSettings",
    "Settings",
    "Socket",
    "Spender",
    "Timeouts",
    "ledger_path",
    "load_settings",
    "parse_settings",
    "read_key",
    "socket_path",
]
